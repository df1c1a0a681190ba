"""Random streams: the generators that one network is made, trained and judged with."""

from __future__ import annotations

import numpy as np

__all__ = ["STREAMS", "streams"]

STREAMS = ("init", "training", "evaluation", "bootstrap", "noise")
"""In this order for ever: a stream's numbers depend on its place. New ones come last."""


def streams(sequence: np.random.SeedSequence) -> dict[str, np.random.Generator]:
    """Separate generators, so that no trial serves both training and evaluation.

    They are children of `sequence`, which must not have spawned any before.
    """
    children = sequence.spawn(len(STREAMS))
    return {
        name: np.random.default_rng(child) for name, child in zip(STREAMS, children, strict=True)
    }
