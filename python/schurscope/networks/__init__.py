"""Recurrent networks: weights, cells, constructions, files."""
