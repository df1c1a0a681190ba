"""Sectors, ablated matrices and the departure from normality, by their identities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
from hypothesis import assume, given
from hypothesis import strategies as st

import reference
from schur_matrices import SUBSETS, TOLERANCE, distance, gaussian, generic, orthogonal
from schurscope.coordinates.schur import ordered_schur
from schurscope.coordinates.sectors import COUPLINGS, couplings

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


@given(generic(), st.sampled_from([0.0, 0.5, 2.0]))
def test_gains_on_the_nonnormality_of_blocks_keep_their_eigenvalues(W, gain):
    schur = ordered_schur(W)
    W_ablated = schur.ablated({"BB"}, gain=gain)
    blocks = schur.Q.T @ W_ablated @ schur.Q
    off = schur.sectors().mask("BB")
    assert blocks[~off] == pytest.approx(schur.T[~off], abs=TOLERANCE * np.linalg.norm(W))
    for start in schur.starts[schur.block_sizes == 2]:
        before, after = (M[start : start + 2, start : start + 2] for M in (schur.T, blocks))
        if min(abs(before[0, 1]), abs(before[1, 0])) < 1e-6 * np.linalg.norm(W):
            continue  # rounding of W decides the ratio
        assert after[0, 1] * after[1, 0] == pytest.approx(before[0, 1] * before[1, 0], rel=1e-8)
        ratio = -before[0, 1] / before[1, 0]
        assert -after[0, 1] / after[1, 0] == pytest.approx(ratio**gain, rel=1e-6)
        moved = distance(np.linalg.eigvals(after), np.linalg.eigvals(before))
        assert moved <= 1e-10 * schur.rho


@given(generic())
def test_without_the_four_couplings_the_matrix_is_normal(W):
    schur = ordered_schur(W)
    normal = schur.ablated(COUPLINGS)
    scale = np.linalg.norm(W) ** 2
    assert normal @ normal.T == pytest.approx(normal.T @ normal, abs=1e-12 * scale)
    assert distance(np.linalg.eigvals(normal), schur.eigenvalues) <= 1e-10 * schur.rho
    assert normal == pytest.approx(reference.ablated(W, COUPLINGS)[0], abs=1e-9 * np.sqrt(scale))


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
