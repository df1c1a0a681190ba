"""How many couplings can go at once, and which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._internal.checks import Rng, choice, fraction, positive, positive_int
from .._internal.frozen import ReadOnly
from ..ablation.evaluate import fitting_trials
from ..coordinates.forms import Schurs
from ..coordinates.orders import Order
from ..networks.network import Network
from ..trials.trials import Trials
from .losses import Losses
from .pairs import Pairs
from .question import MeasureLike, Question
from .runs import resamples_of
from .search import Search

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Removable", "removable"]

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]
_CURVE_POINTS = 24
_OTHER_SHARE = 0.2


@dataclass(frozen=True, eq=False, repr=False)
class Removable(ReadOnly):
    """A large set of pairs that the task does not need; made by `schurscope.removable`.

    Shares of pairs are of all pairs; shares of mass are of the squared mass of N and of the blocks'
    nonnormality, Σ ‖T_p‖_F².

    Attributes
    ----------
    removed : (removed, 2)
        Block indices of the pairs of the set.
    removed_gates : (removed,) of str
        The gate of each; empty text for the vanilla cell.
    change : float
        Loss of the measure when they are all removed, on the fresh trials: the increase of an
        error, or the decrease of an accuracy.
    interval : (2,)
        Of `change`; its upper end is at most the tolerance.
    pair_share, mass_share : float
    random_pair_share, random_mass_share : float
        The same for pairs removed in random order, as many as the loss itself on the fresh trials
        allows, whatever its interval; means over draws.
    gate_shares : dict
        Gate → share of its pairs and share of its mass that the set removes.
    core, core_gates : (core, 2), (core,) of str
        Pairs kept in every repeat on resampled search trials.
    free, free_gates : (free, 2), (free,) of str
        Pairs removed in every repeat. The others are interchangeable: some repeats need them.
    jaccard : float
        Mean Jaccard index of the sets kept by two repeats.
    curve : (points, 3)
        Share of pairs, share of mass, and loss on the fresh trials, along the order of removal.
    random_curve : (points, 3)
        The same for random orders, means over draws.
    area : float
        Mean over the removed share of pairs of the random curve's loss minus that of the order,
        each limited to ten tolerances: 0 if the order is no better than random.
    completeness : (2,)
        Interval of the loss when the kept pairs are removed and the removed ones stay: a set that
        holds all that the task needs loses much more than the tolerance.
    minimality : (tested, 2)
        For kept pairs of the least predicted need, the removed set's loss when this pair is removed
        too, minus `change`; and its standard error.
    settings : dict
    """

    removed: _Int64
    removed_gates: npt.NDArray[np.str_]
    change: float
    interval: _Float64
    pair_share: float
    mass_share: float
    random_pair_share: float
    random_mass_share: float
    gate_shares: Mapping[str, tuple[float, float]]
    core: _Int64
    core_gates: npt.NDArray[np.str_]
    free: _Int64
    free_gates: npt.NDArray[np.str_]
    jaccard: float
    curve: _Float64
    random_curve: _Float64
    area: float
    completeness: _Float64
    minimality: _Float64
    settings: Mapping[str, Any]

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of pairs that are core, interchangeable and free."""
        core, free = len(self.core), len(self.free)
        n_pairs = int(self.settings["n_pairs"])
        return {"core": core, "interchangeable": n_pairs - core - free, "free": free}

    @property
    def needed(self) -> npt.NDArray[np.bool_]:
        """Whether each kept pair of `minimality` adds to the loss, beyond 2 SE: (tested,)."""
        added, error = self.minimality.T
        needed: npt.NDArray[np.bool_] = added > 2 * error
        return needed

    @property
    def _of_gates(self) -> list[str]:
        shares = [
            f"{gate} {of_pairs:.0%} and {of_mass:.0%}"
            for gate, (of_pairs, of_mass) in self.gate_shares.items()
            if gate
        ]
        return [f"of each gate's pairs and mass: {', '.join(shares)}"] if shares else []

    def to_dataframe(self) -> pd.DataFrame:
        """The curves: one row per point; ``attrs`` holds the settings. Needs pandas."""
        import pandas as pd

        frames = [
            pd.DataFrame(curve, columns=["pair_share", "mass_share", "loss"]).assign(order=name)
            for name, curve in (("model", self.curve), ("random", self.random_curve))
        ]
        frame = pd.concat(frames, ignore_index=True)
        frame.attrs.update(self.settings)
        return frame

    def __repr__(self) -> str:
        return f"Removable(pair_share={self.pair_share:.3f}, mass_share={self.mass_share:.3f})"

    def __str__(self) -> str:
        settings, counts = self.settings, self.counts
        low, high = self.interval
        repeats = "1 repeat" if settings["repeats"] == 1 else f"{settings['repeats']} repeats"
        return "\n".join(
            [
                f"{self.pair_share:.0%} of {settings['n_pairs']} pairs, {self.mass_share:.0%} of "
                f"the mass, can go at a loss of at most {settings['tolerance']:g}",
                f"loss on fresh trials {self.change:+.4g} [{low:.4g}, {high:.4g}]; in random order "
                f"{self.random_pair_share:.0%} of pairs, {self.random_mass_share:.0%} of the mass",
                *self._of_gates,
                f"{int(self.needed.sum())} of {len(self.needed)} kept pairs tested are needed: the "
                "loss rises when one goes too",
                f"core {counts['core']}, interchangeable {counts['interchangeable']}, free "
                f"{counts['free']} over {repeats}",
            ]
        )


def removable(
    network: Network,
    search: Trials,
    fresh: Trials,
    *,
    tolerance: float = 0.01,
    measure: MeasureLike = "fvu",
    by: str = "mass",
    repeats: int = 6,
    n_random: int = 4,
    level: float = 0.95,
    order: Order | None = None,
    schur: Schurs | None = None,
    rng: Rng = 0,
    n_threads: int = 0,
) -> Removable:
    """Remove as many pairs of blocks at once as the tolerance allows, in all gates together.

    A second-order model of the search trials orders the pairs by what they cost. Bisection with
    exact rollouts of the search trials finds how far along the order the loss stays within the
    tolerance. Rounds of exchanges follow: with a new model around the set, pairs that save most are
    restored and others removed, see `Search`. The set is accepted if the upper confidence bound of
    the loss on the fresh trials is within the tolerance too; else it shrinks until it is. The set
    is one of many: the search finds a large set, not the largest.

    Parameters
    ----------
    network, measure, order, schur, n_threads
        As for `ablate`. A measure without a second derivative is searched with its surrogate:
        squared error for signs, cross-entropy for classes.
    search, fresh : Trials
        Different trials of the same task.
    tolerance : float
        Largest loss.
    by : {"mass", "count"}
        Whether to remove much mass or many pairs: the largest sum of that share and a fifth of the
        other.
    repeats : int
        Searches on resampled search trials, for `Removable.core`.
    n_random : int
        Random orders for comparison.
    level : float
        Coverage of the intervals.
    rng : numpy.random.Generator, SeedSequence or int

    Raises
    ------
    TypeError, ValueError
        As for `ablate`; the measure has no better direction.
    """
    fitting_trials(network, fresh)
    question = Question(network, search, measure, order, schur, rng, n_threads)
    price = choice(by, "by", ("mass", "count"))
    tolerance, level = positive(tolerance, "tolerance"), fraction(level, "level")
    repeats, n_random = positive_int(repeats, "repeats"), positive_int(n_random, "n_random")
    return removable_of(question, fresh, tolerance, price, repeats, n_random, level)


def removable_of(
    question: Question,
    fresh: Trials,
    tolerance: float,
    by: str,
    repeats: int,
    n_random: int,
    level: float,
) -> Removable:
    """The removable set of a question whose trials are those of the search; see `removable`."""
    question.require_direction()
    pairs = Pairs.of(question.coordinates)
    if not len(pairs):
        raise ValueError(
            f"network must have a coupling to remove, got W_hh of {question.network.W_hh.shape}, "
            "whose T is a single block"
        )
    total = pairs.squares.sum() or 1.0
    shares = [pairs.squares / total, np.full(len(pairs), 1 / len(pairs))]
    wanted, other = shares if by == "mass" else shares[::-1]
    price = wanted + _OTHER_SHARE * other
    judged = Losses(question.evaluator(fresh), pairs)
    # The same for every look, so that shrinking the set does not wait for a lucky draw.
    resamples = resamples_of(judged.evaluator, question.intervals)
    search = Search(question, question.trials, pairs, price, tolerance)
    best = search.best()
    order, n_removed = search.order(best), int(best.sum())
    interval = judged.interval(order[:n_removed], level, resamples)
    while n_removed and not interval[1] <= tolerance:
        n_removed -= max(1, n_removed // 500)
        interval = judged.interval(order[:n_removed], level, resamples)
    removed, kept = order[:n_removed], order[n_removed:]
    change = judged.loss([removed])[0]

    random_sizes, random_mass, random_curves = [], [], []
    points = _points(len(pairs))
    for _ in range(n_random):
        shuffled = question.draws.permutation(len(pairs))
        size = judged.longest(shuffled, tolerance)
        random_sizes.append(size / len(pairs))
        random_mass.append(pairs.squares[shuffled[:size]].sum() / total)
        random_curves.append(_curve(judged, pairs.squares, shuffled, points))
    curve = _curve(judged, pairs.squares, order, points)
    random_curve = np.mean(random_curves, axis=0)
    limit = 10 * tolerance
    saved = np.minimum(random_curve[:, 2], limit) - np.minimum(curve[:, 2], limit)

    always, never, jaccard = _repeated(question, pairs, price, tolerance, repeats, removed)
    return Removable(
        removed=pairs.blocks[np.sort(removed)],
        removed_gates=pairs.gate_names[np.sort(removed)],
        change=float(change),
        interval=interval,
        pair_share=n_removed / len(pairs),
        mass_share=float(pairs.squares[removed].sum() / total),
        random_pair_share=float(np.mean(random_sizes)),
        random_mass_share=float(np.mean(random_mass)),
        gate_shares=_shares(pairs, removed),
        core=pairs.blocks[never],
        core_gates=pairs.gate_names[never],
        free=pairs.blocks[always],
        free_gates=pairs.gate_names[always],
        jaccard=jaccard,
        curve=curve,
        random_curve=random_curve,
        area=float(np.sum((saved[1:] + saved[:-1]) / 2 * np.diff(curve[:, 0]))),
        completeness=judged.interval(kept, level, resamples),
        minimality=judged.added(removed, kept[:32]),
        settings={
            "measure": question.measure.name,
            "tolerance": tolerance,
            "by": by,
            "repeats": repeats,
            "n_random": n_random,
            "n_pairs": len(pairs),
            "n_search": question.trials.n_trials,
            "n_fresh": fresh.n_trials,
            "level": level,
        },
    )


def _shares(pairs: Pairs, removed: _Int64) -> dict[str, tuple[float, float]]:
    """Gate → shares of its pairs and of its squared mass that are removed."""
    is_removed = np.zeros(len(pairs), dtype=np.bool_)
    is_removed[removed] = True
    shares = {}
    for number, gate in enumerate(pairs.coordinates.gates):
        mine, squares = pairs.gate == number, pairs.squares
        shares[gate] = (
            float((mine & is_removed).sum() / max(mine.sum(), 1)),
            float(squares[mine & is_removed].sum() / (squares[mine].sum() or 1.0)),
        )
    return shares


def _points(n_pairs: int) -> _Int64:
    return np.unique(np.linspace(0, n_pairs, _CURVE_POINTS).round().astype(np.int64))


def _curve(losses: Losses, squares: _Float64, order: _Int64, points: _Int64) -> _Float64:
    mass = np.concatenate([[0.0], np.cumsum(squares[order])])[points] / (squares.sum() or 1.0)
    loss = losses.loss([order[:size] for size in points])
    return np.stack([points / len(order), mass, loss], axis=1)


def _repeated(
    question: Question,
    pairs: Pairs,
    price: _Float64,
    tolerance: float,
    repeats: int,
    removed: _Int64,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], float]:
    """Pairs removed in every repeat, pairs kept in every repeat, and the kept sets' Jaccard index.

    A repeat searches on a resample of the trials; the search's own result is the first.
    """
    sets = np.zeros((repeats + 1, len(pairs)), dtype=np.bool_)
    sets[0, removed] = True
    n_trials = question.trials.n_trials
    for repeat in range(1, repeats + 1):
        resample = question.trials[question.draws.integers(n_trials, size=n_trials)]
        sets[repeat] = Search(question, resample, pairs, price, tolerance).best()
    kept = ~sets
    indices = [
        (kept[a] & kept[b]).sum() / max((kept[a] | kept[b]).sum(), 1)
        for a in range(len(sets))
        for b in range(a)
    ]
    always, never = np.logical_and.reduce(sets), np.logical_and.reduce(kept)
    return always, never, float(np.mean(indices))
