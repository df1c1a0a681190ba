"""Losses of sets of pairs, by exact rollouts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..ablation.evaluate import Evaluator
from ..ablation.resamples import Resamples, percentile_ends
from .exact import full_sums
from .pairs import Pairs

__all__ = ["Losses"]

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]


class Losses:
    """Losses of sets of pairs on some trials, relative to the full network."""

    def __init__(self, evaluator: Evaluator, pairs: Pairs) -> None:
        self.evaluator, self._pairs = evaluator, pairs
        self._sign = evaluator.measure.loss_sign
        self._full = full_sums(evaluator)

    def sums(self, sets: list[_Int64]) -> _Float64:
        """Paired differences of the measure's sums, (sets, trials); positive is worse."""
        gains = np.ones((len(sets), len(self._pairs)))
        for row, members in enumerate(sets):
            gains[row, members] = 0.0
        per_trial, _ = self.evaluator.sums(self._pairs.batch(gains))
        with np.errstate(invalid="ignore", over="ignore"):
            difference: _Float64 = self._sign * (per_trial - self._full)
        return difference

    def loss(self, sets: list[_Int64]) -> _Float64:
        """The loss of each set; infinite where a rollout diverges."""
        losses = self.sums(sets).sum(axis=1) / self.evaluator.total
        finite: _Float64 = np.where(np.isfinite(losses), losses, np.inf)
        return finite

    def longest(self, order: _Int64, tolerance: float, least: int = 0) -> int:
        """The length of a longest prefix within the tolerance, by bisection.

        The loss need not be monotone along the order: the last place of a coarse grid that is still
        within the tolerance comes first. 0 if no prefix of at least `least` pairs is.
        """
        grid = np.unique(np.linspace(least, len(order), 17).round().astype(np.int64))
        last = self._last_within(order, grid, tolerance)
        if last < 0:
            return 0
        low = int(grid[last])
        high = int(grid[last + 1]) if last + 1 < len(grid) else low + 1
        while high - low > 1:
            sizes = np.unique(np.linspace(low, high, 6).round().astype(np.int64))[1:-1]
            place = self._last_within(order, sizes, tolerance)
            if place >= 0:
                low = int(sizes[place])
                high = int(sizes[place + 1]) if place + 1 < len(sizes) else high
            else:
                high = int(sizes[0])
        return low

    def _last_within(self, order: _Int64, sizes: _Int64, tolerance: float) -> int:
        """Place of the last size whose prefix is within the tolerance; -1 if there is none.

        From the end, as most sizes need not be run.
        """
        for place in range(len(sizes) - 1, -1, -1):
            if self.loss([order[: sizes[place]]])[0] <= tolerance:
                return place
        return -1

    def interval(self, members: _Int64, level: float, resamples: Resamples) -> _Float64:
        """Bootstrap interval of the loss of a set: (2,)."""
        ends: _Float64 = percentile_ends(resamples.values(self.sums([members])), level)[0]
        return ends

    def added(self, removed: _Int64, candidates: _Int64) -> _Float64:
        """Loss added by removing each candidate too, and its standard error: (candidates, 2)."""
        if not candidates.size:
            return np.empty((0, 2))
        sets = [removed, *(np.append(removed, candidate) for candidate in candidates)]
        differences = self.sums(sets)
        added: _Float64 = (differences[1:] - differences[0]) / self.evaluator.total
        n_trials = added.shape[1]
        error = added.std(axis=1, ddof=1) * np.sqrt(n_trials) if n_trials > 1 else added.sum(1)
        columns: _Float64 = np.stack([added.sum(axis=1), error], axis=1)
        return columns
