"""Paired bootstrap intervals of changes over trials."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..ablation.measures import Denominator

__all__ = ["paired_interval"]

_Float64 = npt.NDArray[np.float64]
_RESAMPLES = 2000
_AT_ONCE = 256


def paired_interval(
    differences: _Float64,
    denominator: Denominator | None,
    total: float,
    level: float,
    random: np.random.Generator,
) -> _Float64:
    """Percentile intervals of Σ_i d_i over the denominator, for resampled trials.

    Parameters
    ----------
    differences : (rows, trials)
        Differences of a measure's sums for each trial.
    denominator : Denominator or None
        Of the measure, resampled with the trials; None divides by `total`.
    total : float
    level : float
        Coverage, in (0, 1].
    random : numpy.random.Generator

    Returns
    -------
    (rows, 2)
        NaN for rows that are not finite.
    """
    n_trials = differences.shape[1]
    finite = np.isfinite(differences).all(axis=1)
    values = np.empty((int(finite.sum()), _RESAMPLES))
    chances = np.full(n_trials, 1 / n_trials)
    for start in range(0, _RESAMPLES, _AT_ONCE):
        size = min(_AT_ONCE, _RESAMPLES - start)
        counts = random.multinomial(n_trials, chances, size=size)
        divisor = total if denominator is None else denominator.total(counts)
        values[:, start : start + size] = differences[finite] @ counts.T / divisor
    ends = np.full((len(differences), 2), np.nan)
    ends[finite] = np.quantile(values, [0.5 - level / 2, 0.5 + level / 2], axis=1).T
    return ends
