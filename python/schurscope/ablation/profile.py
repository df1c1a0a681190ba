"""The result of an ablation experiment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .._internal.brief import brief
from .._internal.checks import Rng, choice, fraction, generator, positive_int
from .._internal.frozen import ReadOnly, computed_once
from ..coordinates.forms import Coordinates, Cuts, warning_of
from ..coordinates.schur import OrderedSchur
from ..coordinates.sectors import Sectors
from ..coordinates.sectors import couplings as COUPLINGS_OF_N
from .measures import Denominator, Measure
from .resamples import Resamples, percentile_ends
from .table import html_of, of_cuts, text_of

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
        ‖ΔT‖_F / ‖T‖_F, also where it is only rounding error; in a gated network over the gates that
        the ablation names.
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
    coordinates : Coordinates
        The ablated Schur forms; see `schur` and `gates`.
    gate_masses : mapping from str to (ablations,)
        Gate → ‖ΔT‖_F / ‖T‖_F of its own T; NaN where the ablation does not name it. The gate of the
        vanilla cell is ``""``.
    settings : dict
        Provenance: package version, instruction-set level, dtype, tie-breaking rule, sizes. What
        belongs to a gate, such as n_R, is a dict by gate.
    denominator : Denominator or None
        Per-trial denominator of the measure, for the bootstrap; None for a score, which is a mean
        over trials.
    chance : float
        The value of an answer that ignores the inputs; NaN if unknown.
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
    coordinates: Coordinates
    gate_masses: Mapping[str, _Float64]
    settings: Mapping[str, Any]
    denominator: Denominator | None
    chance: float = np.nan

    def __post_init__(self) -> None:
        for mass in self.gate_masses.values():
            mass.flags.writeable = False
        super().__post_init__()

    @property
    def measure(self) -> str:
        """Name of the measure, such as ``"fvu"``, or of the score given to `ablate_with`."""
        return self.definition.name

    @property
    def schur(self) -> OrderedSchur:
        """The Schur form of W_hh; AttributeError for a gated network: see `gates`."""
        return self.coordinates.only

    @property
    def sectors(self) -> Sectors:
        """The cut of the spectrum at `alpha`; AttributeError for a gated network: see `gates`."""
        return self.coordinates.only.sectors(self.alpha)

    @property
    def gates(self) -> Mapping[str, Sectors]:
        """Gate → the cut of the spectrum of its W_hh at `alpha`; empty for the vanilla cell.

        The eigenvalues are the gate's, not the network's.
        """
        return self.cuts if self.coordinates.is_gated else MappingProxyType({})

    @computed_once
    def cuts(self) -> Cuts:
        """The same, and for the vanilla cell its one cut with the empty name."""
        return MappingProxyType(self.coordinates.sectors(self.alpha))

    @property
    def determined(self) -> bool:
        """Whether rounding of the weights leaves every cut as it is."""
        return not self.warning

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
        return warning_of(self.cuts)

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
        them by default. For all couplings of all gates, see `subset_game`.

        Parameters
        ----------
        couplings : iterable of str
            At least two; in a gated network of all gates together, or of one: ``"n:CR"``.
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
        """One row per ablation, with 95 % intervals; ``attrs`` holds the settings. Needs pandas.

        In a gated network, `gates` are those that the ablation names, `n_R` is given where that is
        one, and `removed_mass_n`, for example, is the mass removed from the gate n.
        """
        import pandas as pd

        frame = pd.DataFrame(list(self), columns=list(AblationRow._fields))
        for name, ends in self.interval()._asdict().items():
            frame[f"{name}_low"], frame[f"{name}_high"] = ends.T
        for name, column in of_cuts(self).items():
            frame[name] = column
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
        cut = f"α = {self.alpha:g}, $n_R$ = {n_R} of {self.coordinates.n_hidden}"
        drawn.set_title(f"{cut}, {self.settings['n_trials']} trials", fontsize=9, loc="left")
        return drawn

    def report(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Write one HTML file; the title, facts and files as for `schurscope.report`."""
        from ..reporting import report

        report(self, path, **options)

    def __repr__(self) -> str:
        mark = "" if self.determined else ", cut not determined"
        gates = f", gates={', '.join(self.gates)}" if self.gates else ""
        cut = f"alpha={self.alpha:g}{mark}"
        return f"AblationProfile(measure={self.measure!r}, rows={len(self)}{gates}, {cut})"

    def __str__(self) -> str:
        return text_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)
