"""Assembles an `AblationProfile` from sums over trials and steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._internal.checks import FloatDType
from .._version import __version__
from ..coordinates.schur import OrderedSchur
from ..coordinates.sectors import Sectors
from .batch import Batch
from .gates import GatedAblation, Row, rows_of
from .measures import Measure, sensitivity
from .plan import Ablation, removed_masses
from .profile import AblationProfile
from .scoring import TargetStatistics

__all__ = ["Assembly"]

_Float64 = npt.NDArray[np.float64]


class Assembly:
    """The rows of a profile: selects those to run, and builds the profile from their sums.

    Attributes
    ----------
    rows : tuple of Row
        The full network first.
    vacuous : (ablations,) bool
        Rows that remove no more than N_h · eps of the weights' dtype. They are not run; they repeat
        the full network's sums.
    """

    def __init__(
        self,
        schurs: Mapping[str, OrderedSchur],
        alpha: float,
        ablations: Iterable[str | Ablation] | Iterable[str | GatedAblation] | None,
        dtype: FloatDType,
        *,
        strict: bool,
    ) -> None:
        """`schurs` has the form of every gate, or of the only recurrent matrix under ``""``."""
        self._schurs, self._dtype = schurs, dtype
        self._sectors = {gate: schur.sectors(alpha) for gate, schur in schurs.items()}
        for sectors in self._sectors.values():
            if strict and not sectors.determined:
                raise ValueError(f"{sectors.warning} (strict=True)")
        self.rows = tuple(rows_of(ablations, self._sectors))
        self._gate_masses = {
            gate: removed_masses(schur, Batch.of([row.parts[gate] for row in self.rows]))
            for gate, schur in schurs.items()
        }
        self._removed_mass = self._joint_mass()
        n_hidden = next(iter(schurs.values())).n_hidden
        self.vacuous = self._removed_mass <= n_hidden * np.finfo(dtype).eps
        self.vacuous[0] = False  # the full network is the reference, not an intervention

    def _joint_mass(self) -> _Float64:
        """‖ΔT‖_F / ‖T‖_F over the gates that each row names."""
        if len(self._schurs) == 1:
            (only,) = self._gate_masses.values()
            return only.copy()
        norms = np.array([np.linalg.norm(schur.T) for schur in self._schurs.values()])
        masses = np.stack(list(self._gate_masses.values()), axis=1)
        named = np.array([[gate in row.named for gate in self._schurs] for row in self.rows])
        removed, whole = (np.linalg.norm(x * norms, axis=1) for x in (masses, named))
        shares = np.zeros(len(self.rows))
        np.divide(removed, whole, out=shares, where=whole > 0)
        return shares

    @property
    def running(self) -> tuple[Row, ...]:
        """The rows to run, in order."""
        return tuple(row for row, skip in zip(self.rows, self.vacuous, strict=True) if not skip)

    def spread(self, sums: _Float64) -> _Float64:
        """Rows for all ablations from those that ran; vacuous ones repeat the full network's."""
        if not self.vacuous.any():
            return sums
        return sums[np.where(self.vacuous, 0, np.cumsum(~self.vacuous) - 1)]

    def profile(
        self,
        measure: Measure,
        statistics: TargetStatistics,
        sums: tuple[_Float64, _Float64],
        settings: Mapping[str, Any] | None = None,
    ) -> AblationProfile:
        """The profile of sums over the steps and over the trials of the rows that ran.

        The sums are overwritten; `settings` extend those of every profile.
        """
        per_trial, per_step = map(self.spread, sums)
        step_weight, total = statistics.step_weight, statistics.total
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            value = per_trial.sum(axis=1) / total
            per_trial *= per_trial.shape[1] / total
            per_step /= step_weight
            per_step *= step_weight.sum() / total
            per_step[:, step_weight == 0] = np.nan
        with np.errstate(over="ignore", invalid="ignore"):
            change = value - value[0]
        change[0] = 0.0
        change[self.vacuous] = 0.0
        undefined = self.vacuous.copy()
        undefined[0] = True
        gates = list(self._schurs)
        origin = {
            "version": __version__,
            "level": _core.LEVEL,
            "dtype": self._dtype.name,
            "measure": measure.name,
            "alpha": self._sectors[gates[0]].alpha,
            "N_h": self._schurs[gates[0]].n_hidden,
            "n_trials": per_trial.shape[1],
            "tie_rule": self._schurs[gates[0]].tie_rule,
        }
        cuts = {gate: _cut(self._schurs[gate], self._sectors[gate]) for gate in gates}
        determined = all(cut["determined"] for cut in cuts.values())
        origin |= cuts[""] if gates == [""] else {"determined": determined, "gates": cuts}
        return AblationProfile(
            names=tuple(row.name for row in self.rows),
            value=value,
            change=change,
            removed_mass=self._removed_mass,
            sensitivity=sensitivity(change, self._removed_mass, undefined),
            per_trial=per_trial,
            per_step=per_step,
            vacuous=self.vacuous,
            diverged=~np.isfinite(value),
            definition=measure,
            alpha=origin["alpha"],
            schurs=self._schurs,
            gate_masses=self._gate_masses,
            settings={**origin, **(settings or {})},
            denominator=statistics.denominator,
            chance=statistics.chance,
        )


def _cut(schur: OrderedSchur, sectors: Sectors) -> dict[str, Any]:
    """What settings tell of one Schur form and its cut."""
    return {
        "gap": sectors.gap,
        "n_R": sectors.n_R,
        "determined": sectors.determined,
        "noise_radius": sectors.noise_radius,
        "null_dimensions": sectors.null_dimensions,
        "n_swaps": schur.n_swaps,
        "n_refused": len(schur.refused),
    }
