"""Measures of a network's outputs, and the effect of an ablation per unit of removed Schur mass.

All sums are in float64, whatever the dtype of the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from .._internal.checks import FloatArray, real_array, step_weights

__all__ = ["TargetStatistics", "fvu", "replay_accuracy", "require_signs", "sensitivity"]

_Float64: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TargetStatistics:
    """What the denominators of the measures need of the targets, per trial.

    With per-trial numerators, they give a measure on any multiset of the trials, in which trial i
    occurs m_i times: FVU is ``m @ squared_error / total_variance(m)`` and replay accuracy is
    ``m @ agreement / total_weight(m)``.

    Attributes
    ----------
    weight : (trials,)
        n_i = Σ_t w_t.
    mean : (N_y,)
        ȳ, the weighted mean target of each channel over all trials and steps.
    sums : (trials, N_y)
        s_i = Σ_t w_t (y_t - ȳ).
    squares : (trials,)
        q_i = Σ_t w_t ‖y_t - ȳ‖². The shift by ȳ changes no variance; without it, targets far from
        zero would lose their digits.
    """

    weight: _Float64
    mean: _Float64
    sums: _Float64
    squares: _Float64

    @classmethod
    def of(cls, targets: FloatArray, weights: FloatArray) -> TargetStatistics:
        """The statistics of targets (trials, steps, N_y) under weights (trials, steps)."""
        w = weights.astype(np.float64, copy=False)
        weight = w.sum(axis=1)
        mean = np.einsum("nt,ntc->c", w, targets) / weight.sum()
        deviations = targets - mean
        return cls(
            weight=weight,
            mean=mean,
            sums=np.einsum("nt,ntc->nc", w, deviations),
            squares=np.einsum("nt,ntc,ntc->n", w, deviations, deviations),
        )

    def total_variance(self, multiplicity: npt.NDArray[np.generic] | None = None) -> _Float64:
        """Σ_i m_i q_i - ‖Σ_i m_i s_i‖² / Σ_i m_i n_i, the denominator of FVU.

        That is Σ w ‖y - ȳ‖² over the multiset, ȳ being the multiset's own mean.

        Parameters
        ----------
        multiplicity : (trials,) or (n_resamples, trials), optional
            m, how often each trial occurs; None means once each.

        Returns
        -------
        () or (n_resamples,)
            At least 0. NaN for a multiset that weighs nothing.

        Raises
        ------
        ValueError
            `multiplicity` is None and the targets do not vary: FVU is undefined.
        """
        counts = self._counts(multiplicity)
        sums = counts @ self.sums
        with np.errstate(invalid="ignore"):
            between = np.square(sums).sum(axis=-1) / (counts @ self.weight)
        variance: _Float64 = np.maximum(counts @ self.squares - between, 0.0)
        if multiplicity is None:
            rounding = np.square(np.finfo(np.float64).eps * self.mean).sum() * self.weight.sum()
            if variance <= rounding:
                raise ValueError(
                    "targets must vary over the weighted steps: their variance is zero, so FVU is "
                    "undefined"
                )
        return variance

    def total_weight(self, multiplicity: npt.NDArray[np.generic] | None = None) -> _Float64:
        """N_y Σ_i m_i n_i, the denominator of replay accuracy; m as in `total_variance`."""
        return self.mean.size * (self._counts(multiplicity) @ self.weight)

    def _counts(self, multiplicity: npt.NDArray[np.generic] | None) -> _Float64:
        if multiplicity is None:
            return np.ones_like(self.weight)
        return multiplicity.astype(np.float64)


def fvu(
    outputs: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float:
    """Fraction of variance unexplained: Σ w ‖ŷ - y‖² / Σ w ‖y - ȳ‖².

    Sums run over trials, steps and channels; ȳ is one vector, the weighted mean target of each
    channel over all trials and steps. 0 is perfect; a network that always answers ȳ has 1.

    Parameters
    ----------
    outputs, targets : (trials, steps, N_y)
        ŷ and y. Where the outputs are not finite, because the rollout diverged, neither is the FVU.
    weights : (trials, steps), optional
        w; None means ones.

    Raises
    ------
    TypeError, ValueError
        Arrays that are not real numbers, shapes that do not agree, targets or weights that are not
        finite, negative weights or only zeros, targets that do not vary.
    """
    y_hat, y, w = _checked(outputs, targets, weights)
    variance = TargetStatistics.of(y, w).total_variance()
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.einsum("nt,ntc->", w, np.square(y_hat - y))
    return float(error / variance)


def replay_accuracy(
    outputs: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float:
    """Weighted mean over trials, steps and channels of 1{sgn ŷ = y}, for targets of -1 and +1.

    An output of 0 has no sign and is wrong. NaN outputs, of a rollout that diverged, give NaN.

    Parameters
    ----------
    outputs, targets : (trials, steps, N_y)
        ŷ and y. Targets at steps of weight 0 do not matter.
    weights : (trials, steps), optional
        w; None means ones.

    Raises
    ------
    TypeError, ValueError
        As for `fvu`, and targets other than -1 and +1 at a step of positive weight.
    """
    y_hat, y, w = _checked(outputs, targets, weights)
    require_signs(y, w)
    agreement = np.where(np.isnan(y_hat), np.nan, np.sign(y_hat) == y)
    return float(np.einsum("nt,ntc->", w, agreement) / (w.sum() * y.shape[2]))


def sensitivity(
    change: npt.ArrayLike, removed_mass: npt.ArrayLike, vacuous: npt.ArrayLike | None = None
) -> _Float64:
    """S_ΔT = change / removed_mass: the effect of ablations per unit of removed Schur mass.

    Parameters
    ----------
    change : array
        Value of the measure with the ablation minus the value without.
    removed_mass : array of the same shape
        ‖ΔT‖_F / ‖T‖_F, at least 0.
    vacuous : boolean array of the same shape, optional
        Ablations that remove nothing: their sensitivity is undefined, NaN. None means those with
        removed_mass = 0.

    Raises
    ------
    TypeError, ValueError
        Arrays that are not real numbers, shapes that differ, a negative `removed_mass`, or one that
        is 0 where `vacuous` is false.
    """
    effect = real_array(change, "change", None, allow_nonfinite=True, allow_empty=True)
    because = f"change has shape {effect.shape}"
    mass = real_array(removed_mass, "removed_mass", effect.shape, because=because, allow_empty=True)
    if (mass < 0).any():
        raise ValueError(f"removed_mass must be at least 0, got {mass.min():g}")
    undefined = mass == 0 if vacuous is None else np.asarray(vacuous)
    if undefined.dtype != np.bool_ or undefined.shape != effect.shape:
        raise ValueError(
            f"vacuous must be boolean of shape {effect.shape} {because}, "
            f"got {undefined.dtype} {undefined.shape}"
        )
    if (mass[~undefined] == 0).any():
        raise ValueError("removed_mass must be positive where vacuous is false, got 0")
    result = np.full(effect.shape, np.nan)
    np.divide(effect, mass, out=result, where=~undefined)
    return result


def require_signs(targets: FloatArray, weights: FloatArray) -> None:
    """ValueError unless all targets are -1 or +1 wherever the weight of their step is positive."""
    wrong = (np.abs(targets) != 1) & (weights > 0)[..., None]
    if wrong.any():
        where = tuple(int(axis[0]) for axis in np.nonzero(wrong))
        raise ValueError(
            "targets must be -1 or +1 at every step of positive weight for replay accuracy, "
            f"got targets{list(where)} = {targets[where]:g}"
        )


def _checked(
    outputs: npt.ArrayLike, targets: npt.ArrayLike, weights: npt.ArrayLike | None
) -> tuple[_Float64, _Float64, _Float64]:
    y = real_array(targets, "targets", ("trials", "steps", "N_y"))
    because = f"targets has shape {y.shape}"
    y_hat = real_array(outputs, "outputs", y.shape, because=because, allow_nonfinite=True)
    steps = y.shape[:2]
    w = np.ones(steps) if weights is None else step_weights(weights, steps, because)
    return y_hat.astype(np.float64), y.astype(np.float64), w.astype(np.float64)
