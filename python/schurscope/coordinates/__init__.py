"""Ordered real Schur coordinates of a recurrent matrix."""
