"""Denominators of measures, kept per trial so that trials can be resampled.

With the per-trial sums s_i of a measure, its value on a multiset in which trial i occurs m_i times
is ``m @ s / denominator.total(m)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from ..._internal.brief import Brief
from ..._internal.checks import FloatArray

__all__ = ["Denominator", "Variance", "Weight", "denominator_arrays", "denominator_of"]

_Float64: TypeAlias = npt.NDArray[np.float64]
Multiplicity: TypeAlias = npt.NDArray[np.generic] | None
"""m, (trials,) or (n_resamples, trials); None means every trial once."""


class Denominator(Protocol):
    """The denominator of a measure on any multiset of the trials."""

    def total(self, multiplicity: Multiplicity = None) -> _Float64:
        """The denominator, () or (n_resamples,)."""


@dataclass(frozen=True, eq=False, repr=False)
class Variance(Brief):
    """The variance of the targets, the denominator of FVU.

    Attributes
    ----------
    weight : (trials,)
        n_i = Σ_t w_t.
    mean : (N_y,)
        ȳ, the weighted mean target of each channel over all trials and steps.
    sums : (trials, N_y)
        s_i = Σ_t w_t (y_t - ȳ).
    squares : (trials,)
        q_i = Σ_t w_t ‖y_t - ȳ‖². The shift by ȳ preserves the variance and avoids cancellation
        for targets far from zero.
    """

    weight: _Float64
    mean: _Float64
    sums: _Float64
    squares: _Float64

    @classmethod
    def of(cls, targets: FloatArray, weights: FloatArray) -> Variance:
        """The variance of targets (trials, steps, N_y) under weights (trials, steps)."""
        w = weights.astype(np.float64, copy=False)
        with np.errstate(over="ignore", invalid="ignore"):  # see total
            weight = w.sum(axis=1)
            mean = np.einsum("nt,ntc->c", w, targets) / weight.sum()
            deviations = targets - mean
            return cls(
                weight=weight,
                mean=mean,
                sums=np.einsum("nt,ntc->nc", w, deviations),
                squares=np.einsum("nt,ntc,ntc->n", w, deviations, deviations),
            )

    def total(self, multiplicity: Multiplicity = None) -> _Float64:
        """Σ_i m_i q_i - ‖Σ_i m_i s_i‖² / Σ_i m_i n_i.

        This is Σ w ‖y - ȳ‖² over the multiset with its own mean ȳ. At least 0; NaN for a multiset
        without weight.

        Raises
        ------
        ValueError
            `multiplicity` is None and the targets do not vary, or so widely that their variance
            overflows: FVU is undefined.
        """
        counts = _counts(multiplicity, self.weight)
        with np.errstate(over="ignore", invalid="ignore"):
            sums = counts @ self.sums
            between = np.square(sums).sum(axis=-1) / (counts @ self.weight)
            # Where `between` overflows, the difference would be 0 at the least.
            rest = np.where(np.isfinite(between), counts @ self.squares - between, np.nan)
            variance: _Float64 = np.maximum(rest, 0.0)
        if multiplicity is None:
            if not np.isfinite(variance):
                raise ValueError(
                    "targets must have a variance that float64 can hold, got targets or weights so "
                    "large that it overflows; divide them, and the network's outputs, by a constant"
                )
            rounding = np.square(np.finfo(np.float64).eps * self.mean).sum() * self.weight.sum()
            if variance <= rounding:
                raise ValueError(
                    "targets must vary over the weighted steps: their variance is zero, so FVU is "
                    "undefined"
                )
        return variance


@dataclass(frozen=True, eq=False, repr=False)
class Weight(Brief):
    """The total weight of the counted entries, the denominator of a mean.

    Attributes
    ----------
    counted : (trials,)
        n_i, the weight of each trial.
    channels : ()
        Number of scores that each unit of weight counts.
    """

    counted: _Float64
    channels: _Float64 = field(default_factory=lambda: np.asarray(1.0))

    def total(self, multiplicity: Multiplicity = None) -> _Float64:
        """Channels times Σ_i m_i n_i; ValueError if `multiplicity` is None and it is 0."""
        weight: _Float64 = self.channels * (_counts(multiplicity, self.counted) @ self.counted)
        if multiplicity is None and weight <= 0:
            raise ValueError("targets must have a counted entry of positive weight, got none")
        return weight


def denominator_arrays(denominator: Denominator | None) -> dict[str, _Float64]:
    """The arrays of a denominator by name, for files; none for a plain mean over trials."""
    if not isinstance(denominator, (Variance, Weight)):
        return {}
    return {item.name: getattr(denominator, item.name) for item in fields(denominator)}


def denominator_of(arrays: Mapping[str, npt.NDArray[Any]]) -> Denominator | None:
    """The denominator whose `denominator_arrays` are among these arrays, or None."""
    for kind in (Variance, Weight):
        names = [item.name for item in fields(kind)]
        if all(name in arrays for name in names):
            return kind(**{name: arrays[name] for name in names})
    return None


def _counts(multiplicity: Multiplicity, like: _Float64) -> _Float64:
    return np.ones_like(like) if multiplicity is None else multiplicity.astype(np.float64)
