"""Assembles an `AblationProfile` from sums over trials and steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._internal.checks import FloatDType
from .._version import __version__
from ..coordinates.forms import Coordinates, by_gate, warning_of
from .batch import Batch
from .measures import Measure, sensitivity
from .plan import Ablation, ablation_rows, gate_masses, removed_masses
from .profile import AblationProfile
from .scoring import TargetStatistics

__all__ = ["Assembly"]

_Float64 = npt.NDArray[np.float64]


class Assembly:
    """The rows of a profile: selects those to run, and builds the profile from their sums.

    Attributes
    ----------
    rows : tuple of Ablation
        The full network first.
    vacuous : (ablations,) bool
        Rows that remove no more than N_h · eps of the weights' dtype. They are not run; they repeat
        the full network's sums.
    """

    def __init__(
        self,
        coordinates: Coordinates,
        alpha: float,
        ablations: Iterable[str | Ablation] | None,
        dtype: FloatDType,
        *,
        strict: bool,
    ) -> None:
        self._cuts = coordinates.sectors(alpha)
        if strict and (warning := warning_of(self._cuts)):
            raise ValueError(f"{warning} (strict=True)")
        self.rows = tuple(ablation_rows(ablations, self._cuts))
        self._coordinates, self._dtype = coordinates, dtype
        batch = Batch.of(self.rows, coordinates.gates)
        self._removed_mass = removed_masses(coordinates, batch)
        masses = np.where(batch.named, gate_masses(coordinates, batch), np.nan)
        self._gate_masses = dict(zip(coordinates.gates, masses.T.copy(), strict=True))
        self.vacuous = self._removed_mass <= coordinates.n_hidden * np.finfo(dtype).eps
        self.vacuous[0] = False  # the full network is the reference, not an intervention

    @property
    def running(self) -> tuple[Ablation, ...]:
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
        coordinates, cuts = self._coordinates, self._cuts
        alpha = next(iter(cuts.values())).alpha
        origin = {
            "version": __version__,
            "level": _core.LEVEL,
            "dtype": self._dtype.name,
            "tie_rule": coordinates.tie_rule,
            "measure": measure.name,
            "alpha": alpha,
            "gap": by_gate(cuts, lambda cut: cut.gap),
            "n_R": by_gate(cuts, lambda cut: cut.n_R),
            "determined": by_gate(cuts, lambda cut: cut.determined),
            "noise_radius": by_gate(cuts, lambda cut: cut.noise_radius),
            "null_dimensions": by_gate(cuts, lambda cut: cut.null_dimensions),
            "N_h": coordinates.n_hidden,
            "n_trials": per_trial.shape[1],
            "n_swaps": by_gate(cuts, lambda cut: cut.schur.n_swaps),
            "n_refused": by_gate(cuts, lambda cut: len(cut.schur.refused)),
        }
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
            alpha=alpha,
            coordinates=coordinates,
            gate_masses=self._gate_masses,
            settings={**origin, **(settings or {})},
            denominator=statistics.denominator,
            chance=statistics.chance,
        )
