"""Ordering a real Schur form by modulus: the core against repeated calls of LAPACK's dtrexc."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator

import numpy as np
import scipy.linalg

import schurscope._core as core

from .problems import Array
from .timing import MS, OURS, Comparison, Contender

Factors = tuple[Array, Array]


def comparisons(quick: bool) -> Iterator[Comparison]:
    for n_hidden in (64, 128) if quick else (64, 128, 256, 512, 1024):
        W = _matrix(n_hidden)
        T, Q = (np.asfortranarray(a) for a in scipy.linalg.schur(W, output="real"))
        order = np.argsort(-_moduli(T), kind="stable")
        n_swaps, refused = core.reorder_schur(T.copy(order="F"), Q.copy(order="F"), order)
        assert len(refused) == 0
        run_ours = _ours(T, Q, order)
        expected = _moduli(run_ours()[0])

        def check(factors: Factors, W: Array = W, expected: Array = expected) -> None:
            T, Q = factors
            np.testing.assert_allclose(Q @ T @ Q.T, W, atol=1e-13 * len(W))
            np.testing.assert_allclose(Q.T @ Q, np.eye(len(W)), atol=1e-13 * len(W))
            np.testing.assert_allclose(_moduli(T), expected, rtol=1e-8)
            assert (np.diff(_moduli(T)) <= 1e-8).all()

        yield Comparison(
            f"ordering a Schur form, N_h {n_hidden}, {n_swaps} swaps",
            MS,
            [
                Contender(OURS, "reorder_schur", run_ours, check, 1),
                Contender("SciPy", "dtrexc, largest first", _dtrexc(T, Q, _pick(order)), check, 1),
                Contender("SciPy", "dtrexc, by insertion", _dtrexc(T, Q, _insert(order)), check, 1),
            ],
            "1 × SciPy",
        )


def _matrix(n_hidden: int) -> Array:
    """Nearly orthogonal, as trained from an orthogonal start: close moduli in random order."""
    random = np.random.default_rng(n_hidden)
    orthogonal, _ = np.linalg.qr(random.standard_normal((n_hidden, n_hidden)))
    return orthogonal + 0.1 / np.sqrt(n_hidden) * random.standard_normal(orthogonal.shape)


def _ours(T: Array, Q: Array, order: Array) -> Callable[[], Factors]:
    def run() -> Factors:
        factors = T.copy(order="F"), Q.copy(order="F")
        core.reorder_schur(*factors, order)
        return factors

    return run


def _dtrexc(T: Array, Q: Array, moves: list[tuple[int, int]]) -> Callable[[], Factors]:
    """Move blocks up, from the first of `moves` to the second, counted in blocks."""
    starts = core.block_starts(T)
    sizes = np.diff(starts, append=len(T)).tolist()
    rows = []
    for source, place in moves:
        rows.append((sum(sizes[:source]) + 1, sum(sizes[:place]) + 1))
        sizes.insert(place, sizes.pop(source))
    dtrexc = scipy.linalg.lapack.dtrexc

    def run() -> Factors:
        ordered_T, ordered_Q = T.copy(order="F"), Q.copy(order="F")
        for source, place in rows:
            ordered_T, ordered_Q, info = dtrexc(
                ordered_T, ordered_Q, source, place, overwrite_a=True, overwrite_q=True
            )
            assert info == 0
        return ordered_T, ordered_Q

    return run


def _pick(order: Array) -> list[tuple[int, int]]:
    """For each place, fetch the block that belongs there."""
    blocks, moves = list(range(len(order))), []
    for place, block in enumerate(order.tolist()):
        source = blocks.index(block)
        blocks.insert(place, blocks.pop(source))
        if source != place:
            moves.append((source, place))
    return moves


def _insert(order: Array) -> list[tuple[int, int]]:
    """For each block, insert it among those above it, which are in order already."""
    above: list[int] = []
    moves = []
    for source, rank in enumerate(np.argsort(order).tolist()):
        place = bisect_left(above, rank)
        above.insert(place, rank)
        if source != place:
            moves.append((source, place))
    return moves


def _moduli(T: Array) -> Array:
    """Of each block of T."""
    starts = core.block_starts(T)
    moduli = np.abs(np.diag(T))[starts]
    pairs = np.flatnonzero(np.diff(starts, append=len(T)) == 2)
    first = starts[pairs]
    moduli[pairs] = np.hypot(moduli[pairs], np.sqrt(-T[first, first + 1] * T[first + 1, first]))
    return moduli
