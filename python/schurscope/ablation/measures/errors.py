"""Errors: fraction of variance unexplained, by targets or the full network; cross entropy."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..._internal.checks import FloatArray
from .base import Measure, weighted
from .denominators import Denominator, Variance
from .fixation import Fixation

__all__ = ["cross_entropy", "fidelity", "fvu"]

_Float64: TypeAlias = npt.NDArray[np.float64]


class FVU(Measure):
    """Fraction of variance unexplained: Σ w ‖ŷ - y‖² / Σ w ‖y - ȳ‖².

    Sums run over trials, steps and channels; ȳ is one vector, the weighted mean target of each
    channel over all trials and steps. 0 is perfect; a network that always answers ȳ has 1.
    """

    name = "fvu"
    heading = label = "FVU"
    better = "lower"
    required = 0.1  # a choice of this package; the paper's networks reach 0.01
    baseline = "the mean target"
    kernel = "squared_error"

    def scores(self, outputs: _Float64, targets: _Float64) -> _Float64:
        """‖ŷ_t - y_t‖²."""
        difference = outputs - targets
        scores: _Float64 = np.einsum("ntc,ntc->nt", difference, difference)
        return scores

    def gradient(self, outputs: _Float64, targets: _Float64) -> _Float64:
        """2 (ŷ_t - y_t)."""
        gradient: _Float64 = 2 * (outputs - targets)
        return gradient

    def half_curvature(self, outputs: _Float64, targets: _Float64, signs: _Float64) -> _Float64:
        """The signs themselves: half the curvature is the identity."""
        return signs

    def denominator(self, targets: FloatArray, weights: _Float64) -> Denominator:
        """The variance of the targets."""
        return Variance.of(targets, weights)

    def chance(self, targets: FloatArray, weights: _Float64) -> float:
        """1, the value of the mean target."""
        return 1.0

    def is_dominated(self, fixation: Fixation) -> bool:
        """Whether telling fixation from the rest explains most of the variance."""
        return fixation.variance > 0.5


class Fidelity(FVU):
    """FVU against the outputs of the full network, which take the place of the targets.

    It measures how far an ablation moves the behaviour, correct or not: d_D(f_W, f_W̃) of an
    ε-stabilizer (Dräger, arXiv:2606.18457). It needs no targets.
    """

    name = "fidelity"
    heading = label = "fidelity"
    baseline = "its mean output"
    needs_targets = False


class CrossEntropy(Measure):
    """Mean of -Σ_c y_c log softmax(ŷ)_c over weighted steps, in nats.

    The outputs are logits, the targets one-hot vectors or probabilities, or class indices.
    """

    name = "cross_entropy"
    heading = label = "cross entropy"
    unit = "nats"
    better = "lower"
    required = 0.36  # log(1 / 0.7): on average the right class gets 0.7 of the probability
    baseline = "the frequencies of the classes"
    takes_classes = True
    kernel = "cross_entropy"

    def scores(self, outputs: _Float64, targets: _Float64) -> _Float64:
        """Σ_c y_c (log Σ_k exp ŷ_k - ŷ_c)."""
        largest = outputs.max(axis=2, keepdims=True)
        log_sum = np.log(np.exp(outputs - largest).sum(axis=2, keepdims=True)) + largest
        scores: _Float64 = np.einsum("ntc,ntc->nt", targets, log_sum - outputs)
        return scores

    def gradient(self, outputs: _Float64, targets: _Float64) -> _Float64:
        """(Σ_c y_c) p - y, with p = softmax(ŷ)."""
        gradient: _Float64 = targets.sum(axis=2, keepdims=True) * _softmax(outputs) - targets
        return gradient

    def half_curvature(self, outputs: _Float64, targets: _Float64, signs: _Float64) -> _Float64:
        """(½ Σ_c y_c)^½ (√p ∘ v - p √pᵀ v), as the curvature is Σ_c y_c (diag p - p pᵀ)."""
        p = _softmax(outputs)
        turned = np.sqrt(p) * signs
        turned -= p * turned.sum(axis=2, keepdims=True)
        scaled: _Float64 = np.sqrt(targets.sum(axis=2, keepdims=True) / 2) * turned
        return scaled

    def check(self, targets: FloatArray, weights: _Float64) -> None:
        """The targets must be probabilities at every step of positive weight."""
        wrong = (targets < 0).any(axis=2) | (np.abs(targets.sum(axis=2) - 1) > 1e-3)
        wrong |= targets.shape[2] < 2
        if (where := np.argwhere(wrong & (weights > 0))).size:
            trial, step = where[0].tolist()
            raise ValueError(
                "targets must be one-hot vectors or probabilities of two classes or more for "
                f"cross entropy, got targets[{trial}, {step}] = {targets[trial, step].tolist()}"
            )

    def chance(self, targets: FloatArray, weights: _Float64) -> float:
        """The entropy of the class frequencies, the value of answering with them."""
        shares = weighted(targets, weights[..., None]).sum(axis=(0, 1)) / weights.sum()
        present = shares[shares > 0]
        return float(-(present * np.log(present)).sum())


def _softmax(outputs: _Float64) -> _Float64:
    odds = np.exp(outputs - outputs.max(axis=2, keepdims=True))
    probabilities: _Float64 = odds / odds.sum(axis=2, keepdims=True)
    return probabilities


fvu = FVU()
fidelity = Fidelity()
cross_entropy = CrossEntropy()
