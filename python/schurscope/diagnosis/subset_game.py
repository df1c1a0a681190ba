"""Removals of subsets of groups that the user names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .._internal.checks import Rng, fraction, positive, positive_int, shown
from .._internal.frozen import ReadOnly
from ..ablation.batch import Batch, Places
from ..ablation.plan import Ablation, ablation_rows
from ..coordinates.forms import Coordinates, Cuts, Schurs
from ..coordinates.orders import Order
from ..coordinates.schur import OrderedSchur
from ..coordinates.sectors import couplings as COUPLINGS_OF_N
from ..networks.network import Network
from ..trials.trials import Trials
from .exact import looks, undecided
from .games import (
    Orders,
    all_coalitions,
    alone_and_last,
    interaction_coefficients,
    shapley_coefficients,
)
from .interactions import Interactions, Shapley, credits, interactions, project, without_rounding
from .question import MeasureLike, Question
from .runs import made_differences, resamples_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Group", "SubsetGame", "subset_game"]

_Float64 = npt.NDArray[np.float64]
_Bool = npt.NDArray[np.bool_]
MOST_EXACT = 12  # groups, 4096 subsets
_ERROR_RATE = 0.01
Group: TypeAlias = "str | Ablation | npt.ArrayLike | Mapping[str, npt.ArrayLike]"
"""A name of couplings, an ablation, or (n, 2) pairs of blocks, by gate in a gated network."""

_NONE = np.empty((0, 2), dtype=np.int64)


@dataclass(frozen=True, eq=False, repr=False)
class SubsetGame(ReadOnly):
    """Removals of subsets of groups; made by `schurscope.subset_game`.

    Attributes
    ----------
    names : tuple of str
    coalitions : (coalitions, groups) bool
        The subsets that were removed.
    change : (coalitions,)
        Change of the measure under each, v(S).
    shapley : Shapley
    interactions : Interactions or None
        None unless all subsets were run.
    settings : dict
        Measure, alpha, level, tolerance, number of trials used and of orders (0 if all subsets were
        run).
    """

    names: tuple[str, ...]
    coalitions: _Bool
    change: _Float64
    shapley: Shapley
    interactions: Interactions | None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """Whether all subsets were run."""
        return self.interactions is not None

    def to_dataframe(self) -> pd.DataFrame:
        """One row per coalition: which groups it removes, and the change. Needs pandas."""
        import pandas as pd

        frame = pd.DataFrame(self.coalitions, columns=list(self.names))
        frame["change"] = self.change
        frame.attrs.update(self.settings)
        return frame

    def __len__(self) -> int:
        """Number of coalitions."""
        return len(self.coalitions)

    def __repr__(self) -> str:
        kind = "exact" if self.exact else f"{self.settings['n_permutations']} orders"
        return f"SubsetGame(groups={len(self.names)}, coalitions={len(self)}, {kind})"

    def __str__(self) -> str:
        parts = [self.shapley] if self.interactions is None else [self.shapley, self.interactions]
        return "\n\n".join(map(str, parts))


def subset_game(
    network: Network,
    trials: Trials,
    groups: Mapping[str, Group] | Iterable[str] | None = None,
    *,
    alpha: float = 0.9,
    measure: MeasureLike = "fvu",
    order: Order | None = None,
    schur: Schurs | None = None,
    n_permutations: int = 256,
    tolerance: float | None = None,
    level: float = 0.95,
    rng: Rng = 0,
    n_threads: int = 0,
) -> SubsetGame:
    """Shapley values of groups of entries of T, and how the groups interact.

    Up to 12 groups, every subset is run. More groups are removed in random orders, each followed by
    its reverse, and a subset that occurs twice is run once. ``Σ φ = v(all)`` holds to rounding.

    Parameters
    ----------
    network, trials, alpha, measure, order, schur, n_threads
        As for `ablate`.
    groups : mapping, or iterable of str
        At least two. Name → what the group removes: couplings (``"RR"``, ``"CR+BB"``,
        ``"n:CR"``), an `Ablation`, or pairs of block indices I <= J, (n, 2) integers, of which
        (I, I) is the nonnormality of a 2x2 block; in a gated network a mapping of gates to such
        pairs. No two groups may share an entry of T. Names alone are those of couplings. None means
        RR, CR and CC, in a gated network of each gate: 9 groups of a GRU and 12 of an LSTM.
    n_permutations : int
        Number of orders for more than 12 groups, even and at least 4.
    tolerance : float, optional
        The game takes only as many trials as decide for every group whether its Shapley value
        exceeds the tolerance τ. They come in random order in batches that double their number, from
        64; a value φ is decided when its interval lies in one of φ < -τ, -τ < φ < τ and φ > τ. The
        intervals are Student's, from the errors over trials and over orders together, and miss with
        probability at most 1 % for each group over all looks (Bonferroni). Subsets do not stop one
        by one: every value depends on all of them, and only on common trials do the values add up
        to v(all). None takes all trials.
    level : float
        Of the bootstrap intervals, in (0, 1].
    rng : numpy.random.Generator, SeedSequence or int
        Source of the orders, the order of the trials, the resampled trials and the cell's noise.

    Returns
    -------
    SubsetGame
        NaN where a subset that counts made a rollout diverge.

    Raises
    ------
    TypeError, ValueError
        As for `ablate`; groups are too few, no such couplings or pairs, or overlap.
    """
    level = fraction(level, "level")
    if positive_int(n_permutations, "n_permutations") % 2 or n_permutations < 4:
        raise ValueError(f"n_permutations must be even and at least 4, got {n_permutations}")
    if tolerance is not None:
        tolerance = positive(tolerance, "tolerance")
    question = Question(network, trials, measure, order, schur, rng, n_threads)
    names, players = _players(groups, question.coordinates, alpha)
    n = len(names)
    orders = None
    if n <= MOST_EXACT:
        coalitions = all_coalitions(n)
        pairs, B = interaction_coefficients(n)
        A = np.concatenate([shapley_coefficients(n), alone_and_last(coalitions), B])
    else:
        orders = Orders.drawn(n, n_permutations // 2, question.draws)
        coalitions = orders.coalitions
        A = np.concatenate([orders.coefficients(), alone_and_last(coalitions)])
    every = question.evaluator(question.trials if tolerance is None else question.shuffled())
    ends = [every.n_trials] if tolerance is None else looks(every.n_trials)
    sums, parts = np.zeros(len(coalitions)), []
    for first, end in pairwise([0, *ends]):
        projected, terms = np.zeros((2, len(A), end - first))
        for rows, differences in made_differences(
            every, len(coalitions), lambda rows: players.unions(coalitions[rows]), first, end
        ):
            with np.errstate(invalid="ignore", over="ignore"):  # a rollout may diverge
                sums[rows] += differences.sum(axis=1)
            part, of_part = project(A[:, rows], differences)
            projected += part
            terms += of_part
        parts.append(without_rounding(projected, terms))
        projected = np.concatenate(parts, axis=1)
        evaluator = every.of_first(end)
        change = sums / evaluator.total
        error = np.zeros(n) if orders is None else orders.sampling_error(change)
        if tolerance is not None:
            values = projected[:n] * (end / evaluator.total)
            both = np.hypot(values.std(axis=1, ddof=1) / np.sqrt(end), error)
            degrees = end - 1 if orders is None else min(end, n_permutations // 2) - 1
            rate = _ERROR_RATE / len(ends)
            if not undecided(values.mean(axis=1), both, tolerance, degrees, rate).any():
                break
    resamples = resamples_of(evaluator, question.intervals)
    settings = {
        "measure": question.measure.name,
        "alpha": fraction(alpha, "alpha"),
        "level": level,
        "n_trials": evaluator.n_trials,
        "n_permutations": 0 if orders is None else n_permutations,
        "tolerance": tolerance,
    }
    total = float(change[coalitions.all(axis=1)][0])
    return SubsetGame(
        names=names,
        coalitions=coalitions,
        change=change,
        shapley=credits(names, projected[: 3 * n], total, resamples, level, error, settings),
        interactions=None
        if orders is not None
        else interactions(names, pairs, projected[3 * n :], resamples, level, settings),
        settings=settings,
    )


def _players(
    groups: Mapping[str, Group] | Iterable[str] | None, coordinates: Coordinates, alpha: float
) -> tuple[tuple[str, ...], Batch]:
    """Names of the groups, and one ablation for each; errors as for `subset_game`."""
    if groups is None:
        gates = [f"{gate}:" if gate else "" for gate in coordinates.gates]
        groups = [gate + coupling for gate in gates for coupling in COUPLINGS_OF_N]
    if isinstance(groups, str) or not isinstance(groups, Iterable):
        raise TypeError(
            f"groups must be a mapping from names to couplings, ablations or pairs of blocks, or "
            f"names of couplings, got {shown(groups)}"
        )
    named = groups if isinstance(groups, Mapping) else {name: name for name in groups}
    if len(named) < 2:
        raise ValueError(f"groups must have at least two entries, got {len(named)}")
    names, cuts = tuple(map(str, named)), coordinates.sectors(alpha)
    batches = [_batch(name, group, cuts) for name, group in named.items()]
    masks = [np.stack(batch.masks(coordinates.schurs)) for batch in batches]
    if np.sum(masks, axis=0).max() > 1:
        for i, j in combinations(range(len(names)), 2):
            if (masks[i] & masks[j]).any():
                raise ValueError(
                    f"groups must not share entries of T, {names[i]!r} and {names[j]!r} do"
                )
    return names, Batch.joined(batches)


def _batch(name: str, group: Group, cuts: Cuts) -> Batch:
    """The ablation of one group, a batch of one."""
    if isinstance(group, (str, Ablation)):
        row = Ablation.of(group, cuts) if isinstance(group, str) else group
        ablation_rows([row], cuts)  # checks that it lies inside T
        return Batch.of([row], tuple(cuts))
    what = f"groups[{name!r}]"
    of_gates = group if isinstance(group, Mapping) else {"": group}
    if unknown := [gate for gate in of_gates if gate not in cuts]:
        wanted = "(n, 2) pairs" if "" in cuts else f"a mapping of gates {', '.join(cuts)} to pairs"
        raise ValueError(f"{what} must be {wanted} of blocks, got {shown(unknown[0] or group)}")
    return Batch(
        tuple(_places(what, of_gates.get(gate, _NONE), cut.schur) for gate, cut in cuts.items())
    )


def _places(what: str, group: npt.ArrayLike, schur: OrderedSchur) -> Places:
    """The removal of pairs of blocks of one T."""
    pairs = np.asarray(group)
    if pairs.dtype.kind not in "iu":
        raise TypeError(
            f"{what} must be the name of couplings, an Ablation or pairs of block indices, got "
            f"{shown(group)}"
        )
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ValueError(f"{what} must have shape (n, 2), got {pairs.shape}")
    n_blocks = len(schur.starts)
    first, last = pairs.T
    single = (first == last) & (schur.block_sizes[np.clip(first, 0, n_blocks - 1)] == 1)
    bad = (first < 0) | (last < first) | (last >= n_blocks) | single
    if bad.any():
        raise ValueError(
            f"{what} must hold pairs 0 <= I <= J < {n_blocks} of blocks, I = J only for a 2x2 "
            f"block, got {tuple(pairs[bad][0].tolist())}"
        )
    if len(np.unique(pairs, axis=0)) < len(pairs):
        raise ValueError(f"{what} must hold each pair once")
    return Places.of_pairs(schur, pairs.astype(np.int64), np.zeros((1, len(pairs))))
