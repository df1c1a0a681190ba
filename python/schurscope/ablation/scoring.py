"""A measure on fixed trials: what it needs of the targets, and its sums for given outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from .._internal.checks import FloatArray, real_array
from ..trials.trials import Trials
from .measures import Denominator, Measure, Score
from .measures.base import weighted

__all__ = [
    "TargetStatistics",
    "judged_trials",
    "plain_mean",
    "summed_scores",
    "target_statistics",
]

_Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TargetStatistics:
    """Statistics of the targets and weights that the measure needs, for all ablations.

    Attributes
    ----------
    denominator : Denominator or None
        None for a score, which is a mean over trials.
    total : float
        The value of an ablation is the sum over trials of its sums, divided by this.
    step_weight : (steps,)
    chance : float
    caution : str
        See `Measure.trials_caution`.
    """

    denominator: Denominator | None
    total: float
    step_weight: _Float64
    chance: float
    caution: str

    @classmethod
    def of(cls, measure: Measure, trials: Trials) -> TargetStatistics:
        """The statistics of these trials' targets."""
        if isinstance(measure, Score):
            return plain_mean(trials.n_trials)
        targets = trials.targets  # not converted: float32 targets are exact in float64 sums
        weights = trials.step_weights.astype(np.float64)
        measure.check(targets, weights)
        denominator = measure.denominator(targets, weights)
        return cls(
            denominator,
            float(denominator.total()),
            measure.step_weight(targets, weights),
            measure.chance(targets, weights),
            measure.trials_caution(targets, weights) if measure.needs_targets else "",
        )


def plain_mean(n_trials: int) -> TargetStatistics:
    """Those of a score, whose value is its mean over trials."""
    return TargetStatistics(None, float(n_trials), np.empty(0), float("nan"), "")


# The same trials often judge many networks, cuts or orders. Forgotten with the trials.
_known: WeakKeyDictionary[Trials, dict[Measure, TargetStatistics]] = WeakKeyDictionary()


def target_statistics(measure: Measure, trials: Trials) -> TargetStatistics:
    """The statistics, computed once for each of the package's measures."""
    if measure.kernel is None:  # a user's measure may change
        return TargetStatistics.of(measure, trials)
    known = _known.setdefault(trials, {})
    if measure not in known:
        known[measure] = TargetStatistics.of(measure, trials)
    return known[measure]


def judged_trials(
    measure: Measure, trials: Trials, full_outputs: Callable[[], FloatArray]
) -> Trials:
    """The trials, with the full network's outputs as targets if the measure needs none."""
    if isinstance(measure, Score):
        return trials
    if measure.needs_targets:
        if not trials.has_targets:
            raise ValueError(
                f"trials must have targets for measure={measure.name!r}, got only inputs; "
                "measure='fidelity' compares with the full network's outputs"
            )
        return trials
    full = full_outputs()
    if not np.isfinite(full).all():
        raise ValueError(
            f"network must have finite outputs for measure={measure.name!r}, got a full network "
            "that diverges"
        )
    return trials.with_targets(full)


def summed_scores(
    measure: Measure, outputs: FloatArray, trials: Trials, ablation: str
) -> tuple[_Float64, _Float64]:
    """Weighted sums of a measure's scores of outputs (trials, steps, N_y).

    Returns
    -------
    per_trial : (trials,)
    per_step : (steps,)
        No steps for a score: (0,).
    """
    if isinstance(measure, Score):
        assert measure.function is not None
        given = measure.function(outputs.copy(), trials)
        name = f"the scores that {measure.name} returns for {ablation}"
        scores = real_array(given, name, (trials.n_trials,), allow_nonfinite=True)
        return scores.astype(np.float64), np.empty(0)
    targets = trials.targets.astype(np.float64)
    weights = trials.step_weights.astype(np.float64)
    with np.errstate(all="ignore"):  # a rollout may diverge
        scores = measure.scores(outputs.astype(np.float64), targets)
    name = f"the scores of {measure.name}"
    checked = real_array(scores, name, weights.shape, allow_nonfinite=True)
    with np.errstate(all="ignore"):
        summed = weighted(checked.astype(np.float64), weights)
        return summed.sum(axis=1), summed.sum(axis=0)
