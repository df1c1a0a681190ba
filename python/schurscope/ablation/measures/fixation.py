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
    y, w = targets[counted], weights[counted]
    # A vector at more than half of the steps is the median of each channel.
    target = np.median(y, axis=0)
    is_fixed = np.zeros(counted.shape, np.bool_)
    is_fixed[counted] = (y == target).all(axis=1)
    here = is_fixed[counted]
    share = float(w[here].sum() / w.sum())
    in_trials = np.count_nonzero(is_fixed.any(axis=1)) / np.count_nonzero(counted.any(axis=1))
    if not MOST_STEPS < share < 1 or in_trials < MOST_TRIALS:
        return None
    mean = w @ y / w.sum()
    total = float(w @ np.square(y - mean).sum(axis=1))
    other = w[~here] @ y[~here] / w[~here].sum()
    between = share * np.square(target - mean).sum() + (1 - share) * np.square(other - mean).sum()
    explained = float(w.sum() * between / total)
    if explained > 1 - 1e-9:  # two targets only: the more frequent may be a decision itself
        return None
    return Fixation(target.astype(np.float64), share, explained)
