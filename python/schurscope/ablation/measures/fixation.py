"""Targets that ask for the same at most steps, such as fixation before a decision."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ..._internal.checks import FloatArray

__all__ = ["Fixation", "fixation_of"]

_Float64: TypeAlias = npt.NDArray[np.float64]

MOST_STEPS = 0.5
MOST_TRIALS = 0.9  # a decision alone can be the same at most steps, but not in nearly every trial


class Fixation(NamedTuple):
    """One target at more than half of the weighted steps, in nearly every trial, of three or more.

    Attributes
    ----------
    target : (N_y,)
    share : float
        Its share of the weight.
    variance : float
        Share of the target variance that it explains: 1 minus the FVU of the answer that is right
        there and the mean of the other targets elsewhere.
    """

    target: _Float64
    share: float
    variance: float


def fixation_of(targets: FloatArray, weights: _Float64) -> Fixation | None:
    """The fixation of targets (trials, steps, N_y) under weights (trials, steps), if any."""
    counted = weights > 0
    total = weights.sum()
    is_fixed, target = counted, np.empty(targets.shape[2])
    for channel, values in enumerate(np.moveaxis(targets, 2, 0)):
        # A vector at more than half of the steps is the median of each channel.
        target[channel] = np.median(values[counted])
        is_fixed = is_fixed & (values == target[channel])
        share = float(weights[is_fixed].sum() / total)
        if not share > MOST_STEPS:
            return None
    in_trials = np.count_nonzero(is_fixed.any(axis=1)) / np.count_nonzero(counted.any(axis=1))
    if share == 1 or in_trials < MOST_TRIALS:
        return None
    y, w, others = targets[counted], weights[counted], ~is_fixed[counted]
    mean = w @ y / total
    other = w[others] @ y[others] / w[others].sum()
    between = share * np.square(target - mean).sum() + (1 - share) * np.square(other - mean).sum()
    explained = float(total * between / (w @ np.square(y - mean).sum(axis=1)))
    if explained > 1 - 1e-9:  # two targets only: the more frequent may be a decision itself
        return None
    return Fixation(target, share, explained)
