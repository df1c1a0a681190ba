"""Random sets of pairs and of blocks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy

__all__ = ["drawn_blocks", "drawn_gains"]

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]


def drawn_gains(squares: _Float64, target: float, n: int, rng: np.random.Generator) -> _Float64:
    """Gains that remove random pairs of total squared mass `target`: (n, pairs).

    The pairs are removed in random order while the target allows. With r left of it, the next pair,
    of squared mass s, gets the gain 1 - √(r / s); the others keep gain 1.
    """
    order = np.argsort(rng.random((n, len(squares))), axis=1)
    mass = squares[order]
    left = np.clip(target - (np.cumsum(mass, axis=1) - mass), 0.0, mass)
    share = np.sqrt(np.divide(left, mass, out=np.zeros_like(mass), where=mass > 0))
    gains = np.empty_like(mass)
    np.put_along_axis(gains, order, 1.0 - share, axis=1)
    return gains


def drawn_blocks(sizes: _Int64, n_R: int, rng: np.random.Generator) -> _Int64:
    """A uniformly random set of blocks of total dimension n_R, by index, increasing."""
    singles, doubles = np.flatnonzero(sizes == 1), np.flatnonzero(sizes == 2)
    counts = np.arange(len(doubles) + 1)
    ways = _log_binomial(len(doubles), counts) + _log_binomial(len(singles), n_R - 2 * counts)
    chances = np.exp(ways - ways.max())
    two = rng.choice(counts, p=chances / chances.sum())
    chosen = [
        rng.choice(doubles, two, replace=False),
        rng.choice(singles, n_R - 2 * two, replace=False),
    ]
    return np.sort(np.concatenate(chosen))


def _log_binomial(n: int, k: _Int64) -> _Float64:
    """Logarithm of n choose k; -inf where there is no such choice."""
    inside = (k >= 0) & (k <= n)
    within = np.where(inside, k, 0)
    gammaln = scipy.special.gammaln
    ways = gammaln(n + 1) - gammaln(within + 1) - gammaln(n - within + 1)
    return np.where(inside, ways, -np.inf)
