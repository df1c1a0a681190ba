"""Matrices of many kinds with cuts whose verdict is known; ``python tests/cut_verdicts.py`` counts.

The verdict follows from how a matrix was made: its exact eigenvalues, and how far a perturbation of
the size of rounding moves them. Cuts for which this leaves any doubt are drawn again. Gaussian and
companion matrices have no such recipe: NumPy's eigenvectors of perturbed matrices judge them.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from typing import NamedTuple

import numpy as np
import scipy.linalg

import schurscope as ss

TIE = 1e-12  # R holds the moduli from (alpha - TIE) rho on
CLEAR = 10.0  # factor between a movement and a margin that leaves no doubt
LITTLE = 3e-3  # movement of a projector that leaves no doubt


class Case(NamedTuple):
    """A matrix, a cut, and whether rounding to the dtype leaves the cut as it is."""

    kind: str
    is_rotated: bool
    W: np.ndarray
    alpha: float
    determined: bool


class Known(NamedTuple):
    """Exact eigenvalues, and what a perturbation of Frobenius norm 1 does to first order.

    `turn` bounds the movement of the projector on those with ``inside``.
    """

    moduli: np.ndarray
    movement: np.ndarray
    turn: object


class Draw(NamedTuple):
    """How a matrix is drawn."""

    n: int
    rng: np.random.Generator
    dtype: type
    is_rotated: bool

    @property
    def unit(self):
        """Unit roundoff."""
        return float(np.finfo(self.dtype).eps) / 2

    def stored(self, W):
        """The matrix as users have it, rounded once."""
        return (rotated(W, self.rng) if self.is_rotated else W).astype(self.dtype)


def case(kind: str, n: int, rng: np.random.Generator) -> Case:
    """A random matrix of order about `n` and a cut of it."""
    draw = Draw(n, rng, rng.choice([np.float32, np.float64]), bool(rng.integers(2)))
    found = None
    while found is None:
        found = KINDS[kind](draw)
    return Case(kind, draw.is_rotated, *found)


def rotated(W, rng):
    """Q W Qᵀ with a random orthogonal Q, in extended precision: it will be rounded only once."""
    Q, R = np.linalg.qr(rng.standard_normal(W.shape))
    Q = (Q * np.sign(np.diag(R))).astype(np.longdouble)
    Q = Q @ (3 * np.eye(len(Q)) - Q.T @ Q) / 2  # orthogonal to the square of double precision
    return Q @ W @ Q.T


def normal(draw):
    """Blocks of scaled rotations."""
    n, rng = draw.n, draw.rng
    radii = rng.uniform(0.1, 1.0, n // 2)
    angles = rng.uniform(0, np.pi, n // 2)
    W = scipy.linalg.block_diag(
        *[
            r * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
            for r, a in zip(radii, angles, strict=True)
        ]
    )
    values = np.concatenate([radii * np.exp(1j * angles), radii * np.exp(-1j * angles)])
    return _cut_of(draw.stored(W), draw.unit, _normal(values), rng)


def orthogonal(draw):
    """Every modulus is 1: all of them in R, or each on its side of a cut at 1."""
    n, rng = draw.n, draw.rng
    W, _ = np.linalg.qr(rng.standard_normal((n, n)))
    if rng.integers(4) == 0:
        return draw.stored(W), 1.0, draw.unit < TIE
    return draw.stored(W), float(rng.uniform(0.3, 0.99)), True


def low_rank(draw):
    """A few nonzero rows: known eigenvalues, then n - k zeros; also a cut among the zeros."""
    n, rng = draw.n, draw.rng
    k = int(rng.integers(1, 4))
    values = rng.uniform(0.3, 1.0, k) * rng.choice([-1, 1], k)
    right = rng.standard_normal((k, n - k)) / np.sqrt(n)
    W = np.zeros((n, n))
    W[:k, :k], W[:k, k:] = np.diag(values), right
    W = draw.stored(W)
    if rng.integers(4) == 0:
        alpha = float(draw.unit * 1e-3)  # rounding moves no exact zero
        return W, alpha, not draw.is_rotated and alpha > TIE
    condition = np.sqrt(1 + np.square(right).sum(axis=1) / values**2)
    null = 1 + np.linalg.norm(right / values[:, None], 2)
    every = np.concatenate([values, np.zeros(n - k)])
    condition = np.concatenate([condition, np.full(n - k, null)])

    def turn(inside):
        groups = {complex(v): c for v, c in zip(every, condition, strict=True)}
        R = {complex(v) for v in every[inside]}
        return sum(
            2 * a * b / abs(x - y)
            for x, a in groups.items()
            for y, b in groups.items()
            if x in R and y not in R
        )

    return _cut_of(W, draw.unit, Known(np.abs(every), condition, turn), rng)


def defective(draw):
    """Jordan blocks of two at a few levels."""
    n, rng = draw.n, draw.rng
    levels = np.linspace(0.3, 1.0, int(rng.integers(2, 5)))
    which = np.concatenate([np.arange(len(levels)), rng.integers(len(levels), size=n // 2)])
    W = scipy.linalg.block_diag(*[np.array([[levels[i], 1.0], [0.0, levels[i]]]) for i in which])
    W = draw.stored(W)
    moduli = np.repeat(levels[which], 2)
    # An eigenvalue of a block of two moves by the square root of the perturbation.
    size = draw.unit * np.linalg.norm(W)
    movement = np.full(len(moduli), np.sqrt(size) / size)
    gap = levels[1] - levels[0]
    known = Known(moduli, movement, lambda _: 2 / gap * (1 + 1 / gap) ** 2)
    return _cut_of(W, draw.unit, known, rng)


def nilpotent(draw):
    """Strictly triangular and dense: every eigenvalue is 0."""
    n, rng = draw.n, draw.rng
    W = np.triu(rng.standard_normal((n, n)), 1) / np.sqrt(n)
    return draw.stored(W), float(rng.uniform(0.2, 0.95)), False


def chain(draw):
    """Units that feed the next layer: every eigenvalue is 0."""
    n, rng = draw.n, draw.rng
    layer = int(rng.integers(1, max(2, n // 4)))
    W = np.diag(rng.uniform(0.5, 1.5, n - layer), layer)
    return draw.stored(W), float(rng.uniform(0.2, 0.95)), False


def jordan(draw):
    """One Jordan block: rounding spreads its eigenvalue over a disc unless its zeros are exact."""
    n, rng = draw.n, draw.rng
    value = float(rng.uniform(0.3, 1.0))
    W = draw.stored(value * np.eye(n) + np.eye(n, k=1))
    alpha = float(rng.uniform(0.1, 0.98))
    if not draw.is_rotated:
        return W, alpha, True
    size = draw.unit * np.linalg.norm(W)
    # Of the disc: at least, and twice the most, so that no eigenvalue comes near the cut.
    low, high = (size / 100) ** (1 / n), 2 * (CLEAR * n * size) ** (1 / n)
    if alpha < (value - high) / (value + high):
        return W, alpha, True
    if alpha > 1.02 * (value - low) / (value + low):
        return W, alpha, False
    return None


def companion(draw):
    """Of a polynomial with random coefficients."""
    n, rng = draw.n, draw.rng
    W = np.diag(np.ones(n - 1), -1)
    W[0] = rng.standard_normal(n)
    return _cut_of(*_sampled(draw.stored(W), draw.unit, rng), rng)


def gaussian(draw):
    """Independent entries."""
    n, rng = draw.n, draw.rng
    return _cut_of(
        *_sampled(draw.stored(rng.standard_normal((n, n)) / np.sqrt(n)), draw.unit, rng), rng
    )


KINDS = {
    "normal": normal,
    "orthogonal": orthogonal,
    "low rank": low_rank,
    "defective": defective,
    "nilpotent": nilpotent,
    "feedforward chain": chain,
    "Jordan": jordan,
    "companion": companion,
    "Gaussian": gaussian,
}


def _normal(values):
    def turn(inside):
        return np.sqrt(2) / np.abs(values[inside][:, None] - values[~inside]).min()

    return Known(np.abs(values), np.ones(len(values)), turn)


def _sampled(W, unit, rng):
    """What perturbations of 2⁻²⁴ |W_ij| do, by NumPy's eigenvectors, per unit of their norm."""
    W = W.astype(np.float64)
    values, X = np.linalg.eig(W)
    moduli = np.abs(values)
    step = 2.0**-24
    size = step * np.linalg.norm(W)
    moved = [np.linalg.eig(W + step * W * rng.choice([-1.0, 1.0], W.shape)) for _ in range(3)]
    descending = np.sort(moduli)[::-1]
    movement = np.max(
        [np.abs(np.sort(np.abs(other))[::-1] - descending) for other, _ in moved], axis=0
    )

    def turn(inside):
        n_R = int(inside.sum())
        found = _projector(values, X, n_R)
        return max(np.linalg.norm(_projector(*other, n_R) - found) for other in moved) / size

    return W, unit, Known(descending, movement / size, turn)


def _projector(values, X, n_R):
    first = np.argsort(-np.abs(values), kind="stable")[:n_R]
    return X[:, first] @ np.linalg.inv(X)[first]


def _cut_of(W, unit, known, rng):
    """A cut on an eigenvalue, or between two where nothing reaches it; None if there is doubt."""
    size = unit * np.linalg.norm(W)
    moduli = known.moduli
    rho = moduli.max()
    movement = known.movement * size
    reach = movement + movement[moduli >= rho * (1 - 1e-9)].max()
    levels = np.unique(moduli)
    if rng.integers(2):
        on = levels[(levels < 0.99 * rho) & (levels > 0.05 * rho)]
        return (W, float(rng.choice(on) / rho + TIE), False) if len(on) else None
    highest = np.arange(1, min(len(levels), 1 + max(2, len(levels) // 2)))
    place = int(rng.choice(highest)) if len(highest) else 1
    alpha = float((levels[-place] + levels[-place - 1]) / 2 / rho) if len(highest) else 0.5
    if not 0.02 < alpha < 1 or (np.abs(moduli - alpha * rho) < CLEAR * reach).any():
        return None
    inside = moduli >= alpha * rho
    if not inside.all() and known.turn(inside) * size > LITTLE:
        return None
    return W, alpha, True


def order(rng: np.random.Generator, largest: int = 512) -> int:
    """An order of matrices: mostly small, one in twenty the largest."""
    if rng.integers(20) == 0:
        return largest
    return int(np.exp(rng.uniform(np.log(4), np.log(largest)))) // 2 * 2


def verdict(case: Case) -> bool:
    """What schurscope says."""
    return ss.ordered_schur(case.W).sectors(case.alpha).determined


def main() -> None:
    """Count right verdicts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--count", type=int, default=200, help="matrices of each kind (200)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("kind                 matrices  at 512   determined  right   not determined  right")
    begin, total = time.perf_counter(), Counter()
    kinds = options.kinds or list(KINDS)
    for kind in kinds:
        place = list(KINDS).index(kind)
        rng = np.random.default_rng([options.seed, place])
        counts = Counter()
        for _ in range(options.count):
            one = case(kind, order(rng), rng)
            counts[one.determined] += 1
            counts["large"] += len(one.W) >= 512
            said = verdict(one)
            counts["right", one.determined] += said == one.determined
            if said != one.determined:
                form = "rotated" if one.is_rotated else "plain"
                found = ss.ordered_schur(one.W).sectors(one.alpha)
                print(
                    f"  wrong: {kind}, {form}, {one.W.dtype}, N_h {len(one.W)}, "
                    f"alpha {one.alpha!r}: {found.n_R} {found.conditioning}"
                )
        total += counts
        _print(kind, options.count, counts)
    _print("all", options.count * len(kinds), total)
    print(f"{time.perf_counter() - begin:.0f} s")


def _print(kind: str, count: int, counts: Counter) -> None:
    print(
        f"{kind:<20} {count:>8} {counts['large']:>7} {counts[True]:>12} "
        f"{counts['right', True]:>6} {counts[False]:>16} {counts['right', False]:>6}",
        flush=True,
    )


if __name__ == "__main__":
    main()
