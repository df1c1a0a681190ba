"""Changes under random ablations: pairs of the same mass, sets of eigenvalues in R's place."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..ablation.batch import Batch
from ..ablation.names import named_couplings
from ..ablation.plan import Ablation, gate_masses
from ..coordinates.forms import Coordinates, Cuts
from ..coordinates.sectors import Sectors
from .compared import Compared
from .draws import drawn_blocks, drawn_gains, has_choice
from .pairs import Pairs

__all__ = ["has_partition", "pair_draws", "partition_draws"]

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]
_GAINS_AT_ONCE = 2**22
_DRAWS_AT_ONCE = 25


def has_partition(cuts: Cuts, name: str) -> bool:
    """Whether other sets of eigenvalues could take R's place in a gate that an ablation names."""
    return any(
        has_choice(cuts[gate].schur.block_sizes, cuts[gate].n_R)
        for gate in named_couplings(name, tuple(cuts))
    )


def pair_draws(
    compared: list[Compared], coordinates: Coordinates, n: int, rng: np.random.Generator
) -> tuple[_Int64, npt.NDArray[np.str_], _Float64, _Int64]:
    """Row and pool of each test, changes under random pairs, (tests, draws), and draws made."""
    pairs = Pairs.of(coordinates)
    in_N, squares = pairs.blocks[:, 0] < pairs.blocks[:, 1], pairs.squares
    tests = []
    for row, one in enumerate(compared):
        taken = pairs.total([mask.astype(np.float64) for mask in one.row.masks(coordinates.schurs)])
        named = np.flatnonzero(one.row.named[0])
        in_gates = in_N & np.isin(pairs.gate, named)
        tests.append((row, "N", in_gates))
        if (in_N & (taken > 0)).any():
            tests.append((row, "outside", in_gates & (taken == 0)))
    rows, labels, _ = zip(*tests, strict=True)
    drawn, made = np.full((len(tests), n), np.nan), np.zeros(len(tests), dtype=np.int64)
    for test, (row, _, pool) in enumerate(tests):
        # As much of each gate's mass as the ablation removes from it.
        targets = np.square(gate_masses(coordinates, compared[row].row)[0] * coordinates.norms)
        available = np.bincount(pairs.gate[pool], squares[pool], minlength=len(targets))
        if pool.any() and (available > targets * (1 + 1e-9))[targets > 0].all():
            change = _changes_of_pairs(compared[row], pairs, pool, targets, n, rng)
            made[test] = len(change)
            drawn[test, : made[test]] = change
    return np.array(rows), np.array(labels), drawn, made


def _changes_of_pairs(
    compared: Compared,
    pairs: Pairs,
    pool: npt.NDArray[np.bool_],
    targets: _Float64,
    n: int,
    rng: np.random.Generator,
) -> _Float64:
    """Changes under n random ablations, or under the first of them if more are not needed."""
    change = np.empty(0)
    which = np.flatnonzero(pool)
    gate, squares = pairs.gate[which], pairs.squares[which]
    size = max(1, _GAINS_AT_ONCE // len(which))
    for first in range(0, n, size):
        gains = np.ones((min(size, n - first), len(which)))
        for number in np.flatnonzero(targets > 0):
            mine = gate == number
            gains[:, mine] = drawn_gains(squares[mine], float(targets[number]), len(gains), rng)
        for start in range(0, len(gains), _DRAWS_AT_ONCE):
            some = gains[start : start + _DRAWS_AT_ONCE]

            def of(rows: _Int64, some: _Float64 = some) -> Batch:
                return pairs.batch(some[rows], which)

            change = np.concatenate([change, compared.changes(of, len(some))])
            if compared.is_common(change, n):
                return change
    return change


def partition_draws(
    compared: list[Compared],
    cuts: Cuts,
    names: list[str],
    n: int,
    rng: np.random.Generator,
) -> tuple[_Float64, _Int64]:
    """Changes under the same ablations at random cuts, (rows, draws), and draws made."""
    drawn, made = np.full((len(names), n), np.nan), np.zeros(len(names), dtype=np.int64)
    gates = tuple(cuts)
    named = [named_couplings(name, gates) for name in names]
    for draw in range(n):
        left = [
            place
            for place, one in enumerate(compared)
            if not one.is_common(drawn[place, : made[place]], n)
        ]
        if not left:
            break
        drawn_cuts = {
            gate: _random_cut(cut, rng) if any(gate in one for one in named) else cut
            for gate, cut in cuts.items()
        }
        forms = Coordinates(gates, tuple(cut.schur for cut in drawn_cuts.values()))
        for place in left:
            made[place] += 1
            if any(len(drawn_cuts[gate].schur.refused) for gate in named[place]):
                continue
            row = Batch.of([Ablation.of(names[place], drawn_cuts)], gates)
            drawn[place, draw] = compared[place].change_of(row, forms)
    return drawn, made


def _random_cut(cut: Sectors, rng: np.random.Generator) -> Sectors:
    """A random set of eigenvalues of R's dimension in R's place."""
    schur, blocks = cut.schur, np.arange(len(cut.starts))
    if not has_choice(schur.block_sizes, cut.n_R):
        return cut
    chosen = drawn_blocks(schur.block_sizes, cut.n_R, rng)
    form = schur.reordered(np.concatenate([chosen, np.setdiff1d(blocks, chosen)]))
    return Sectors(cut.alpha, cut.n_R, np.nan, form)
