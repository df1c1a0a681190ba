"""Random streams: the generators for making, training and evaluating a network."""

from __future__ import annotations

import numpy as np

__all__ = ["STREAMS", "streams"]

STREAMS = ("init", "training", "evaluation", "bootstrap", "noise", "diagnosis")
"""Never reorder: a stream's numbers depend on its position. Append new ones."""


def streams(sequence: np.random.SeedSequence) -> dict[str, np.random.Generator]:
    """Separate generators, so that no trial serves both training and evaluation.

    They are children of `sequence`, which must not have spawned before.
    """
    children = sequence.spawn(len(STREAMS))
    return {
        name: np.random.default_rng(child) for name, child in zip(STREAMS, children, strict=True)
    }
