"""Ablations of Schur couplings and what they do to a network's behaviour."""
