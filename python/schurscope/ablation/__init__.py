"""Ablations of Schur couplings and their effect on a network's behaviour."""
