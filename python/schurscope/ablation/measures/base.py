"""The interface of measures: the score of outputs against targets, and its interpretation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ..._internal.arrays import one_hot
from ..._internal.checks import FloatArray, choice, real_array, shown, step_weights
from .denominators import Denominator, Weight
from .fixation import Fixation, fixation_of

if TYPE_CHECKING:
    from ...trials.trials import Trials

__all__ = ["Measure", "Score", "measure_named"]

_Float64: TypeAlias = npt.NDArray[np.float64]
ScoreFunction: TypeAlias = "Callable[[FloatArray, Trials], npt.ArrayLike]"


class Measure(ABC):
    """A measure of outputs: Σ w_t score_t over trials and steps, divided by a denominator.

    Subclass it for a measure of your own and pass an instance to `schurscope.ablate`. `name`,
    `heading`, `better` and `scores` suffice: the denominator defaults to the total weight, so that
    the measure is the weighted mean score. ``measure(outputs, targets, weights)`` evaluates it.

    Attributes
    ----------
    name : str
        Unique name.
    heading : str
        Heading in tables, such as ``"FVU"``.
    label : str
        Label of axes; the heading by default.
    unit : str
        Unit, such as ``"nats"``; empty if dimensionless.
    better : {"lower", "higher"} or None
        Which values are better; None if unknown.
    required : float
        Value that a full network must reach to have learnt its task; NaN if unknown.
    limits : (float, float) or None
        Range of the values, if bounded.
    baseline : str
        The answer whose value is `chance`, in words.
    needs_targets : bool
        Whether trials must have targets; otherwise the full network's outputs take their place.
    takes_classes : bool
        Whether targets may be class indices, (trials, steps) integers.
    surrogate : str
        Name of the measure whose second-order model stands for this one where it has no derivative;
        empty if it has one, or if there is none.
    kernel : str or None
        The policy of the compiled core that computes `scores`; None runs `scores` itself on the
        outputs of each ablation.
    """

    name: str
    heading: str
    label: str = ""
    unit: str = ""
    better: Literal["lower", "higher"] | None = None
    required: float = np.nan
    limits: tuple[float, float] | None = None
    baseline: str = "chance"
    needs_targets: bool = True
    takes_classes: bool = False
    surrogate: str = ""
    kernel: str | None = None

    @property
    def axis_label(self) -> str:
        """The label of an axis of values, with the unit."""
        label = self.label or self.heading
        return f"{label} ({self.unit})" if self.unit else label

    @property
    def change_label(self) -> str:
        """The label of an axis of changes."""
        space = "" if self.axis_label.isupper() else " "  # ΔFVU, but Δ accuracy
        return f"Δ{space}{self.axis_label}"

    @property
    def loss_sign(self) -> float:
        """-1 if higher values are better, else 1: what turns a change into a loss."""
        return -1.0 if self.better == "higher" else 1.0

    @abstractmethod
    def scores(self, outputs: _Float64, targets: _Float64) -> _Float64:
        """Unweighted score of every step, summed over channels: (trials, steps).

        NaN where an output is NaN because the rollout diverged.

        Parameters
        ----------
        outputs, targets : (trials, steps, N_y) float64
        """

    def gradient(self, outputs: _Float64, targets: _Float64) -> _Float64:
        """Slope d score / d ŷ of every step: (trials, steps, N_y).

        NotImplementedError if the score has no derivative.
        """
        raise NotImplementedError(f"{self.name} has no derivative")

    def half_curvature(self, outputs: _Float64, targets: _Float64, signs: _Float64) -> _Float64:
        """A v of every step, with A Aᵀ = ½ d² score / d ŷ² and v = `signs`: (trials, steps, N_y).

        Only scores of which lower values are better have such a factor near their best value.
        NotImplementedError if the score has no second derivative.
        """
        raise NotImplementedError(f"{self.name} has no second derivative")

    def check(self, targets: FloatArray, weights: _Float64) -> None:  # noqa: B027 - a hook
        """Raise ValueError if the targets do not suit the measure."""

    def denominator(self, targets: FloatArray, weights: _Float64) -> Denominator:
        """Divisor of the weighted sum of the scores; the total weight unless overridden."""
        return Weight(weights.sum(axis=1))

    def step_weight(self, targets: FloatArray, weights: _Float64) -> _Float64:
        """Weight of each step, summed over trials, that normalises values per step: (steps,)."""
        summed: _Float64 = weights.sum(axis=0)
        return summed

    def chance(self, targets: FloatArray, weights: _Float64) -> float:
        """The value of an answer that ignores the inputs; NaN if unknown."""
        return np.nan

    def passes(self, value: float, required: float | None = None) -> bool:
        """Whether a full network of this value has learnt its task; False for NaN."""
        threshold = self.required if required is None else required
        return bool(value >= threshold if self.better == "higher" else value <= threshold)

    def caution(self, value: float, chance: float) -> str:
        """A warning if a full network of this value is nearer to chance than to `required`."""
        if self.better is None:
            return ""
        if value <= chance if self.better == "higher" else value >= chance:
            return (
                f"the full network is no better than {self.baseline}: check its activation, leak "
                "and biases, and the trials' axes"
            )
        # NaN, an unknown threshold or chance, is neither near nor far.
        if self.passes(value) or not abs(value - self.required) > abs(value - chance):
            return ""
        bound = "at least" if self.better == "higher" else "at most"
        unit = f" {self.unit}" if self.unit else ""
        return (
            f"the full network is far from doing the task: its {self.label or self.heading} of "
            f"{value:.3g}{unit} is nearer to {self.baseline} ({chance:.3g}) than to what a trained "
            f"network reaches ({bound} {self.required:g})"
        )

    def trials_caution(self, targets: FloatArray, weights: _Float64) -> str:
        """A warning if the measure `is_dominated` by steps of fixation, else empty."""
        found = fixation_of(targets, weights) if self.better is not None else None
        if found is None or not self.is_dominated(found):
            return ""
        shape = ", ".join(f"{entry:g}" for entry in found.target[:6])
        shape += ", …" if len(found.target) > 6 else ""
        return (
            f"{100 * found.share:.0f} % of the weighted steps have the same target, [{shape}], as "
            f"in fixation, and dominate the {self.heading}: count the other steps only, with "
            "trials.with_weights(…)"
        )

    def is_dominated(self, fixation: Fixation) -> bool:
        """Whether the measure is mostly about the fixation; true for means over steps."""
        return True

    def __call__(
        self,
        outputs: npt.ArrayLike,
        targets: npt.ArrayLike,
        weights: npt.ArrayLike | None = None,
    ) -> float:
        """The value of the measure; NaN or infinite where the rollout diverged.

        Parameters
        ----------
        outputs : (trials, steps, N_y)
            ŷ.
        targets : (trials, steps, N_y)
            y. Targets at steps of weight 0 do not matter.
        weights : (trials, steps), optional
            w; None means ones.

        Raises
        ------
        TypeError, ValueError
            Arrays are not real numbers, or their shapes disagree; targets or weights are not
            finite; weights are negative or all zero; the targets do not suit the measure.
        """
        y_hat, y, w = self._checked(outputs, targets, weights)
        self.check(y, w)
        denominator = float(self.denominator(y, w).total())
        with np.errstate(invalid="ignore", over="ignore"):
            return float(weighted(self.scores(y_hat, y), w).sum() / denominator)

    def __repr__(self) -> str:
        return f"Measure(name={self.name!r})"

    def _checked(
        self, outputs: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None
    ) -> tuple[_Float64, _Float64, _Float64]:
        shape = ("trials", "steps", "N_y")
        if self.takes_classes:
            classes = np.asarray(targets)
            if classes.ndim == 2 and classes.dtype.kind in "iu":
                n_classes = real_array(outputs, "outputs", shape, allow_nonfinite=True).shape[2]
                targets = one_hot(classes, n_classes, "targets")
        y = real_array(targets, "targets", shape)
        because = f"targets has shape {y.shape}"
        y_hat = real_array(outputs, "outputs", y.shape, because=because, allow_nonfinite=True)
        steps = y.shape[:2]
        w = np.ones(steps) if weights is None else step_weights(weights, steps, because)
        return y_hat.astype(np.float64), y.astype(np.float64), w.astype(np.float64)


class Score(Measure):
    """A user's score of each trial; its value is the mean over trials.

    ``function(outputs, trials)`` takes outputs (trials, steps, N_y) and their trials, and returns
    (trials,). It is None for the scores of `ablate_with`.
    """

    needs_targets = False

    def __init__(self, name: str, function: ScoreFunction | None = None) -> None:
        if not name or not str.isprintable(name):
            raise ValueError(f"measure must be printable text, got {shown(name)}")
        self.name = self.label = name
        self.heading = name if len(name) <= len("accuracy") else "score"
        self.function = function

    def scores(self, outputs: _Float64, targets: _Float64) -> _Float64:
        """Raise TypeError: a score belongs to a whole trial."""
        raise TypeError(f"{self.name} scores whole trials, not single steps")


def measure_named(measure: str | Measure | ScoreFunction) -> Measure:
    """The measure of that name, a `Measure` unchanged, or the `Score` of a function.

    ValueError, suggesting the nearest name, if there is none; TypeError for anything else.
    """
    from . import MEASURES

    if isinstance(measure, Measure):
        return measure
    if isinstance(measure, str):
        return MEASURES[choice(measure, "measure", MEASURES)]
    if not isinstance(measure, type) and callable(measure):
        return Score(getattr(measure, "__name__", "score").strip("<>"), measure)
    raise TypeError(
        "measure must be the name of a measure, a schurscope.measures.Measure or a function "
        f"f(outputs, trials) -> (trials,), got {shown(measure)}"
    )


def weighted(scores: FloatArray, weights: _Float64) -> _Float64:
    """w_t score_t; 0 at steps of weight 0, even where the score is not finite."""
    return np.where(weights > 0, scores * weights, 0.0)
