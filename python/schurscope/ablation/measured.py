"""Models outside the core, judged by a measure of the package: their profiles are `ablate`'s."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .._internal.checks import FloatArray, real_array
from ..trials.trials import Trials
from .measures import Measure
from .scoring import TargetStatistics, judged_trials, summed_scores, target_statistics

__all__ = ["MeasuredModel"]

_Float64 = npt.NDArray[np.float64]


class MeasuredModel:
    """What `ablate_with` evaluates: a model with W̃ on fixed trials, and its measure.

    Calling it with W̃ returns the contribution of each trial, (trials,), whose mean is the measure's
    value. `ablate_with` also reads the rest, so that values per step, chance, cautions and
    intervals are those of `ablate`.

    Attributes
    ----------
    measure : Measure
    trials : Trials
        Targets are the full model's outputs if the measure needs none.
    statistics : TargetStatistics
    """

    def __init__(self, outputs: Callable[[Any], FloatArray], trials: Trials, measure: Measure):
        """`outputs` takes W̃, or None for the model as it is, and returns (trials, steps, N_y)."""
        self._outputs = outputs
        self.measure, self.trials = measure, trials
        self.trials = judged_trials(measure, trials, lambda: self._checked(None))
        self.statistics: TargetStatistics = target_statistics(measure, self.trials)

    def sums(self, W: Any, ablation: str) -> tuple[_Float64, _Float64]:
        """Sums of the scores, (trials,) and (steps,); see `summed_scores`."""
        return summed_scores(self.measure, self._checked(W), self.trials, ablation)

    def __call__(self, W: Any) -> _Float64:
        """Contributions of the trials, (trials,)."""
        per_trial, _ = self.sums(W, "the matrix")
        with np.errstate(over="ignore", invalid="ignore"):
            return per_trial * (self.trials.n_trials / self.statistics.total)

    def _checked(self, W: Any) -> FloatArray:
        shape = self.trials.targets.shape
        wanted = shape if self.trials.has_targets else (*shape[:2], "N_y")
        told = f"targets has shape {shape}" if self.trials.has_targets else ""
        given = self._outputs(W)
        return real_array(given, "the module's outputs", wanted, because=told, allow_nonfinite=True)
