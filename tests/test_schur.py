"""Ordered Schur forms: their definition, comparison with dtrexc, and pathological matrices.

Unless a test says otherwise, tolerances are 1e-12 relative to the matrix: a few hundred roundings
(2e-16 each), for orders up to 72. Eigenvalues of some matrices get more, for their condition.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
from hypothesis import assume, given
from hypothesis import strategies as st

import reference
from schur_matrices import (
    SPECIAL,
    SUBSETS,
    TOLERANCE,
    awkward,
    check_form,
    distance,
    gaussian,
    generic,
    orthogonal,
)
from schurscope import _core
from schurscope.coordinates.orders import TIE_RULE
from schurscope.coordinates.schur import ordered_schur


@pytest.fixture(params=SPECIAL.values(), ids=SPECIAL.keys())
def special(request):
    return request.param


# The form


@given(generic())
def test_form_of_generic_matrices(W):
    schur = ordered_schur(W)
    check_form(schur)
    assert len(schur.refused) == 0
    # Condition numbers of the eigenvalues of these matrices stay below some thousands.
    assert distance(schur.eigenvalues, np.linalg.eigvals(W)) <= 1e-10 * schur.rho
    assert np.allclose(schur.eigenvalues, reference.eigenvalues(schur.T), rtol=1e-12, atol=1e-14)


@given(awkward())
def test_form_of_awkward_matrices(W):
    check_form(ordered_schur(W))


def test_form_of_special_matrices(special):
    check_form(ordered_schur(special))


def test_eigenvalues_of_special_matrices():
    expected = {
        "zero": np.zeros(4),
        "identity": np.ones(5),
        "one": [-3],
        "rotation": [0.6 + 0.8j, 0.6 - 0.8j],
        "two real": [-5, 2],
        "Jordan": np.ones(5),
        "nilpotent": np.zeros(6),
        "ones": [6, 0, 0, 0, 0, 0],
    }
    for name, eigenvalues in expected.items():
        assert ordered_schur(SPECIAL[name]).eigenvalues == pytest.approx(eigenvalues, abs=1e-14)


def test_cyclic_permutation_is_ordered_by_real_part():
    schur = ordered_schur(SPECIAL["cyclic, even"])
    angles = 2 * np.pi * np.arange(8) / 8
    assert np.sort(schur.eigenvalues.real)[::-1] == pytest.approx(np.sort(np.cos(angles))[::-1])
    assert (np.diff(schur.eigenvalues.real) <= TOLERANCE).all()


@pytest.mark.parametrize("n", [2, 13, 40, 72])
@pytest.mark.parametrize("make", [gaussian, lambda n: orthogonal(n) + 0.1 * gaussian(n, 1)])
def test_same_order_and_same_ablations_as_dtrexc(make, n):
    W = make(n)
    schur = ordered_schur(W)
    _, T = reference.ordered_schur(W)
    # 1e-10: eigenvalues of condition 1e3, two chains of 1e3 swaps.
    assert schur.eigenvalues == pytest.approx(reference.eigenvalues(T), abs=1e-10 * schur.rho)
    assert schur.starts.tolist() == reference.block_starts(T)
    for alpha in (0.5, 0.9, 1.0):
        assert schur.sectors(alpha).n_R == reference.n_slow(T, alpha)
    for names in SUBSETS:
        expected, mass = reference.ablated(W, names)
        assert schur.ablated(set(names)) == pytest.approx(expected, abs=1e-10)
        masks = [schur.sectors().mask(name) for name in names]
        removed = np.linalg.norm(schur.T[np.any(masks, axis=0)]) / np.linalg.norm(schur.T)
        assert removed == pytest.approx(mass, abs=1e-10)


def test_the_given_matrix_is_left_alone():
    W = np.asfortranarray(gaussian(8))
    before = W.copy()
    schur = ordered_schur(W)
    assert np.array_equal(W, before)
    W[0, 0] = 7
    assert np.array_equal(schur.W, before)
    schur.ablated({"RR", "CR", "CC"})
    schur.reordered(np.arange(len(schur.starts))[::-1])
    assert np.array_equal(schur.W, before)


def test_float32_and_integers_are_taken_exactly():
    W = gaussian(9).astype(np.float32)
    assert np.array_equal(ordered_schur(W).T, ordered_schur(W.astype(np.float64)).T)
    assert np.array_equal(ordered_schur([[1, 2], [3, 4]]).W, [[1.0, 2.0], [3.0, 4.0]])
    assert ordered_schur(W).T.dtype == np.float64


# Scale


@given(generic(), st.integers(-900, 900))
def test_a_power_of_two_changes_nothing_but_the_scale(W, exponent):
    schur, scaled = ordered_schur(W), ordered_schur(np.ldexp(W, exponent))
    assert np.array_equal(scaled.T, np.ldexp(schur.T, exponent))
    assert np.array_equal(scaled.Q, schur.Q)
    assert (scaled.residual, scaled.n_swaps) == (schur.residual, schur.n_swaps)


@given(generic(), st.sampled_from([-150, -14, 1, 14, 150]))
def test_a_power_of_ten_gives_the_same_blocks(W, power):
    schur, scaled = ordered_schur(W), ordered_schur(10.0**power * W)
    check_form(scaled)
    assert np.array_equal(scaled.starts, schur.starts)
    assert scaled.eigenvalues / 10.0**power == pytest.approx(schur.eigenvalues, abs=1e-9)
    for alpha in (0.5, 0.9):
        cut = np.abs(schur.moduli - alpha * schur.rho).min()
        assume(cut > 1e-9 * schur.rho)
        assert scaled.sectors(alpha).n_R == schur.sectors(alpha).n_R


@pytest.mark.parametrize("power", [-150, -14, 14, 150])
def test_scale_goes_through_to_every_number(power):
    W, c = gaussian(20), 10.0**power
    schur, scaled = ordered_schur(W), ordered_schur(c * W)
    assert scaled.rho == pytest.approx(c * schur.rho, rel=TOLERANCE)
    assert scaled.departure == pytest.approx(c * schur.departure, rel=TOLERANCE)
    assert scaled.sectors().gap == pytest.approx(schur.sectors().gap, rel=1e-9)
    assert scaled.ablated({"CR"}) == pytest.approx(c * schur.ablated({"CR"}), abs=c * 1e-11)


# Ties


@pytest.mark.parametrize(
    ("diagonal", "expected"),
    [
        ([1, 3, 2], [3, 2, 1]),
        ([-1, 1, -2], [-2, 1, -1]),
        ([-1, 1 - 5e-13], [1 - 5e-13, -1]),
        ([1 - 5e-12, -1], [-1, 1 - 5e-12]),
        # Real parts that agree stay as they were, though their moduli differ a little.
        ([1 - 5e-13, 1], [1 - 5e-13, 1]),
        # Every modulus is within 1e-12 of the next, the ends are not: one chain of ties.
        ([-1, -(1 - 8e-13), 1 - 16e-13], [1 - 16e-13, -1, -(1 - 8e-13)]),
    ],
)
def test_tie_rule(diagonal, expected):
    assert TIE_RULE == "modulus-1"
    assert np.diag(ordered_schur(np.diag(diagonal)).T).tolist() == expected


def test_tie_rule_of_pairs():
    rotation = [
        np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]) for t in (2.0, 0.5, 1.0)
    ]
    schur = ordered_schur(scipy.linalg.block_diag(*rotation, 1.0))
    assert schur.eigenvalues.real[schur.starts] == pytest.approx([1, *np.cos([0.5, 1.0, 2.0])])


# Bad input


@pytest.mark.parametrize(
    ("W", "error", "message"),
    [
        (np.ones((3, 4)), ValueError, r"W must have shape \(N_h, N_h\), got \(3, 4\)"),
        (np.ones(3), ValueError, r"W must have shape \(N_h, N_h\), got \(3,\)"),
        (np.ones((2, 2, 2)), ValueError, r"W must have shape .* got \(2, 2, 2\)"),
        (3.0, ValueError, r"W must have shape .* got \(\)"),
        (np.ones((0, 0)), ValueError, r"W must have at least one entry.* got shape \(0, 0\)"),
        (np.diag([1.0, np.nan]), ValueError, r"W must be finite.*W\[1, 1\] = nan"),
        (np.diag([np.inf, 1.0]), ValueError, r"W must be finite.*W\[0, 0\] = inf"),
        (np.eye(2) + 0j, TypeError, "W must be .*complex128"),
        (np.eye(2, dtype=np.float16), TypeError, "W must be .*float16"),
        (np.eye(2, dtype=object), TypeError, "W must be .*object"),
        ("W", TypeError, "W must be .*U1"),
        (np.full((4, 4), 1e308), ValueError, r"W must be small enough.*1e\+308"),
    ],
)
def test_bad_matrix(W, error, message):
    with pytest.raises(error, match=message):
        ordered_schur(W)


@pytest.mark.parametrize("alpha", [0.0, -0.5, 1.5, math.nan, math.inf])
def test_alpha_outside_its_range(alpha):
    schur = ordered_schur(gaussian(4))
    for call in (schur.sectors, lambda value: schur.ablated({"CR"}, value)):
        with pytest.raises(ValueError, match=rf"alpha must be .*got {alpha}"):
            call(alpha)


@pytest.mark.parametrize("alpha", ["0.9", None, 1j, True, [0.9]])
def test_alpha_that_is_no_number(alpha):
    with pytest.raises(TypeError, match="alpha must be a real number"):
        ordered_schur(gaussian(4)).sectors(alpha)


def test_unknown_coupling():
    schur = ordered_schur(gaussian(4))
    sectors = schur.sectors()
    for call in (schur.ablated, sectors.rectangles):
        with pytest.raises(ValueError, match=r"couplings must be one of .*; did you mean 'CR'\?"):
            call({"T_CR"})
        with pytest.raises(TypeError, match=r"couplings must be a collection of names.* got 'CC'"):
            call("CC")
        with pytest.raises(TypeError, match=r"couplings must be a collection of names.* got 7"):
            call(7)
    with pytest.raises(
        ValueError, match="coupling must be one of 'RR', 'CR', 'CC', 'BB', got 'C->R'"
    ):
        sectors.mask("C->R")


@pytest.mark.parametrize("gain", [math.nan, math.inf])
def test_gain_that_is_not_finite(gain):
    with pytest.raises(ValueError, match="gain must be finite"):
        ordered_schur(gaussian(4)).ablated({"CR"}, gain=gain)


@pytest.mark.parametrize(
    "order", [[0, 1], [0, 0, 1], [0, 1, 3], [-1, 0, 1], [[0, 1, 2]], [0, 1, 2, 3]]
)
def test_order_that_is_no_permutation(order):
    schur = ordered_schur(np.diag([3.0, 2.0, 1.0]))
    with pytest.raises(
        ValueError, match=r"order must be a permutation of the 3 blocks, 0 to 2, got"
    ):
        schur.reordered(order)


@pytest.mark.parametrize("order", [[0.0, 1.0, 2.0], [True, False, True], "012", None])
def test_order_that_holds_no_integers(order):
    with pytest.raises(TypeError, match="order must hold integers"):
        ordered_schur(np.diag([3.0, 2.0, 1.0])).reordered(order)


def test_the_core_refuses_what_is_not_quasi_triangular():
    with pytest.raises(ValueError, match=r"T\[2, 0\] below the subdiagonal is not zero"):
        _core.block_starts(np.asfortranarray(np.ones((3, 3))))
    two_in_a_row = np.asfortranarray(np.eye(3) + np.eye(3, k=-1))
    with pytest.raises(ValueError, match="two nonzero entries in a row, in columns 0 and 1"):
        _core.sort_blocks(two_in_a_row, np.eye(3, order="F"), False, 0.0)
    with pytest.raises(ValueError, match="order must be a permutation of the 2 blocks"):
        _core.reorder_schur(np.eye(2, order="F"), np.eye(2, order="F"), np.array([0, 0]))


def test_repr_is_one_line():
    text = repr(ordered_schur(gaussian(30)))
    assert text.startswith("OrderedSchur(N_h=30, ")
    assert "\n" not in text
