"""What results say of their origin: hashes of arrays and the seed of a generator."""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["fingerprint", "seed_of"]


def fingerprint(*parts: object) -> str:
    """SHA-256 of arrays, with their dtypes and shapes, and of text; None counts as absent."""
    total = hashlib.sha256()
    for part in parts:
        array = np.asarray("" if part is None else part)
        total.update(f"{array.dtype.str} {array.shape};".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def seed_of(rng: np.random.Generator) -> str:
    """The seed and the spawn key of a generator; ``"unknown"`` if it was not made from a seed."""
    sequence = rng.bit_generator.seed_seq
    if not isinstance(sequence, np.random.SeedSequence):
        return "unknown"
    key = f", spawn key {tuple(sequence.spawn_key)}" if sequence.spawn_key else ""
    return f"{sequence.entropy}{key}"
