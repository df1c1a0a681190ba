"""The effect of C→R for every cut of the spectrum: where the task divides it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._internal.checks import Rng, fraction, generator, nonnegative
from .._internal.frozen import ReadOnly
from ..ablation.batch import Batch
from ..ablation.plan import Ablation, removed_masses
from ..ablation.resamples import percentile_ends
from ..coordinates.forms import Coordinates, Schurs
from ..coordinates.orders import Order
from ..coordinates.schur import OrderedSchur
from ..coordinates.sectors import Sectors
from ..networks.network import Network
from ..trials.trials import Trials
from .question import MeasureLike, Question
from .runs import batch_differences, mean_change, resamples_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CutCurve", "CutCurves", "cut_curve", "cut_curves_of"]

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]
_Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False, repr=False)
class CutCurve(ReadOnly):
    """The effect of removing C→R at every cut; made by `schurscope.cut_curve`.

    Attributes
    ----------
    cut : (cuts,)
        k, the number of rows in R: every row at which a block ends, except the last.
    change : (cuts,)
        Change of the measure when T_C→R is removed; 0 where that is only rounding error, a removed
        mass of at most N_h · eps of the weights' dtype.
    interval : (cuts, 2)
        Of `change`, bootstrapped over trials.
    removed_mass : (cuts,)
        ‖T_C→R‖_F / ‖T‖_F.
    key : (cuts,)
        Key of the last block in R: its modulus, unless another order was asked for.
    gap : (cuts,)
        Smallest key in R minus largest key in C, over the largest key.
    tied : (cuts,) bool
        The gap is at most the tolerance in `settings`: the cut divides near-tied eigenvalues.
    determined : (cuts,) bool
        Whether R and C survive the rounding of the weights, see `Sectors.determined`.
    schur : OrderedSchur
    settings : dict
        Measure, level, tolerance, number of trials, value of the full network.
    """

    cut: _Int64
    change: _Float64
    interval: _Float64
    removed_mass: _Float64
    key: _Float64
    gap: _Float64
    tied: _Bool
    determined: _Bool
    schur: OrderedSchur
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def gate(self) -> str:
        """The gate whose spectrum is cut; empty text for the vanilla cell."""
        return str(self.settings.get("gate", ""))

    def at(self, alpha: float) -> int:
        """Index of the cut that alpha makes, see `OrderedSchur.sectors`.

        ValueError if alpha leaves no eigenvalue in C, so that it makes no cut.
        """
        n_R = self.schur.sectors(alpha).n_R
        if n_R == self.schur.n_hidden:
            lowest = float(self.schur.keys.min() / self.schur.keys.max())
            raise ValueError(
                "alpha must leave an eigenvalue in C, whose smallest key is "
                f"{lowest:.4g} of the largest, got {alpha:g}"
            )
        return int(np.searchsorted(self.cut, n_R))

    def near(self, alpha: float) -> _Int64:
        """Indices of the cuts within a quarter of all, at least two, of that of alpha.

        Errors as for `at`.
        """
        here, reach = self.at(alpha), max(2, len(self) // 4)
        return np.arange(max(0, here - reach), min(len(self), here + reach + 1))

    def to_dataframe(self) -> pd.DataFrame:
        """One row per cut; ``attrs`` holds the settings. Needs pandas."""
        import pandas as pd

        low, high = self.interval.T
        frame = pd.DataFrame(
            {
                "cut": self.cut,
                "change": self.change,
                "change_low": low,
                "change_high": high,
                "removed_mass": self.removed_mass,
                "key": self.key,
                "gap": self.gap,
                "tied": self.tied,
                "determined": self.determined,
            }
        )
        frame.attrs.update(self.settings)
        return frame

    def __len__(self) -> int:
        """Number of cuts."""
        return len(self.cut)

    def __repr__(self) -> str:
        largest = int(np.argmax(np.nan_to_num(np.abs(self.change))))
        return (
            f"CutCurve(cuts={len(self)}, largest change {self.change[largest]:+.4g} at "
            f"k={self.cut[largest]})"
        )

    def __str__(self) -> str:
        settings = self.settings
        level = f"{settings['level']:.0%} interval"
        gate = f" of the gate {self.gate}" if self.gate else ""
        lines = [
            f"{settings['measure']} over {settings['n_trials']} trials: C→R{gate} removed at each "
            f"of {len(self)} cuts, the largest effects",
            f"{'k':>5}{'change':>11}{level:>22}{'mass':>9}{'key':>9}{'gap':>10}",
        ]
        for place in np.sort(np.argsort(-np.abs(self.change), kind="stable")[:10]):
            low, high = self.interval[place]
            flags = {"tied": self.tied[place], "undetermined": not self.determined[place]}
            marks = ", ".join(name for name, is_set in flags.items() if is_set)
            lines.append(
                f"{self.cut[place]:>5}{self.change[place]:>+11.4g}"
                f"{f'[{low:.3g}, {high:.3g}]':>22}{self.removed_mass[place]:>9.3g}"
                f"{self.key[place]:>9.4g}{self.gap[place]:>10.2g}  {marks}".rstrip()
            )
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class CutCurves(ReadOnly):
    """The cut curves of a network.

    Attributes
    ----------
    curves : dict
        Gate → its `CutCurve`, unless its T is a single block; the vanilla cell's gate is ``""``.
    """

    curves: Mapping[str, CutCurve]


def cut_curve(
    network: Network,
    trials: Trials,
    *,
    gate: str | None = None,
    measure: MeasureLike = "fvu",
    order: Order | None = None,
    schur: Schurs | None = None,
    tolerance: float = 1e-3,
    level: float = 0.95,
    rng: Rng = 0,
    n_threads: int = 0,
) -> CutCurve:
    """Remove T_C→R at every cut of the spectrum, one cut at a time.

    At a cut after k rows, R is the invariant subspace of the k leading eigenvalues and P = Q_R Q_Rᵀ
    the projector on it. Without T_C→R, the recurrent matrix is ``P W P + (I - P) W (I - P)``: it
    depends on which eigenvalues are in R, not on the order within R or C. An alpha looks at one of
    these cuts.

    Parameters
    ----------
    network, trials, measure, order, schur, n_threads
        As for `ablate`.
    gate : str, optional
        The gate of a gated network whose spectrum is cut; the others stay as they are.
    tolerance : float
        A cut whose gap is at most this share of the largest key divides near-tied eigenvalues.
    level : float
        Of the bootstrap intervals, in (0, 1].
    rng : numpy.random.Generator, SeedSequence or int
        Source of the resampled trials and the cell's noise.

    Returns
    -------
    CutCurve
        NaN or infinite where a rollout diverged.

    Raises
    ------
    TypeError, ValueError
        As for `ablate`; T is a single block, which cannot be cut; a gated network without a gate.
    """
    tolerance, level = nonnegative(tolerance, "tolerance"), fraction(level, "level")
    question = Question(network, trials, measure, order, schur, rng, n_threads)
    return cut_curve_of(question, gate, tolerance, level)


def cut_curves_of(
    network: Network, trials: Trials, coordinates: Coordinates, rng: Rng, **options: Any
) -> dict[str, CutCurve]:
    """The cut curves of all gates; `options` are those of `cut_curve`."""
    source = generator(rng)
    return {
        gate: cut_curve(
            network, trials, gate=gate or None, schur=coordinates.argument, rng=source, **options
        )
        for gate, form in coordinates
        if len(form.starts) > 1
    }


def cut_curve_of(question: Question, gate: str | None, tolerance: float, level: float) -> CutCurve:
    """The cut curve of a question; see `cut_curve`."""
    schur = question.coordinates[gate]
    n_hidden, name = schur.n_hidden, gate or ""
    cut = schur.starts[1:]
    if not cut.size:
        raise ValueError(
            f"network must have two diagonal blocks in T, got W_hh of {schur.W.shape} with one"
        )
    ablations = [
        Ablation(f"k={k}", ((0, k, k, n_hidden),), (0.0,), gates=name) for k in cut.tolist()
    ]
    batch = Batch.of(ablations, question.coordinates.gates)
    evaluator = question.evaluator()
    resamples = resamples_of(evaluator, question.intervals)
    change, interval = np.empty(len(cut)), np.empty((len(cut), 2))
    for rows, differences in batch_differences(evaluator, batch):
        change[rows] = mean_change(evaluator, differences)
        interval[rows] = percentile_ends(resamples.values(differences), level)
    removed_mass = removed_masses(question.coordinates, batch)
    vacuous = removed_mass <= n_hidden * np.finfo(question.network.dtype).eps
    change[vacuous] = interval[vacuous] = 0.0
    gap = _gaps(schur.keys, cut)
    return CutCurve(
        cut=cut,
        change=change,
        interval=interval,
        removed_mass=removed_mass,
        key=schur.keys[cut - 1],
        gap=gap,
        tied=gap <= tolerance,
        determined=np.array(
            [
                Sectors(alpha, k, margin, schur).determined
                for k, alpha, margin in zip(
                    cut.tolist(), _alphas(schur.keys, cut), gap.tolist(), strict=True
                )
            ]
        ),
        schur=schur,
        settings={
            "measure": question.measure.name,
            **({"gate": gate} if gate else {}),
            "level": level,
            "tolerance": tolerance,
            "n_trials": evaluator.n_trials,
            "tie_rule": schur.tie_rule,
        },
    )


def _sides(keys: _Float64, cut: _Int64) -> tuple[_Float64, _Float64, float]:
    """Smallest key above each cut, largest key below it, and the largest key of all."""
    above = np.minimum.accumulate(keys)[cut - 1]
    below = np.maximum.accumulate(keys[::-1])[::-1][cut]
    return above, below, float(keys.max())


def _gaps(keys: _Float64, cut: _Int64) -> _Float64:
    above, below, largest = _sides(keys, cut)
    scale = largest if largest > 0 else float(np.abs(keys).max())
    gaps: _Float64 = (above - below) / (scale or 1.0)
    return gaps


def _alphas(keys: _Float64, cut: _Int64) -> list[float]:
    """The alpha in the middle of each gap, whose conditioning is the cut's."""
    above, below, largest = _sides(keys, cut)
    middles: list[float] = ((above + below) / 2 / (largest or 1.0)).tolist()
    return middles
