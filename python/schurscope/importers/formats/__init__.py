"""Readers of file formats: each turns a file into a `Checkpoint` of named arrays."""
