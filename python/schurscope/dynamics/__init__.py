"""The local dynamics of a network: its step, Jacobians and fixed points. A description."""
