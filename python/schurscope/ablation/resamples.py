"""The paired bootstrap over trials."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .measures.denominators import Denominator

__all__ = ["Resamples", "percentile_ends"]

_Float64 = npt.NDArray[np.float64]
_AT_ONCE = 256  # bounds the memory


class Resamples:
    """Multisets of the trials, drawn with replacement, on which any ablations are measured.

    They are paired: each holds the same trials for every ablation. FVU divides by the variance of
    the targets in the multiset.

    Parameters
    ----------
    denominator : Denominator or None
        None for a mean over trials.
    n_trials, n_resamples : int
    rng : numpy.random.Generator

    Attributes
    ----------
    total : float
        The denominator on all trials, each once.
    """

    def __init__(
        self,
        denominator: Denominator | None,
        n_trials: int,
        n_resamples: int,
        rng: np.random.Generator,
    ) -> None:
        self.total = float(n_trials if denominator is None else denominator.total())
        chances = np.full(n_trials, 1.0 / n_trials)
        # A trial is drawn once on average, so that its count fits in a byte.
        self._counts = np.empty((n_resamples, n_trials), dtype=np.uint8)
        self._totals = np.full(n_resamples, self.total)
        for start in range(0, n_resamples, _AT_ONCE):
            block = slice(start, min(start + _AT_ONCE, n_resamples))
            counts = rng.multinomial(n_trials, chances, size=block.stop - start)
            self._counts[block] = counts
            if denominator is not None:
                self._totals[block] = denominator.total(counts)

    def values(self, sums: _Float64) -> _Float64:
        """The measure on each multiset, from sums (rows, trials): (rows, n_resamples)."""
        values = np.empty((len(sums), len(self._totals)))
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            for start in range(0, len(self._totals), _AT_ONCE):
                block = slice(start, start + _AT_ONCE)
                counts = self._counts[block].astype(np.float64)
                values[:, block] = sums @ counts.T / self._totals[block]
        return values


def percentile_ends(values: _Float64, level: float) -> _Float64:
    """Ends of the intervals of that level, from resampled values (..., n_resamples): (..., 2)."""
    ends = np.quantile(values, [0.5 - level / 2, 0.5 + level / 2], axis=-1)
    return np.moveaxis(ends, 0, -1)
