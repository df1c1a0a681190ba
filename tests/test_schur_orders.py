"""Other orders of the blocks, and swaps that rounding makes unsafe."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

from schur_matrices import SUBSETS, TOLERANCE, check_form, gaussian, generic, orthogonal
from schurscope import _core
from schurscope.coordinates.schur import ordered_schur

# Other orders


@given(generic(), st.randoms(use_true_random=False))
def test_reordered(W, random):
    schur = ordered_schur(W)
    order = list(range(len(schur.starts)))
    random.shuffle(order)
    other = schur.reordered(order)
    assert other.n_swaps == sum(a > b for i, a in enumerate(order) for b in order[i + 1 :])
    assert len(other.refused) == 0
    assert np.array_equal(other.block_sizes, schur.block_sizes[order])
    expected = schur.eigenvalues[schur.starts[order]]
    assert other.eigenvalues[other.starts] == pytest.approx(expected, abs=1e-10 * schur.rho)
    assert other.residual <= TOLERANCE
    assert np.linalg.norm(other.Q.T @ other.Q - np.eye(len(W))) <= TOLERANCE
    assert other.departure == pytest.approx(schur.departure, abs=1e-11 * np.linalg.norm(W))


def test_the_order_inside_sectors_matters_for_RR_and_CC_but_not_for_CR():
    schur = ordered_schur(0.4 * gaussian(24) + orthogonal(24))
    n_blocks = len(schur.starts)
    n_R = schur.sectors(0.8).n_R
    cut = int(np.searchsorted(schur.starts, n_R))
    assert 2 <= cut <= n_blocks - 2
    other = schur.reordered([*range(cut)][::-1] + [*range(cut, n_blocks)][::-1])
    for names in SUBSETS:
        change = np.abs(other.ablated(names, 0.8) - schur.ablated(names, 0.8)).max()
        if names == ["CR"]:
            assert change <= 1e-11
        else:
            assert change >= 1e-2


# Refused swaps

# Pairs 1 + 0.316i and 1.1 + 0.316i, so graded that a swap would move them beyond rounding.
REFUSED = np.array(
    [
        [1.0, 1e-7, -1e3, 1e3],
        [-1e6, 1.0, -1e5, 0.0],
        [0.0, 0.0, 1.1, 1e2],
        [0.0, 0.0, -1e-3, 1.1],
    ]
)


def test_an_unsafe_swap_is_refused_as_by_lapack():
    assert scipy.linalg.lapack.dtrexc(REFUSED, np.eye(4), 3, 1)[-1] == 1
    for scale in (1.0, 2.0**-500, 2.0**500):
        schur = ordered_schur(scale * REFUSED)
        assert schur.refused.shape == (1, 2)
        expected = [1 + 1j * math.sqrt(0.1), 1.1 + 1j * math.sqrt(0.1)]
        assert schur.refused[0] / scale == pytest.approx(expected)
        assert schur.n_swaps == 0
        assert np.array_equal(np.abs(schur.T), scale * np.abs(REFUSED))
        assert schur.eigenvalues[0] / scale == pytest.approx(expected[0])
        # Both pairs are in R, although the first one lies below the cut.
        assert (schur.sectors(0.99).n_R, schur.sectors(0.99).gap) == (4, math.inf)
        check_form(schur)


def test_the_sort_goes_on_around_a_refused_swap():
    W = scipy.linalg.block_diag(REFUSED, 3.0, 2.0)
    schur = ordered_schur(W)
    assert schur.eigenvalues[[0, 1, 2, 4]].real == pytest.approx([3, 2, 1, 1.1])
    assert schur.n_swaps == 4
    assert len(schur.refused) == 1
    assert len(ordered_schur(REFUSED).reordered([1, 0]).refused) == 1


def test_swaps_are_refused_where_lapack_refuses_them():
    rng = np.random.default_rng(0)
    agreed, n_refused, n_trials = 0, 0, 1000
    for _ in range(n_trials):
        T = np.zeros((4, 4))
        b, c, d = 10.0 ** rng.uniform([-3, -8, -8], [3, 8, 8])
        T[:2, :2] = [[1, b * c], [-b / c, 1]]
        T[2:, 2:] = [[1.001, b * d], [-b / d, 1.001]]
        T[:2, 2:] = rng.standard_normal((2, 2)) * 10.0 ** rng.uniform(-8, 8, (2, 2))
        ours, Q = np.asfortranarray(T), np.asfortranarray(np.eye(4))
        n_swaps, refused = _core.reorder_schur(ours, Q, np.array([1, 0]))
        theirs = scipy.linalg.lapack.dtrexc(T, np.eye(4), 3, 1)[-1]
        agreed += (theirs != 0) == (len(refused) == 1)
        n_refused += len(refused)
        assert n_swaps + len(refused) == 1
        assert np.abs(Q @ ours @ Q.T - T).max() <= TOLERANCE * np.abs(T).max()
        if len(refused):
            assert np.array_equal(ours, T)
            assert np.array_equal(Q, np.eye(4))
    assert 50 < n_refused < n_trials - 50
    # The residual of a bad swap is rarely within a factor of the threshold.
    assert agreed >= 0.99 * n_trials


# --- Other orders ---------------------------------------------------------------------------------


@pytest.mark.parametrize("leak", [0.9, 0.2, 0.01])
def test_the_leaky_modulus_orders_as_the_leaky_map_is_ordered(rng, leak):
    W = rng.standard_normal((30, 30)) / np.sqrt(30)
    schur = ordered_schur(W, "leaky_modulus", leak)
    leaky = ordered_schur((1 - leak) * np.eye(30) + leak * W)
    assert np.all(np.diff(schur.keys) <= TOLERANCE * schur.keys.max())
    np.testing.assert_allclose(
        1 - leak + leak * schur.eigenvalues, leaky.eigenvalues, atol=1e-11, rtol=0
    )
    for alpha in (0.6, 0.9, 0.97):
        mine, theirs = schur.sectors(alpha), leaky.sectors(alpha)
        assert mine.n_R == theirs.n_R
        assert mine.gap == pytest.approx(theirs.gap, abs=1e-11)
        # The spaces that the cut parts are the same, whatever the basis inside them.
        np.testing.assert_allclose(
            schur.Q[:, : mine.n_R] @ schur.Q[:, : mine.n_R].T,
            leaky.Q[:, : mine.n_R] @ leaky.Q[:, : mine.n_R].T,
            atol=1e-9,
        )
    np.testing.assert_allclose(schur.Q @ schur.T @ schur.Q.T, W, atol=1e-13)
    assert schur.tie_rule == f"leaky-modulus-1 (a {leak:g})"


def test_the_order_by_real_part(rng):
    W = rng.standard_normal((25, 25))
    schur = ordered_schur(W, "real_part")
    assert np.all(np.diff(schur.eigenvalues.real) <= TOLERANCE * schur.rho)
    largest = np.linalg.eigvals(W).real.max()
    inside = np.linalg.eigvals(W).real >= 0.5 * largest
    assert schur.sectors(0.5).n_R == inside.sum()
    assert schur.tie_rule == "real-part-1"
    assert schur.reordered(np.arange(len(schur.starts))[::-1]).order == "real_part"
    np.testing.assert_allclose(schur.Q @ schur.T @ schur.Q.T, W, atol=1e-13)
    with pytest.raises(ValueError, match="largest real part, which must be positive, got -"):
        ordered_schur(W - 100 * np.eye(25), "real_part").sectors(0.9)


def test_the_orders_do_not_depend_on_the_scale(rng):
    W = rng.standard_normal((12, 12))
    for scale in (1e-14, 1e14):
        scaled = ordered_schur(scale * W, "real_part")
        expected = ordered_schur(W, "real_part")
        assert np.array_equal(scaled.starts, expected.starts)
        np.testing.assert_allclose(scaled.eigenvalues, scale * expected.eigenvalues, rtol=1e-9)
    tiny = ordered_schur(1e-300 * W, "leaky_modulus", 0.5)
    assert tiny.residual < 1e-13


def test_wrong_orders_are_refused(rng):
    W = rng.standard_normal((4, 4))
    with pytest.raises(ValueError, match=r"order must be .*'modulus'"):
        ordered_schur(W, "moduli")
    for wrong in ({"leak": 0.5}, {"order": "leaky_modulus"}):
        with pytest.raises(ValueError, match="leak must be given for order='leaky_modulus', and"):
            ordered_schur(W, **wrong)
    with pytest.raises(ValueError, match="leak must"):
        ordered_schur(W, "leaky_modulus", 0.0)
