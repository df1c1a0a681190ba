"""Matrices for the tests of Schur forms, and the checks that every form must pass."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
from hypothesis import strategies as st

import reference

TOLERANCE = 1e-12
SUBSETS = [subset.split("+") for subset in reference.SUBSETS[1:] if subset != "BB"]


def gaussian(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, n)) / np.sqrt(n)


def orthogonal(n, seed=0):
    return scipy.linalg.qr(gaussian(n, seed))[0]


@st.composite
def generic(draw, max_size=16):
    """Matrices whose eigenvalues are reasonably conditioned: Gaussian, near-orthogonal, normal."""
    n = draw(st.integers(1, max_size))
    seed = draw(st.integers(0, 2**32 - 1))
    kind = draw(st.sampled_from(["gaussian", "near-orthogonal", "normal"]))
    if kind == "gaussian":
        return gaussian(n, seed)
    Q = orthogonal(n, seed)
    if kind == "near-orthogonal":
        return Q + 0.1 * gaussian(n, seed + 1)
    rotations = [[[a, -b], [b, a]] for a, b in np.random.default_rng(seed).normal(size=(n // 2, 2))]
    D = scipy.linalg.block_diag(*rotations, *[[[0.5]]] * (n % 2))
    return Q @ D @ Q.T


@st.composite
def awkward(draw, max_size=10):
    """Small integers (ties, defects, singularity), rows of very different size, low rank."""
    n = draw(st.integers(1, max_size))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["integer", "sparse", "defective", "graded", "low rank"]))
    if kind == "integer":
        return rng.integers(-2, 3, (n, n)).astype(float)
    if kind == "sparse":
        return (rng.random((n, n)) < 0.2).astype(float)
    if kind == "defective":
        Q = orthogonal(n, int(rng.integers(2**32)))
        return Q @ np.triu(rng.integers(-1, 2, (n, n))) @ Q.T
    if kind == "graded":
        return rng.standard_normal((n, n)) * 10.0 ** rng.integers(-6, 7, (n, 1))
    return rng.standard_normal((n, 1)) @ rng.standard_normal((1, n))


jordan = np.eye(5) + np.eye(5, k=1)
SPECIAL = {
    "zero": np.zeros((4, 4)),
    "identity": np.eye(5),
    "one": np.array([[-3.0]]),
    "zero of order one": np.zeros((1, 1)),
    "rotation": np.array([[0.6, -0.8], [0.8, 0.6]]),
    "two real": np.array([[1.0, 2.0], [3.0, -4.0]]),
    "Jordan": jordan,
    "Jordan, lower": jordan.T,
    "nilpotent": np.eye(6, k=1),
    "nilpotent, dense": orthogonal(6) @ np.eye(6, k=1) @ orthogonal(6).T,
    "cyclic, odd": np.roll(np.eye(7), 1, axis=0),
    "cyclic, even": np.roll(np.eye(8), 1, axis=0),
    "ones": np.ones((6, 6)),
    "rank two": gaussian(9)[:, :2] @ gaussian(9)[:2],
    "one pair, four times": np.kron(orthogonal(4), [[0.6, -0.8], [0.8, 0.6]]),
    "defective pairs": np.kron(jordan, [[0.6, -0.8], [0.8, 0.6]]),
    "graded": np.diag(10.0 ** -np.arange(8)) @ gaussian(8),
    "badly scaled": np.diag(10.0 ** np.arange(-4, 5))
    @ gaussian(9)
    @ np.diag(10.0 ** np.arange(4, -5, -1)),
    "1e150": 1e150 * gaussian(6),
    "1e-150": 1e-150 * gaussian(6),
    "1e150 to 1e-150": np.diag([1e150, 1.0, 1e-150]) + np.eye(3, k=-1),
}


def check_form(schur):
    """W = Q T Qᵀ, Q orthogonal, T in standard form, moduli in order, all arrays read-only."""
    W, n = schur.W, schur.n_hidden
    scale = np.abs(W).max() or 1.0
    W, T, Q = W / scale, schur.T / scale, schur.Q
    assert np.linalg.norm(Q @ T @ Q.T - W) <= TOLERANCE * np.linalg.norm(W)
    assert schur.residual == pytest.approx(
        np.linalg.norm(Q @ T @ Q.T - W) / (np.linalg.norm(W) or 1.0), rel=0.5, abs=1e-15
    )
    assert np.linalg.norm(Q.T @ Q - np.eye(n)) <= TOLERANCE
    assert schur.starts.tolist() == reference.block_starts(T)
    assert schur.block_sizes.tolist() == [reference.block_size(T, s) for s in schur.starts]
    for start, size in zip(schur.starts, schur.block_sizes, strict=True):
        end = start + size
        assert not T[end:, start:end].any()
        if size == 2:
            (a, b), (c, d) = schur.T[start:end, start:end]
            assert a == d
            assert b * np.sign(c) < 0
    assert_ordered(schur)
    for array in (schur.W, schur.Q, schur.T, schur.starts, schur.eigenvalues, schur.refused):
        assert not array.flags.writeable
        assert array.flags.c_contiguous


def assert_ordered(schur):
    """Moduli do not increase, but for ties and for what a refused swap left."""
    rises = np.diff(schur.moduli) > TOLERANCE * schur.rho
    assert rises.sum() <= len(schur.refused)


def distance(first, second):
    """Largest distance between two sets of eigenvalues, in the best pairing."""
    cost = np.abs(first[:, None] - second)
    return cost[scipy.optimize.linear_sum_assignment(cost)].max()
