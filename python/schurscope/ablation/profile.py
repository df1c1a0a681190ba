"""The result of an ablation experiment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .._internal.brief import brief
from .._internal.checks import Rng, choice, fraction, generator, positive_int
from .._internal.frozen import ReadOnly
from .._internal.html import table
from ..coordinates.schur import OrderedSchur
from ..coordinates.sectors import Sectors
from ..coordinates.sectors import couplings as COUPLINGS_OF_N
from .measures import Denominator, Measure
from .resamples import Resamples, percentile_ends

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from ..diagnosis.interactions import Interactions, Shapley

__all__ = ["AblationProfile", "AblationRow", "Intervals"]

_Float64 = npt.NDArray[np.float64]


class AblationRow(NamedTuple):
    """One ablation of a profile; see `AblationProfile` for the fields."""

    name: str
    value: float
    change: float
    removed_mass: float
    sensitivity: float
    vacuous: bool
    diverged: bool


class Intervals(NamedTuple):
    """Lower and upper ends, each (ablations, 2), in the order of the profile's names."""

    value: _Float64
    change: _Float64
    sensitivity: _Float64

    def __repr__(self) -> str:
        return brief("Intervals", self._asdict())


@dataclass(frozen=True, eq=False, repr=False)
class AblationProfile(ReadOnly):
    """The effect of each ablation on the behaviour, and the Schur mass that it removes.

    ``print(profile)`` shows a table; ``profile["CR"]`` is one row. Row 0 is the full network.
    Arrays and settings are read-only.

    Attributes
    ----------
    names : tuple of str
    value : (ablations,)
        The measure under the ablation: FVU, replay accuracy, or the score given to `ablate_with`.
    change : (ablations,)
        ``value - value[0]``; exactly 0 where the ablation is vacuous.
    removed_mass : (ablations,)
        ‖ΔT‖_F / ‖T‖_F, also where it is only rounding error.
    sensitivity : (ablations,)
        S_ΔT = change / removed_mass; NaN where the ablation is vacuous, and for the full network.
    per_trial : (ablations, trials)
        Contribution of each trial; the mean over trials is `value`.
    per_step : (ablations, steps)
        FVU: mean squared error at the step over the variance of the targets at all steps. Replay
        accuracy: that of the step. NaN at steps of weight 0; the weighted mean is `value`. Scores
        of `ablate_with` have no steps: (ablations, 0).
    vacuous : (ablations,) bool
        The ablation removes no more than N_h · eps of the weights' dtype: it was not run, and the
        result is no evidence of invariance.
    diverged : (ablations,) bool
        Some rollout was not finite.
    definition : Measure
        The measure.
    alpha : float
    schurs : mapping from str to OrderedSchur
        Gate → its ordered Schur form; of a network without gates, the only one under ``""``, which
        is `schur`. The eigenvalues of a gate's matrix are the gate's, not the network's.
    settings : dict
        Provenance: package version, instruction-set level, dtype, tie-breaking rule, sizes.
    denominator : Denominator or None
        Per-trial denominator of the measure, for the bootstrap; None for a score, which is a mean
        over trials.
    chance : float
        The value of an answer that ignores the inputs; NaN if unknown.
    gate_masses : mapping from str to (ablations,)
        Gate → ‖ΔT‖_F / ‖T‖_F of its own matrix. `removed_mass` is over all gates that the ablation
        names.
    """

    names: tuple[str, ...]
    value: _Float64
    change: _Float64
    removed_mass: _Float64
    sensitivity: _Float64
    per_trial: _Float64
    per_step: _Float64
    vacuous: npt.NDArray[np.bool_]
    diverged: npt.NDArray[np.bool_]
    definition: Measure
    alpha: float
    schurs: Mapping[str, OrderedSchur]
    settings: Mapping[str, Any]
    denominator: Denominator | None
    chance: float = np.nan
    gate_masses: Mapping[str, _Float64] = field(default_factory=dict)

    @property
    def schur(self) -> OrderedSchur:
        """The ablated coordinates; ValueError if there are several gates, see `schurs`."""
        if len(self.schurs) > 1:
            gates = ", ".join(self.schurs)
            raise ValueError(f"this profile has a Schur form for each gate: .schurs[…] of {gates}")
        (schur,) = self.schurs.values()
        return schur

    @property
    def measure(self) -> str:
        """Name of the measure, such as ``"fvu"``, or of the score given to `ablate_with`."""
        return self.definition.name

    @property
    def sectors(self) -> Sectors:
        """The cut of the spectrum at `alpha`; ValueError if there are several gates."""
        return self.schur.sectors(self.alpha)

    @property
    def cuts(self) -> dict[str, Sectors]:
        """Gate → the cut of its spectrum at `alpha`."""
        return {gate: schur.sectors(self.alpha) for gate, schur in self.schurs.items()}

    @property
    def determined(self) -> bool:
        """Whether rounding of the weights decides no cut."""
        return all(sectors.determined for sectors in self.cuts.values())

    @property
    def origin(self) -> str:
        """Measure and data, such as ``"fvu over 2048 trials of 25 steps, float32"``."""
        settings = self.settings
        steps = f" of {settings['n_steps']} steps" if "n_steps" in settings else ""
        trials = f"{settings['n_trials']} trials{steps}"
        return f"{self.measure} over {trials}, {settings['dtype']}"

    @property
    def warning(self) -> str:
        """Why rounding of the weights decides the cut; empty if it does not."""
        warnings = {gate: sectors.warning for gate, sectors in self.cuts.items()}
        return "; ".join(f"{_of(gate)}{told}" for gate, told in warnings.items() if told)

    @property
    def cautions(self) -> tuple[str, ...]:
        """What makes the effects hard to interpret, one sentence each.

        A full network that has not learnt the task: no better than chance (usually the network or
        the trials were loaded wrongly), or nearer to chance than to `Measure.required`. Trials on
        which doing nothing scores well, because most of the weighted steps only ask for fixation.
        """
        of_network = self.definition.caution(float(self.value[0]), self.chance)
        return tuple(filter(None, (of_network, self.settings.get("trials_caution", ""))))

    @property
    def caution(self) -> str:
        """All `cautions` in one text; empty if there are none."""
        return ". ".join(self.cautions)

    def __len__(self) -> int:
        """Number of ablations, the full network included."""
        return len(self.names)

    def __iter__(self) -> Iterator[AblationRow]:
        """Rows in order."""
        return (self[name] for name in self.names)

    def __getitem__(self, name: str) -> AblationRow:
        """The row of that name; ValueError, suggesting the nearest, if there is none."""
        place = self.names.index(choice(name, "name", self.names))
        return AblationRow(
            name,
            float(self.value[place]),
            float(self.change[place]),
            float(self.removed_mass[place]),
            float(self.sensitivity[place]),
            bool(self.vacuous[place]),
            bool(self.diverged[place]),
        )

    def interval(
        self,
        level: float = 0.95,
        n_resamples: int = 2000,
        rng: Rng = 0,
    ) -> Intervals:
        """Bootstrap intervals of value, change and sensitivity over trials.

        Percentile intervals over trials drawn with replacement. They are paired: a resample holds
        the same trials for every ablation, and FVU divides by the target variance of the resample.
        They quantify the uncertainty of *this* network's numbers; the variation between networks
        requires several trained networks.

        The mean target, too, is that of the resample, which biases FVU slightly upwards. With few
        trials and an FVU near 1 the interval therefore covers less often than `level`.

        Scores of `ablate_with` are resampled unchanged: a quantity that they share, such as a
        target variance they were divided by, stays fixed.

        Parameters
        ----------
        level : float
            Coverage, in (0, 1].
        n_resamples : int
        rng : numpy.random.Generator, SeedSequence, int or None

        Returns
        -------
        Intervals
            NaN where a rollout diverged; both ends exactly 0 for the change of the full network
            and of vacuous ablations, whose sensitivity is NaN.
        """
        level = fraction(level, "level")
        resamples, sums = self.resamples(n_resamples, rng)
        values = np.full((len(self), n_resamples), np.nan)
        values[~self.diverged] = resamples.values(sums[~self.diverged])
        change = values - values[:1]
        change[0] = 0.0
        change[self.vacuous] = 0.0
        change_ends = percentile_ends(change, level)
        mass = np.where(self.vacuous | (self.removed_mass == 0), np.nan, self.removed_mass)
        return Intervals(percentile_ends(values, level), change_ends, change_ends / mass[:, None])

    def resamples(self, n_resamples: int = 2000, rng: Rng = 0) -> tuple[Resamples, _Float64]:
        """Multisets of the trials, and the sums (ablations, trials) that they measure."""
        n_trials = self.per_trial.shape[1]
        n_resamples = positive_int(n_resamples, "n_resamples")
        resamples = Resamples(self.denominator, n_trials, n_resamples, generator(rng))
        return resamples, self.per_trial * (resamples.total / n_trials)

    def shapley(
        self,
        couplings: Iterable[str] = COUPLINGS_OF_N,
        *,
        level: float = 0.95,
        n_resamples: int = 2000,
        rng: Rng = 0,
    ) -> Shapley:
        """Shapley values of couplings: their average effects over all orders of removal.

        See `Shapley`. They need every subset of the couplings among the ablations, as `ablate` runs
        them by default.

        Parameters
        ----------
        couplings : iterable of str
            At least two.
        level, n_resamples, rng
            As for `interval`.

        Raises
        ------
        ValueError
            The profile lacks a subset; a coupling is unknown.
        """
        from ..diagnosis.interactions import profile_game

        return profile_game(self, couplings, level, n_resamples, rng)[0]

    def interactions(
        self,
        couplings: Iterable[str] = COUPLINGS_OF_N,
        *,
        level: float = 0.95,
        n_resamples: int = 2000,
        rng: Rng = 0,
    ) -> Interactions:
        """Shapley interaction index of each pair of couplings, see `Interactions`.

        Parameters and errors are those of `shapley`.
        """
        from ..diagnosis.interactions import profile_game

        return profile_game(self, couplings, level, n_resamples, rng)[1]

    def to_dataframe(self) -> pd.DataFrame:
        """One row per ablation, with 95 % intervals; ``attrs`` holds the settings. Needs pandas."""
        import pandas as pd

        frame = pd.DataFrame(list(self), columns=list(AblationRow._fields))
        for name, ends in self.interval()._asdict().items():
            frame[f"{name}_low"], frame[f"{name}_high"] = ends.T
        for name in ("measure", "alpha", "n_R", "determined"):
            if name in self.settings:  # n_R is that of one cut
                frame[name] = self.settings[name]
        frame.attrs.update(self.settings)
        return frame

    def plot(self, ax: Axes | None = None, *, kind: str = "change") -> Axes:
        """Bars with 95 % intervals over trials; a title names the cut. Needs matplotlib.

        Parameters
        ----------
        ax : matplotlib Axes, optional
        kind : {"change", "value", "sensitivity"}
            See `schurscope.plotting.change_bars`, `value_bars` and `sensitivity_bars`.
        """
        from .. import plotting

        bars = {
            "change": plotting.change_bars,
            "value": plotting.value_bars,
            "sensitivity": plotting.sensitivity_bars,
        }
        drawn = bars[choice(kind, "kind", bars)](self, ax=ax)
        n_R = ", ".join(f"{gate} {cut.n_R}".strip() for gate, cut in self.cuts.items())
        cut = f"α = {self.alpha:g}, $n_R$ = {n_R} of {self.settings['N_h']}"
        drawn.set_title(f"{cut}, {self.settings['n_trials']} trials", fontsize=9, loc="left")
        return drawn

    def report(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Write one HTML file; the title, facts and files as for `schurscope.report`."""
        from ..reporting import report

        report(self, path, **options)

    def __repr__(self) -> str:
        mark = "" if self.determined else ", cut not determined"
        cut = f"alpha={self.alpha:g}{mark}"
        return f"AblationProfile(measure={self.measure!r}, rows={len(self)}, {cut})"

    def __str__(self) -> str:
        heading = self._heading()
        rows = [heading, *(_cells(row) for row in self)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(heading))]
        lines = [_line(row, widths) for row in rows]
        lines.insert(1, "─" * max(map(len, lines)))
        cautions = [f"caution: {caution}" for caution in self.cautions]
        warning = [f"warning: {self.warning}"] if self.warning else []
        return "\n".join([*warning, *self._header(), *lines, *cautions])

    def _repr_html_(self) -> str:
        warning = [f"warning: {self.warning}"] if self.warning else []
        cautions = [f"caution: {caution}" for caution in self.cautions]
        rows = map(_cells, self)
        return table("Ablations", self._heading(), rows, [*warning, *self._header(), *cautions])

    def _heading(self) -> tuple[str, ...]:
        measure = self.definition.heading
        return ("ablation", measure, f"Δ{measure}", "removed mass", "S_ΔT", "")

    def _header(self) -> list[str]:
        settings, lines = self.settings, [self.origin]
        for gate, cut in self.cuts.items():
            null = f" ({cut.null_dimensions} at noise level)" if cut.null_dimensions else ""
            lines.append(
                f"{_of(gate)}alpha {self.alpha:g}: n_R {cut.n_R} of N_h {cut.n_hidden}{null}, gap "
                f"{cut.gap:.3g}; tie rule {settings['tie_rule']}, level {settings['level']}"
            )
        return lines


def _of(gate: str) -> str:
    """The beginning of a line about one of several gates."""
    return f"gate {gate}, " if gate else ""


def _cells(row: AblationRow) -> tuple[str, ...]:
    is_full = row.name == "full"
    marks = ["vacuous"] * row.vacuous + ["diverged"] * row.diverged
    return (
        row.name,
        f"{row.value:.4g}",
        "" if is_full else f"{row.change:+.4g}" if row.change else "0",
        "" if is_full else f"{row.removed_mass:.3g}",
        "" if is_full else "–" if np.isnan(row.sensitivity) else f"{row.sensitivity:.4g}",
        ", ".join(marks),
    )


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    first = cells[0].ljust(widths[0])
    middle = [cell.rjust(width) for cell, width in zip(cells[1:-1], widths[1:-1], strict=True)]
    return "  ".join([first, *middle, cells[-1]]).rstrip()
