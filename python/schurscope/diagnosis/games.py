"""Cooperative games: Shapley values and interactions as linear maps of the values of coalitions.

A game assigns a value v(S) to each set S of its n players. All results here are linear in v: the
same coefficients give the result, what each trial contributes to it, and its resamples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

__all__ = [
    "Orders",
    "all_coalitions",
    "alone_and_last",
    "interaction_coefficients",
    "shapley_coefficients",
]

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]
_Bool = npt.NDArray[np.bool_]


def all_coalitions(n: int) -> _Bool:
    """Every set of n players: (2^n, n); player i is in the sets whose number has bit i."""
    numbers = np.arange(2**n)[:, None]
    members: _Bool = (numbers >> np.arange(n)) & 1 == 1
    return members


def shapley_coefficients(n: int) -> _Float64:
    """A of φ = A v, for v in the order of `all_coalitions`: (n, 2^n).

    ``φ_i = Σ_(S∌i) |S|! (n - |S| - 1)! / n! [v(S ∪ i) - v(S)]``. Source: Shapley, in Contributions
    to the Theory of Games II (1953).
    """
    numbers = np.arange(2**n)
    sizes = all_coalitions(n).sum(axis=1)
    share = np.array([1 / (n * math.comb(n - 1, size)) for size in range(n)])
    A = np.zeros((n, 2**n))
    for player in range(n):
        without = numbers[(numbers >> player) & 1 == 0]
        A[player, without] = -share[sizes[without]]
        A[player, without | (1 << player)] = share[sizes[without]]
    return A


def interaction_coefficients(n: int) -> tuple[_Int64, _Float64]:
    """Pairs of players, (pairs, 2), and B of I = B v: (pairs, 2^n).

    The Shapley interaction index, ``I_ij = Σ_(S∌i,j) |S|! (n - |S| - 2)! / (n - 1)! Δ_ij(S)`` with
    ``Δ_ij(S) = v(S ∪ ij) - v(S ∪ i) - v(S ∪ j) + v(S)``. Source: Grabisch & Roubens, International
    Journal of Game Theory 28 (1999).
    """
    numbers = np.arange(2**n)
    sizes = all_coalitions(n).sum(axis=1)
    pairs = np.array(list(combinations(range(n), 2)), dtype=np.int64).reshape(-1, 2)
    share = np.array([1 / ((n - 1) * math.comb(n - 2, size)) for size in range(n - 1)])
    B = np.zeros((len(pairs), 2**n))
    for row, (i, j) in enumerate(pairs):
        without = numbers[((numbers >> i) | (numbers >> j)) & 1 == 0]
        weight = share[sizes[without]]
        B[row, without] = B[row, without | (1 << i) | (1 << j)] = weight
        B[row, without | (1 << i)] = B[row, without | (1 << j)] = -weight
    return pairs, B


def alone_and_last(coalitions: _Bool) -> _Float64:
    """Coefficients of v({i}), then of v(all) - v(all without i): (2n, coalitions).

    The empty set, on which v = 0, need not be among the coalitions.
    """
    n = coalitions.shape[1]
    sizes = coalitions.sum(axis=1)
    rows = np.zeros((2 * n, len(coalitions)))
    for player in range(n):
        rows[player, (sizes == 1) & coalitions[:, player]] = 1
        rows[n + player, (sizes == n - 1) & ~coalitions[:, player]] -= 1
        rows[n + player, sizes == n] += 1
    return rows


@dataclass(frozen=True, eq=False)
class Orders:
    """Random orders of the players, in antithetic pairs, and the coalitions that they visit.

    In each order a player is credited with what it adds to those before it; the mean over all
    orders is the Shapley value. The second order of a pair is the first in reverse. Source of the
    pairs: Mitchell et al., Journal of Machine Learning Research 23 (2022).

    Attributes
    ----------
    orders : (orders, n)
        Orders 2p and 2p + 1 are a pair.
    coalitions : (coalitions, n)
        Each visited set once, and every set that `alone_and_last` needs.
    visited : (orders, n + 1)
        The coalitions of each order, from the empty set to all players.
    """

    orders: _Int64
    coalitions: _Bool
    visited: _Int64

    @classmethod
    def drawn(cls, n: int, n_pairs: int, rng: np.random.Generator) -> Orders:
        """`n_pairs` pairs of orders of n players."""
        forward = rng.permuted(np.tile(np.arange(n), (n_pairs, 1)), axis=1)
        orders = np.stack([forward, forward[:, ::-1]], axis=1).reshape(-1, n)
        rank = np.argsort(orders, axis=1)
        prefixes = rank[:, None, :] < np.arange(n + 1)[:, None]
        singles = np.eye(n, dtype=np.bool_)
        every = np.concatenate([prefixes.reshape(-1, n), singles, ~singles])
        coalitions, number = np.unique(every, axis=0, return_inverse=True)
        visited = number.ravel()[: orders.shape[0] * (n + 1)].reshape(-1, n + 1)
        return cls(orders, coalitions, visited)

    def coefficients(self) -> _Float64:
        """A of the mean credits φ = A v: (n, coalitions)."""
        A = np.zeros((self.orders.shape[1], len(self.coalitions)))
        share = 1 / len(self.orders)
        np.add.at(A, (self.orders, self.visited[:, 1:]), share)
        np.add.at(A, (self.orders, self.visited[:, :-1]), -share)
        return A

    def sampling_error(self, values: _Float64) -> _Float64:
        """Standard error of the mean credits over the pairs of orders, of values v: (n,)."""
        added = np.empty(self.orders.shape)
        np.put_along_axis(added, self.orders, np.diff(values[self.visited], axis=1), axis=1)
        of_pairs = (added[::2] + added[1::2]) / 2
        error: _Float64 = of_pairs.std(axis=0, ddof=1) / np.sqrt(len(of_pairs))
        return error
