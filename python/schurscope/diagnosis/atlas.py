"""The effect of every pair of blocks: which couplings the task needs, one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .._internal.checks import Rng, choice, nonnegative_int, positive, positive_int
from .._internal.frozen import ReadOnly
from ..coordinates.forms import Coordinates, Schurs
from ..coordinates.orders import Order
from ..coordinates.schur import OrderedSchur
from ..networks.network import Network
from ..trials.trials import Trials
from .exact import Effects, decided, single_pairs
from .pairs import Pairs
from .question import MeasureLike, Progress, Question
from .second_order import SecondOrder

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Agreement", "Atlas", "atlas"]

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]
METHODS = ("auto", "exact", "predicted")
_EXACT_COST = 5e11  # multiply-adds of rollouts, a few seconds on two cores


class Agreement(NamedTuple):
    """How well predicted effects agree with exact ones.

    Attributes
    ----------
    n : int
        Pairs with both.
    spearman : float
        Rank correlation of the two over these pairs.
    overlap : float
        Share of the largest exact effects, up to 20, that are among as many largest predicted ones.
    ratio : float
        Median of predicted over exact, where the exact effect exceeds a tenth of the largest.
    """

    n: int
    spearman: float
    overlap: float
    ratio: float


@dataclass(frozen=True, eq=False, repr=False)
class Atlas(ReadOnly):
    """The effect of removing each pair of blocks alone; made by `schurscope.atlas`.

    Attributes
    ----------
    pairs : (pairs, 2)
        Block indices I <= J. A pair I < J couples block J to block I; (I, I) is the nonnormality
        inside a 2x2 block.
    gate : (pairs,) of str
        The gate whose T the blocks belong to; empty text for the vanilla cell.
    coupling : (pairs,) of str
        ``"RR"``, ``"CR"``, ``"CC"`` or ``"BB"`` at `alpha`.
    effect : (pairs,)
        Change of the measure: exact where `exact` is true, else predicted.
    predicted : (pairs,)
        The second-order prediction; NaN if the method was ``"exact"``.
    exact : (pairs,) bool
    standard_error : (pairs,)
        Of the exact effects, over trials; NaN for the others.
    trials_used : (pairs,)
        Trials of each exact effect; 0 for the others.
    mass : (pairs,)
        ‖T_p‖_F / ‖T‖_F, T being that of the gate.
    agreement : Agreement or None
        None if nothing was both predicted and run.
    coordinates : Coordinates
        The Schur forms.
    settings : dict
        Measure, alpha, method, tolerance, numbers of trials.
    """

    pairs: _Int64
    gate: npt.NDArray[np.str_]
    coupling: npt.NDArray[np.str_]
    effect: _Float64
    predicted: _Float64
    exact: npt.NDArray[np.bool_]
    standard_error: _Float64
    trials_used: _Int64
    mass: _Float64
    agreement: Agreement | None
    coordinates: Coordinates
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def work(self) -> float:
        """Trials run for exact effects, as a share of all trials for all pairs."""
        return float(self.trials_used.sum() / max(1, len(self) * self.settings["n_trials"]))

    @property
    def schur(self) -> OrderedSchur:
        """The Schur form of W_hh; AttributeError for a gated network, see `coordinates`."""
        return self.coordinates.only

    def matrix(self, gate: str | None = None) -> _Float64:
        """The effects as a matrix of blocks, (blocks, blocks); NaN where there is no pair.

        Of a gate in a gated network.
        """
        n_blocks = len(self.coordinates[gate].starts)
        values = np.full((n_blocks, n_blocks), np.nan)
        mine = self.gate == (gate or "")
        values[tuple(self.pairs[mine].T)] = self.effect[mine]
        return values

    def to_dataframe(self) -> pd.DataFrame:
        """One row per pair, largest effect first; ``attrs`` holds the settings. Needs pandas."""
        import pandas as pd

        first, last = self.pairs.T
        rows = np.empty_like(self.pairs)
        for gate, schur in self.coordinates:
            mine = self.gate == gate
            rows[mine] = schur.starts[self.pairs[mine]]
        frame = pd.DataFrame(
            {
                **({"gate": self.gate} if self.coordinates.is_gated else {}),
                "to_block": first,
                "from_block": last,
                "to_row": rows[:, 0],
                "from_row": rows[:, 1],
                "coupling": self.coupling,
                "effect": self.effect,
                "standard_error": self.standard_error,
                "predicted": self.predicted,
                "exact": self.exact,
                "trials_used": self.trials_used,
                "mass": self.mass,
            }
        )
        frame.attrs.update(self.settings)
        order = np.argsort(-np.abs(self.effect), kind="stable")
        return frame.iloc[order].reset_index(drop=True)

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.pairs)

    def __repr__(self) -> str:
        return f"Atlas(pairs={len(self)}, exact={int(self.exact.sum())})"

    def __str__(self) -> str:
        settings = self.settings
        lines = [
            f"{settings['measure']} over {settings['n_trials']} trials, alpha "
            f"{settings['alpha']:g}: {len(self)} pairs, {int(self.exact.sum())} run exactly",
        ]
        if self.agreement is not None:
            n, spearman, overlap, ratio = self.agreement
            lines.append(
                f"predicted against exact over {n} pairs: Spearman {spearman:.3f}, "
                f"{overlap:.0%} of the largest found, median ratio {ratio:.2f}"
            )
        lines.append(f"{'pair':<12}{'coupling':<10}{'effect':>11}{'mass':>10}")
        for place in np.argsort(-np.abs(self.effect), kind="stable")[:10]:
            first, last = self.pairs[place]
            gate = self.gate[place]
            coupling = f"{gate}:{self.coupling[place]}" if gate else self.coupling[place]
            lines.append(
                f"{f'({first}, {last})':<12}{coupling:<10}"
                f"{self.effect[place]:>+11.4g}{self.mass[place]:>10.3g}"
            )
        return "\n".join(lines)


def atlas(
    network: Network,
    trials: Trials,
    *,
    method: str = "auto",
    alpha: float = 0.9,
    measure: MeasureLike = "fvu",
    tolerance: float | None = None,
    confirm: int = 100,
    n_probes: int = 1,
    order: Order | None = None,
    schur: Schurs | None = None,
    rng: Rng = 0,
    n_threads: int = 0,
    progress: Progress | None = None,
) -> Atlas:
    """Remove each pair of blocks alone, or predict what its removal does.

    The prediction is a second-order model of the measure, see `SecondOrder`. Its quadratic part
    takes one backward pass for each probe.

    Parameters
    ----------
    network, trials, measure, order, schur, n_threads
        As for `ablate`.
    method : {"auto", "exact", "predicted"}
        ``"exact"`` runs every pair. ``"predicted"`` runs none. ``"auto"`` runs every pair while
        that takes a few seconds; else it predicts all, runs the `confirm` largest and as many
        random others, and reports the agreement. Which one depends on the sizes alone.
    alpha : float
        Cut of the spectrum that names the couplings; the effects do not depend on it.
    tolerance : float, optional
        Runs take only as many trials as decide, at an error rate of 1 % for each pair, whether the
        effect exceeds the tolerance. None takes all trials.
    confirm : int
    n_probes : int
        Probes of each trial.
    rng : numpy.random.Generator, SeedSequence or int
        Source of the probes, the random pairs, the order of the trials and the cell's noise.
    progress : callable, optional
        Called as ``progress(done, total)``.

    Raises
    ------
    TypeError, ValueError
        As for `ablate`; `method` is unknown; the measure has no second derivative and no surrogate,
        and the method predicts.
    """
    choice(method, "method", METHODS)
    confirm = nonnegative_int(confirm, "confirm")
    n_probes = positive_int(n_probes, "n_probes")
    if tolerance is not None:
        tolerance = positive(tolerance, "tolerance")
    question = Question(network, trials, measure, order, schur, rng, n_threads)
    return atlas_of(question, method, alpha, tolerance, confirm, n_probes, progress)


def atlas_of(
    question: Question,
    method: str,
    alpha: float,
    tolerance: float | None,
    confirm: int = 100,
    n_probes: int = 1,
    progress: Progress | None = None,
    seen: Callable[[_Float64], None] | None = None,
) -> Atlas:
    """The atlas of a question; see `atlas`, and for `seen`, `decided`."""
    pairs = Pairs.of(question.coordinates)
    trials = question.trials if tolerance is None else question.shuffled()
    evaluator = question.evaluator(trials)
    count, n_weights = len(pairs), question.network.W_hh.size
    cost = float(count) * trials.n_trials * trials.n_steps * n_weights
    run_all = method == "exact" or (method == "auto" and cost <= _EXACT_COST)
    predicted = np.full(count, np.nan)
    # Where everything is run, a measure that cannot be predicted only lacks the prediction.
    if method != "exact" and not (run_all and not question.has_smooth):
        smooth = question.smooth
        of = evaluator if smooth is question.measure else question.evaluator(trials, smooth)
        model = SecondOrder.of(of, pairs, question.probes, n_probes)
        predicted = model.change
    if run_all:
        chosen = np.arange(count)
    elif method == "predicted":
        chosen = np.arange(0)
    else:
        largest = np.argsort(-np.abs(predicted), kind="stable")[:confirm]
        others = np.setdiff1d(np.arange(count), largest)
        random = question.draws.choice(others, min(confirm, len(others)), replace=False)
        chosen = np.sort(np.concatenate([largest, random]))
    effect, error, used = predicted.copy(), np.full(count, np.nan), np.zeros(count, dtype=np.int64)
    exact = np.zeros(count, dtype=np.bool_)
    if chosen.size:
        effects: Effects = decided(
            evaluator,
            lambda rows: single_pairs(pairs, chosen[rows]),
            len(chosen),
            tolerance=tolerance,
            progress=progress,
            seen=seen,
        )
        effect[chosen], error[chosen] = effects.change, effects.standard_error
        used[chosen], exact[chosen] = effects.n_trials, True
    comparable = exact & np.isfinite(predicted) & (question.measure.surrogate == "")
    return Atlas(
        pairs=pairs.blocks,
        gate=pairs.gate_names,
        coupling=pairs.couplings(question.coordinates.sectors(alpha)),
        effect=effect,
        predicted=predicted,
        exact=exact,
        standard_error=error,
        trials_used=used,
        mass=pairs.mass,
        agreement=_agreement(effect[comparable], predicted[comparable]),
        coordinates=question.coordinates,
        settings={
            "measure": question.measure.name,
            "predicted_measure": question.measure.surrogate or question.measure.name,
            "alpha": alpha,
            "method": method,
            "tolerance": tolerance,
            "n_trials": trials.n_trials,
            "n_probes": n_probes,
        },
    )


def _agreement(exact: _Float64, predicted: _Float64) -> Agreement | None:
    if len(exact) < 3:
        return None
    with np.errstate(all="ignore"):
        spearman = float(np.corrcoef(_ranks(exact), _ranks(predicted))[0, 1])
    top = min(20, len(exact))
    largest = [
        set(np.argsort(-np.abs(values), kind="stable")[:top]) for values in (exact, predicted)
    ]
    large = np.abs(exact) >= np.abs(exact).max() / 10
    ratio = float(np.median(predicted[large] / exact[large])) if large.any() else float("nan")
    return Agreement(len(exact), spearman, len(largest[0] & largest[1]) / top, ratio)


def _ranks(values: _Float64) -> _Float64:
    """Ranks, equal values sharing their mean; scipy.stats is slow to import."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks: _Float64 = (np.cumsum(count) - (count - 1) / 2)[place]
    return ranks
