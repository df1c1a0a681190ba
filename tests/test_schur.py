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
from schurscope import _core
from schurscope.coordinates.schur import TIE_RULE, ordered_schur
from schurscope.coordinates.sectors import couplings

TOLERANCE = 1e-12
SUBSETS = [subset.split("+") for subset in reference.SUBSETS[1:]]


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


@pytest.fixture(params=SPECIAL.values(), ids=SPECIAL.keys())
def special(request):
    return request.param


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


# Sectors


@given(generic(), st.floats(0.01, 1.0))
def test_sectors_part_the_couplings(W, alpha):
    schur = ordered_schur(W)
    sectors = schur.sectors(alpha)
    n = schur.n_hidden
    in_R = schur.moduli >= (alpha - 1e-12) * schur.rho
    assert sectors.n_R == in_R.sum() >= 1
    assert in_R[: sectors.n_R].all()
    assert sectors.n_R in [*schur.starts, n]
    masks = {name: sectors.mask(name) for name in couplings}
    expected = reference.couplings(schur.T, alpha)
    for name in couplings:
        assert np.array_equal(masks[name], expected[name])
    together = np.sum(list(masks.values()), axis=0)
    assert together.max(initial=0) <= 1
    # What no coupling holds are the diagonal blocks and the zeros below them.
    rest = np.where(together == 0, schur.T, 0)
    assert np.array_equal(rest, np.tril(schur.T, 1) * (rest != 0))
    assert np.count_nonzero(rest) <= n + 2 * (schur.block_sizes == 2).sum()


def test_sectors_of_a_known_matrix():
    schur = ordered_schur(np.diag([0.5, -1.0, 0.95, 0.9]) + np.triu(np.ones((4, 4)), 1))
    sectors = schur.sectors()
    assert (sectors.n_R, sectors.alpha) == (3, 0.9)  # 0.9 lies on the cut and belongs to R
    assert sectors.gap == pytest.approx(0.4)
    assert sectors.rectangles({"CC", "RR", "CR"}).tolist() == [
        [0, 3, 0, 3],
        [0, 3, 3, 4],
        [3, 4, 3, 4],
    ]
    assert sectors.rectangles([]).shape == (0, 4)
    assert sectors.mask("CR").nonzero()[1].tolist() == [3, 3, 3]
    assert schur.sectors(1.0).n_R == 1


def test_a_matrix_of_one_modulus_is_all_R():
    for W in (np.zeros((3, 3)), orthogonal(6), np.eye(6, k=1)):
        sectors = ordered_schur(W).sectors(1.0)
        assert sectors.n_R == len(W)
        assert sectors.gap == math.inf
        assert not sectors.mask("CR").any()
        assert not sectors.mask("CC").any()


# Ablated matrices


@given(generic(), st.sampled_from(SUBSETS), st.floats(0.3, 1.0), st.sampled_from([0.0, 0.5, -2.0]))
def test_ablations_keep_the_eigenvalues(W, names, alpha, gain):
    schur = ordered_schur(W)
    W_ablated = schur.ablated(names, alpha, gain)
    coordinates = schur.Q.T @ W_ablated @ schur.Q
    masks = [schur.sectors(alpha).mask(name) for name in names]
    factor = np.where(np.any(masks, axis=0), gain, 1.0)
    assert coordinates == pytest.approx(factor * schur.T, abs=TOLERANCE * np.linalg.norm(W))
    # A gain may raise the condition of the eigenvalues a thousandfold.
    assert distance(np.linalg.eigvals(W_ablated), schur.eigenvalues) <= 1e-8 * schur.rho


@given(generic(), st.floats(0.3, 0.99))
def test_CR_ablation_projects_on_the_invariant_subspace(W, alpha):
    schur = ordered_schur(W)
    sectors = schur.sectors(alpha)
    # The subspace is conditioned like 1 / gap.
    assume(1e-3 < sectors.gap < math.inf)
    cut = alpha * schur.rho - sectors.gap * schur.rho / 2
    inside = np.abs(np.linalg.eigvals(W)) >= alpha * schur.rho
    cut = (np.abs(np.linalg.eigvals(W))[inside].min() + cut) / 2
    _, Z, n_R = scipy.linalg.schur(W, output="real", sort=lambda re, im: np.hypot(re, im) > cut)
    assert n_R == sectors.n_R
    P = Z[:, :n_R] @ Z[:, :n_R].T
    C = np.eye(len(W)) - P
    assert schur.ablated({"CR"}, alpha) == pytest.approx(P @ W @ P + C @ W @ C, abs=1e-9)


@given(generic())
def test_ablating_everything_leaves_the_blocks(W):
    schur = ordered_schur(W)
    B = np.zeros_like(schur.T)
    for start, size in zip(schur.starts, schur.block_sizes, strict=True):
        B[start : start + size, start : start + size] = schur.T[
            start : start + size, start : start + size
        ]
    everything = schur.ablated(couplings)
    assert everything == pytest.approx(schur.Q @ B @ schur.Q.T, abs=TOLERANCE * np.linalg.norm(W))


def test_what_removes_nothing_gives_the_matrix_bit_for_bit():
    schur = ordered_schur(gaussian(9))
    for W_ablated in (
        schur.ablated([]),
        schur.ablated(couplings, gain=1.0),
        schur.ablated({"CC"}, 1e-9),
    ):
        assert np.array_equal(W_ablated, schur.W)
        assert W_ablated.flags.writeable
        assert not np.shares_memory(W_ablated, schur.W)


# Henrici's departure from normality


@given(generic())
def test_departure_is_that_of_henrici(W):
    schur = ordered_schur(W)
    squares = np.linalg.norm(W) ** 2 - (np.abs(np.linalg.eigvals(W)) ** 2).sum()
    # The difference of squares loses half the digits where W is close to normal.
    assert schur.departure**2 == pytest.approx(squares, abs=1e-11 * np.linalg.norm(W) ** 2)


def test_departure_of_known_matrices():
    assert ordered_schur([[0.0, 3.0], [0.0, 0.0]]).departure == 3.0
    assert ordered_schur([[1.0, 4.0], [-1.0, 1.0]]).departure == pytest.approx(3.0)
    assert ordered_schur(orthogonal(20)).departure <= 1e-13
    assert ordered_schur([[0.0, 3e200], [0.0, 0.0]]).departure == 3e200


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
    with pytest.raises(ValueError, match="coupling must be one of 'RR', 'CR', 'CC', got 'C->R'"):
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
