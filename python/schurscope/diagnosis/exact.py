"""Exact effects of many ablations, on all trials or on as many as decide them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from .._internal.forks import load_before_forks
from ..ablation.batch import Batch
from ..ablation.evaluate import Evaluator
from ..ablation.plan import Ablation
from .pairs import Pairs
from .question import Progress

__all__ = ["Effects", "decided", "full_sums", "looks", "single_pairs", "undecided"]

load_before_forks("scipy.special")

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]
_ROWS_AT_ONCE = 256
_FIRST_TRIALS = 64


@dataclass(frozen=True, eq=False)
class Effects:
    """Changes of the measure under ablations.

    Attributes
    ----------
    change : (ablations,)
        The mean over the trials used, times what makes it the change on all of them.
    standard_error : (ablations,)
        Of `change`, over trials.
    n_trials : (ablations,)
        Trials used.
    """

    change: _Float64
    standard_error: _Float64
    n_trials: _Int64


def full_sums(evaluator: Evaluator, first: int = 0, end: int | None = None) -> _Float64:
    """Sums of the full network for each trial: (trials,)."""
    nothing = Batch.of([Ablation("full", (), ())], evaluator.coordinates.gates)
    per_trial, _ = evaluator.sums(nothing, first=first, end=end)
    full: _Float64 = per_trial[0]
    return full


def single_pairs(pairs: Pairs, which: _Int64) -> Batch:
    """One ablation for each of these pairs."""
    return pairs.batch(1.0 - np.eye(len(which)), which)


def decided(
    evaluator: Evaluator,
    batch: Callable[[_Int64], Batch],
    n_rows: int,
    *,
    tolerance: float | None = None,
    error_rate: float = 0.01,
    reference: Callable[[int, int], _Float64] | None = None,
    progress: Progress | None = None,
) -> Effects:
    """Effects of ablations 0 to n_rows - 1, on as many trials as decide them against a tolerance.

    With a tolerance τ, the trials come in batches that double their number, from 64. After each, an
    ablation is decided when the interval of its change Δ lies in one of Δ < -τ, -τ < Δ < τ and
    Δ > τ, and takes no more trials. The intervals are those of Student's t for the paired
    differences over trials; all looks together miss with probability at most `error_rate` for each
    ablation, by Bonferroni's inequality, where the mean difference is close to normal. The order of
    the trials must be random. Without a tolerance, all trials are used.

    Changes are relative to the full network, or to the `reference`, a function of the first and the
    end trial that gives their sums, (trials,); with τ = 0, each ablation is compared with it.
    """
    n_trials = evaluator.n_trials
    ends = [n_trials] if tolerance is None else looks(n_trials)
    sums, squares = np.zeros(n_rows), np.zeros(n_rows)
    used = np.zeros(n_rows, dtype=np.int64)
    scale = n_trials / evaluator.total
    active = np.arange(n_rows)
    first = done = 0
    for end in ends:
        full = full_sums(evaluator, first, end) if reference is None else reference(first, end)
        for start in range(0, len(active), _ROWS_AT_ONCE):
            rows = active[start : start + _ROWS_AT_ONCE]
            per_trial, _ = evaluator.sums(batch(rows), first=first, end=end)
            with np.errstate(invalid="ignore", over="ignore"):
                differences = (per_trial - full) * scale
                sums[rows] += differences.sum(axis=1)
                squares[rows] += np.square(differences).sum(axis=1)
            used[rows] = end
            if progress is not None:
                done += len(rows) * (end - first)
                progress(done, n_rows * n_trials)
        if end == n_trials or tolerance is None:
            break
        with np.errstate(invalid="ignore", over="ignore"):
            mean, error = sums / used, _standard_error(sums, squares, used)
        left = undecided(mean, error, tolerance, end - 1, error_rate / len(ends))
        active = active[left[active]]
        first = end
        if not active.size:
            break
    with np.errstate(invalid="ignore", over="ignore"):
        return Effects(sums / used, _standard_error(sums, squares, used), used)


def looks(n_trials: int) -> list[int]:
    """The numbers of trials after which to look: 64, then twice as many each time, up to all."""
    doublings = max(0, math.ceil(math.log2(n_trials / _FIRST_TRIALS)))
    return [min(_FIRST_TRIALS << look, n_trials) for look in range(doublings + 1)]


def undecided(
    mean: _Float64, error: _Float64, tolerance: float, degrees: int, error_rate: float
) -> npt.NDArray[np.bool_]:
    """Whether Student's interval of each mean reaches τ or -τ; False if it is not finite."""
    with np.errstate(invalid="ignore"):
        half = scipy.special.stdtrit(degrees, 1 - error_rate / 2) * error
        reaches: npt.NDArray[np.bool_] = np.abs(np.abs(mean) - tolerance) <= half
    return reaches & np.isfinite(mean)


def _standard_error(sums: _Float64, squares: _Float64, used: _Int64) -> _Float64:
    mean = sums / used
    variance = np.maximum(squares / used - mean**2, 0.0) / np.maximum(used - 1, 1)
    error: _Float64 = np.sqrt(variance)
    return error
