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

__all__ = ["Effects", "Reference", "decided", "full_sums", "looks", "single_pairs", "undecided"]

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


@dataclass(frozen=True, eq=False)
class Reference:
    """One ablation on all trials, with which others are compared.

    Attributes
    ----------
    sums : (trials,)
        Its sums for each trial.
    control : (trials,)
        The same minus those of the full network.
    """

    sums: _Float64
    control: _Float64


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
    reference: Reference | None = None,
    progress: Progress | None = None,
    seen: Callable[[_Float64], None] | None = None,
) -> Effects:
    """Effects of ablations 0 to n_rows - 1, on as many trials as decide them against a tolerance.

    With a tolerance τ, the trials come in batches that double their number, from 64. After each, an
    ablation is decided when the interval of its change Δ lies in one of Δ < -τ, -τ < Δ < τ and
    Δ > τ, and takes no more trials. The intervals are those of Student's t for the paired
    differences over trials; all looks together miss with probability at most `error_rate` for each
    ablation, by Bonferroni's inequality, where the mean difference is close to normal. The order of
    the trials must be random. Without a tolerance, all trials are used.

    Changes are relative to the full network, or to a `reference` that was run on all trials; with
    τ = 0, each ablation is compared with it. The mean of its `control` over all trials is known and
    the mean over all trials is what is asked for, so the estimate is that of regression on the
    control, with the correction for sampling without replacement. Source: Cochran, Sampling
    Techniques (1977), chapters 2 and 7.

    `seen` is called with the differences of each trial, (ablations, trials), of some ablations
    after others, scaled such that their mean over all trials is the change.
    """
    n_trials = evaluator.n_trials
    ends = [n_trials] if tolerance is None else looks(n_trials)
    control = np.zeros(n_trials) if reference is None else reference.control
    control = control - control.mean()
    sums, squares, products = np.zeros((3, n_rows))
    used = np.zeros(n_rows, dtype=np.int64)
    scale = n_trials / evaluator.total
    active = np.arange(n_rows)
    first = done = 0
    for end in ends:
        if reference is None:
            base = full_sums(evaluator, first, end)
        else:
            base = reference.sums[first:end]
        for start in range(0, len(active), _ROWS_AT_ONCE):
            rows = active[start : start + _ROWS_AT_ONCE]
            per_trial, _ = evaluator.sums(batch(rows), first=first, end=end)
            with np.errstate(invalid="ignore", over="ignore"):
                differences = (per_trial - base) * scale
                sums[rows] += differences.sum(axis=1)
                squares[rows] += np.square(differences).sum(axis=1)
                if reference is not None:
                    products[rows] += (differences * control[first:end]).sum(axis=1)
            if seen is not None:
                seen(differences)
            used[rows] = end
            if progress is not None:
                done += len(rows) * (end - first)
                progress(done, n_rows * n_trials)
        if end == n_trials or tolerance is None:
            break
        effects = _effects(sums, squares, products, used, control)
        left = undecided(
            effects.change, effects.standard_error, tolerance, end - 1, error_rate / len(ends)
        )
        active = active[left[active]]
        first = end
        if not active.size:
            break
    return _effects(sums, squares, products, used, control)


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


def _effects(
    sums: _Float64, squares: _Float64, products: _Float64, used: _Int64, control: _Float64
) -> Effects:
    """Effects from sums of differences, of their squares, and of products with the control.

    The control is that of all trials, its mean 0; all zeros if there is none.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        mean = sums / used
        variance = np.maximum(squares / used - mean**2, 0.0)
        if not control.any():
            return Effects(mean, np.sqrt(variance / np.maximum(used - 1, 1)), used)
        known = np.cumsum(control)[used - 1] / used
        spread = np.cumsum(np.square(control))[used - 1] / used - known**2
        shared = products / used - mean * known
        slope = np.divide(shared, spread, out=np.zeros_like(shared), where=spread > 0)
        residual = np.maximum(variance - slope * shared, 0.0) / np.maximum(used - 2, 1)
        error = np.sqrt(residual * (1 - used / len(control)))
        return Effects(mean - slope * known, error, used)
