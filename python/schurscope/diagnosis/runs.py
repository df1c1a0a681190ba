"""Runs of many ablations, with intervals of their changes over trials."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from ..ablation.batch import Batch
from ..ablation.evaluate import Evaluator
from ..ablation.resamples import Resamples
from .exact import full_sums

__all__ = ["batch_differences", "changes", "made_differences", "mean_change", "resamples_of"]

_Float64 = npt.NDArray[np.float64]
_RESAMPLES = 2000
_ROWS_AT_ONCE = 256
_BYTES_AT_ONCE = 2**27


def resamples_of(evaluator: Evaluator, rng: np.random.Generator) -> Resamples:
    """Multisets of the evaluator's trials."""
    return Resamples(evaluator.denominator, evaluator.n_trials, _RESAMPLES, rng)


def made_differences(
    evaluator: Evaluator,
    n_rows: int,
    made: Callable[[slice], Batch],
    first: int = 0,
    end: int | None = None,
) -> Iterator[tuple[slice, _Float64]]:
    """Each trial's sums minus those of the full network, for some ablations at a time.

    `made` makes the ablations of a slice of rows; the trials are `first` to ``end - 1``.
    """
    full = full_sums(evaluator, first, end)
    per_row = 8 * (len(full) + evaluator.trials.n_steps)
    size = max(1, min(_ROWS_AT_ONCE, _BYTES_AT_ONCE // per_row))
    for start in range(0, n_rows, size):
        rows = slice(start, min(start + size, n_rows))
        per_trial, _ = evaluator.sums(made(rows), first=first, end=end)
        with np.errstate(invalid="ignore", over="ignore"):
            per_trial -= full
        yield rows, per_trial


def batch_differences(evaluator: Evaluator, batch: Batch) -> Iterator[tuple[slice, _Float64]]:
    """`made_differences` of a batch."""
    return made_differences(evaluator, len(batch), lambda rows: batch.rows(rows.start, rows.stop))


def changes(evaluator: Evaluator, batch: Batch) -> _Float64:
    """Change of the measure under each ablation: (rows,)."""
    change = np.empty(len(batch))
    for rows, differences in batch_differences(evaluator, batch):
        change[rows] = mean_change(evaluator, differences)
    return change


def mean_change(evaluator: Evaluator, differences: _Float64) -> _Float64:
    """Change of the measure from the differences of each trial, (rows, trials): (rows,)."""
    with np.errstate(invalid="ignore", over="ignore"):  # a rollout may diverge
        change: _Float64 = differences.sum(axis=-1) / evaluator.total
    return change
