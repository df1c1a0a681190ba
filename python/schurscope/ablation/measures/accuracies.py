"""Accuracies: fractions of correct signs or classes."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..._internal.checks import FloatArray
from .base import Measure, weighted
from .denominators import Denominator, Weight

__all__ = ["accuracy", "replay_accuracy", "sign_accuracy"]

_Float64: TypeAlias = npt.NDArray[np.float64]


class SignAccuracy(Measure):
    """Weighted mean over trials, steps and channels of 1{sgn ŷ = sgn y}.

    Entries whose target is 0 do not count: set targets to 0 to mask them. An output of 0 has no
    sign and is wrong.
    """

    name = "sign_accuracy"
    heading, label = "accuracy", "sign accuracy"
    better = "higher"
    required = 0.9
    limits = (0.0, 1.0)
    surrogate = "fvu"
    kernel = "agreement"

    def scores(self, outputs: _Float64, targets: _Float64) -> _Float64:
        """Number of channels with the right sign."""
        right = (np.sign(outputs) == np.sign(targets)) & (targets != 0)
        scores: _Float64 = np.where(np.isnan(outputs), np.nan, right).sum(axis=2)
        return scores

    def denominator(self, targets: FloatArray, weights: _Float64) -> Denominator:
        """The weight of all targets other than 0."""
        return Weight((weights * _n_counted(targets)).sum(axis=1))

    def step_weight(self, targets: FloatArray, weights: _Float64) -> _Float64:
        """The weight of the targets other than 0 at each step."""
        summed: _Float64 = (weights * _n_counted(targets)).sum(axis=0)
        return summed

    def chance(self, targets: FloatArray, weights: _Float64) -> float:
        """0.5, the value of a coin flip."""
        return 0.5


class ReplayAccuracy(SignAccuracy):
    """Weighted mean over trials, steps and channels of 1{sgn ŷ = y}, for targets of -1 and +1.

    Measure of the copy task (Dräger, arXiv:2606.18457). An output of 0 has no sign and is wrong.
    """

    name = "replay_accuracy"
    heading, label = "accuracy", "replay accuracy"

    def check(self, targets: FloatArray, weights: _Float64) -> None:
        """All targets must be -1 or +1 at every step of positive weight."""
        wrong = (np.abs(targets) != 1) & (weights > 0)[..., None]
        if wrong.any():
            where = tuple(int(axis[0]) for axis in np.nonzero(wrong))
            raise ValueError(
                "targets must be -1 or +1 at every step of positive weight for replay accuracy, "
                f"got targets{list(where)} = {targets[where]:g}; sign_accuracy masks targets of 0"
            )

    def denominator(self, targets: FloatArray, weights: _Float64) -> Denominator:
        """The weight of all steps, once for each channel: every target counts."""
        return Weight(weights.sum(axis=1), np.asarray(float(targets.shape[2])))

    def step_weight(self, targets: FloatArray, weights: _Float64) -> _Float64:
        """The weight of each step over all trials."""
        summed: _Float64 = weights.sum(axis=0)
        return summed


class Accuracy(Measure):
    """Weighted mean over trials and steps of 1{argmax ŷ = argmax y}.

    Outputs are class scores, targets one-hot vectors or class indices. Among equal outputs the
    first is the answer.
    """

    name = "accuracy"
    heading = label = "accuracy"
    better = "higher"
    required = 0.9
    limits = (0.0, 1.0)
    baseline = "always the most frequent class"
    takes_classes = True
    surrogate = "cross_entropy"
    kernel = "accuracy"

    def scores(self, outputs: _Float64, targets: _Float64) -> _Float64:
        """1 where the largest output is that of the class, else 0."""
        right = outputs.argmax(axis=2) == targets.argmax(axis=2)
        return np.where(np.isnan(outputs).any(axis=2), np.nan, right)

    def check(self, targets: FloatArray, weights: _Float64) -> None:
        """The targets must be one-hot at every step of positive weight."""
        is_one_hot = ((targets == 0) | (targets == 1)).all(axis=2) & (targets.sum(axis=2) == 1)
        wrong = ~is_one_hot | (targets.shape[2] < 2)
        if (where := np.argwhere(wrong & (weights > 0))).size:
            trial, step = where[0].tolist()
            raise ValueError(
                "targets must be one-hot vectors of two classes or more for accuracy, got "
                f"targets[{trial}, {step}] = {targets[trial, step].tolist()}"
            )

    def chance(self, targets: FloatArray, weights: _Float64) -> float:
        """The share of the most frequent class."""
        shares = weighted(targets, weights[..., None]).sum(axis=(0, 1)) / weights.sum()
        return float(shares.max())


def _n_counted(targets: FloatArray) -> npt.NDArray[np.int64]:
    """Number of channels with a target other than 0 at each step: (trials, steps)."""
    counts: npt.NDArray[np.int64] = np.count_nonzero(targets, axis=2)
    return counts


replay_accuracy = ReplayAccuracy()
accuracy = Accuracy()
sign_accuracy = SignAccuracy()
