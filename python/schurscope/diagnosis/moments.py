"""Moments of the operands and adjoints of a gate's recurrent product, and of couplings' drives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..ablation.evaluate import Evaluator
from .second_order import probes

__all__ = ["FACTORS", "Moments", "factors_of", "moments_of"]

_Float64 = npt.NDArray[np.float64]
_TRIALS_AT_ONCE = 64  # so that what is made of them stays in the cache

FACTORS = ("mass", "activity", "reading", "coherence", "response")
"""The factors of a coupling's loss, see `Account`."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of rates and adjoints over trials and steps, and of the couplings' drives.

    Attributes
    ----------
    count : int
        Trials times steps.
    mean : (N_h,)
        Of the rates in Schur coordinates.
    second : (N_h, N_h)
        Σ z zᵀ over trials and steps.
    adjoint_power : float
        ⟨δ²⟩, the mean over trials, steps and dimensions.
    squares, drive, incoherent, coherent : (couplings,)
        ‖D_g‖², Σ ‖D_g z‖², Σ (δᵀ D_g z)² over trials and steps, and Σ over trials of the square of
        the sum over steps.
    """

    count: int
    mean: _Float64
    second: _Float64
    adjoint_power: float
    squares: _Float64
    drive: _Float64
    incoherent: _Float64
    coherent: _Float64

    @property
    def covariance(self) -> _Float64:
        """Of the rates in Schur coordinates: (N_h, N_h)."""
        covariance: _Float64 = self.second / self.count - np.outer(self.mean, self.mean)
        return covariance

    def isotropic(self, total: float) -> float:
        """Loss for each unit of squared mass, at mean state and adjoint power."""
        state_power = float(np.trace(self.second)) / (self.count * len(self.mean))
        return self.count * state_power * self.adjoint_power / total


def moments_of(
    evaluator: Evaluator, removed: Sequence[Sequence[_Float64]], rng: np.random.Generator
) -> list[Moments]:
    """The moments of each gate.

    Parameters
    ----------
    evaluator : Evaluator
    removed : for each gate and coupling (N_h, N_h)
        What the removal of the coupling takes from T.
    rng : numpy.random.Generator
        Source of the probes.
    """
    sums = [_Sums(len(of_gate), evaluator.network.n_hidden) for of_gate in removed]
    for part in probes(evaluator, rng):
        for gate, (schur, of_gate) in enumerate(
            zip(evaluator.coordinates.schurs, removed, strict=True)
        ):
            rates, deltas = evaluator.adjoints(gate, part.signs[0], part.first)
            for first in range(0, len(rates), _TRIALS_AT_ONCE):
                some = slice(first, first + _TRIALS_AT_ONCE)
                z, d = (x[some].astype(np.float64) @ schur.Q for x in (rates, deltas))
                sums[gate].add(z, d, of_gate)
    count = evaluator.n_trials * evaluator.trials.n_steps
    return [one.moments(count, of_gate) for one, of_gate in zip(sums, removed, strict=True)]


def factors_of(moments: Sequence[Moments], total: float, exact: _Float64) -> _Float64:
    """The factors of each gate's couplings, whose product is the exact loss: (couplings, 5)."""
    levels = [
        np.stack(
            [
                one.squares * one.isotropic(total),
                one.drive * one.adjoint_power / total,
                one.incoherent / total,
                one.coherent / total,
            ],
            axis=1,
        )
        for one in moments
    ]
    every = np.concatenate([np.concatenate(levels), exact[:, None]], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = every[:, 1:] / every[:, :-1]
    return np.concatenate([every[:, :1], ratios], axis=1)


class _Sums:
    """Sums over trials and steps, of one gate."""

    def __init__(self, n_couplings: int, n_hidden: int) -> None:
        self._first, self._second = np.zeros(n_hidden), np.zeros((n_hidden, n_hidden))
        self._adjoint = 0.0
        self._drive, self._incoherent, self._coherent = np.zeros((3, n_couplings))

    def add(self, z: _Float64, d: _Float64, removed: Sequence[_Float64]) -> None:
        """Add rates and adjoints in Schur coordinates: (trials, steps, N_h)."""
        steps = z.reshape(-1, z.shape[2])
        self._second += steps.T @ steps
        self._first += steps.sum(axis=0)
        self._adjoint += float(np.square(d).sum())
        for place, D in enumerate(removed):
            driven = z @ D.T
            read = (d * driven).sum(axis=2)
            self._drive[place] += np.square(driven).sum()
            self._incoherent[place] += np.square(read).sum()
            self._coherent[place] += np.square(read.sum(axis=1)).sum()

    def moments(self, count: int, removed: Sequence[_Float64]) -> Moments:
        """The moments over `count` trials and steps."""
        return Moments(
            count,
            self._first / count,
            self._second,
            self._adjoint / (count * len(self._first)),
            np.array([np.square(D).sum() for D in removed]),
            self._drive,
            self._incoherent,
            self._coherent,
        )
