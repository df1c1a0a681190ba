"""Whether a cut is determined: matrices with known verdicts, and exact eigenvalues."""

from __future__ import annotations

import pickle

import mpmath
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

import cut_verdicts
import schurscope as ss
from schurscope import _core
from schurscope.reproduce import paper_sweep
from schurscope.sweep import Store, load_result, plan
from schurscope.sweep.work import run_batch

SIZES = (8, 64, pytest.param(200, marks=pytest.mark.slow))


def rotated(W, seed=1):
    Q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal(W.shape))
    return Q @ W @ Q.T


def chain(n):
    """Every eigenvalue is 0."""
    return np.diag(np.ones(n - 1), 1)


def feedforward(n, rng):
    """Every eigenvalue is 0."""
    return np.triu(rng.standard_normal((n, n)), 1) / np.sqrt(n)


def low_rank(n, rng):
    m, k = rng.standard_normal((2, n, 2))
    return m @ k.T / n


def defective(n):
    """Jordan blocks of two: 0.9, then 0.5."""
    blocks = [np.array([[value, 1.0], [0.0, value]]) for value in (0.9, 0.5)]
    return scipy.linalg.block_diag(*np.repeat(blocks, n // 4, axis=0))


def companion(n, rng):
    W = np.diag(np.ones(n - 1), -1)
    W[0] = rng.standard_normal(n)
    return W


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_eigenvalues_that_are_all_zero_never_decide_a_cut(n, dtype, rng):
    for W in (chain(n), feedforward(n, rng)):
        for matrix in (W, rotated(W)):
            for alpha in (0.5, 0.9):
                sectors = ss.ordered_schur(matrix.astype(dtype)).sectors(alpha)
                assert not sectors.determined, (n, dtype, alpha)
                assert "precision of the weights" in sectors.conditioning.reason
                assert sectors.noise_radius >= (0.1 * sectors.schur.rho) / n


@pytest.mark.parametrize("n", SIZES)
def test_a_long_jordan_block_is_determined_only_where_it_is_triangular(n):
    W = 0.5 * np.eye(n) + chain(n)
    assert ss.ordered_schur(W).sectors(0.9).determined  # rounding keeps its zeros
    assert not ss.ordered_schur(rotated(W).astype(np.float32)).sectors(0.9).determined


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_null_dimensions_of_low_rank_matrices(n, dtype, rng):
    schur = ss.ordered_schur(low_rank(n, rng).astype(dtype))
    sectors = schur.sectors(0.9)
    assert sectors.determined
    assert sectors.null_dimensions == n - 2
    assert sectors.conditioning.null_dimensions == (0, n - 2)
    into_noise = schur.sectors(1e-10 if dtype == np.float32 else 1e-18)
    assert not into_noise.determined
    assert into_noise.conditioning.reason.endswith("the precision of the weights")


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sound_cuts_raise_no_alarm(n, dtype, rng):
    orthogonal, _ = np.linalg.qr(rng.standard_normal((n, n)))
    matrices = {
        "orthogonal": orthogonal,
        "normal": ss.init_network(ss.tasks.FlipFlop(), n, "normal", rng).W_hh,
        "random": rng.standard_normal((n, n)) / np.sqrt(n),
        "defective": defective(n),
        "rotated defective": rotated(defective(n)),
        "companion": companion(n, rng),
    }
    for name, W in matrices.items():
        sectors = ss.ordered_schur(W.astype(dtype)).sectors(0.9)
        assert sectors.determined, (name, sectors.conditioning)
        assert sectors.null_dimensions == 0, name
        assert sectors.conditioning.n_R_range == (sectors.n_R, sectors.n_R)


def test_an_eigenvalue_on_the_cut_is_not_determined():
    W = np.diag([1.0, 0.9, 0.3])
    W[0, 2] = 1.0
    sectors = ss.ordered_schur(rotated(W).astype(np.float32)).sectors(0.9)
    assert sectors.conditioning.n_R_range == (1, 2)
    assert "n_R may be 1 to 2" in sectors.conditioning.reason
    assert ss.ordered_schur(W).sectors(0.8).determined


def test_reciprocal_condition_numbers_are_those_of_their_definitions(rng):
    schur = ss.ordered_schur(rng.standard_normal((12, 12)))
    sectors = schur.sectors(0.7)
    n_R, T = sectors.n_R, schur.T
    X = scipy.linalg.solve_sylvester(T[:n_R, :n_R], -T[n_R:, n_R:], -T[:n_R, n_R:])
    found = sectors.conditioning
    assert found.s == pytest.approx(1 / np.sqrt(1 + np.linalg.norm(X) ** 2))
    n_C = 12 - n_R
    sylvester = np.kron(np.eye(n_C), T[:n_R, :n_R]) - np.kron(T[n_R:, n_R:].T, np.eye(n_R))
    smallest = np.linalg.svd(sylvester, compute_uv=False)[-1]
    assert smallest * (1 - 1e-12) <= found.sep <= 3 * smallest
    # LAPACK's estimates: the same s, and a sep of another norm, within the square root of the size.
    chosen = np.repeat(np.array([1, 0], np.int32), [n_R, n_C])
    *_, s, sep, _ = scipy.linalg.lapack.dtrsen(
        chosen, T, schur.Q, job=b"B", wantq=0, lwork=2 * n_R * n_C, liwork=n_R * n_C
    )
    assert found.s == pytest.approx(s)
    assert 1 / np.sqrt(n_R * n_C) < found.sep / sep < 3 * np.sqrt(n_R * n_C)


def test_movement_of_the_projector_is_that_of_a_perturbed_matrix(rng):
    W = np.float32(rng.standard_normal((20, 20)))
    schur = ss.ordered_schur(W)
    sectors = schur.sectors(0.7)

    def projector(form):
        n_R, T, Q = form.sectors(0.7).n_R, form.T, form.Q
        X = scipy.linalg.solve_sylvester(T[:n_R, :n_R], -T[n_R:, n_R:], -T[:n_R, n_R:])
        left = np.hstack([np.eye(n_R), -X])
        return Q[:, :n_R] @ left @ Q.T

    E = np.float64(W) * 2.0**-24 * rng.uniform(-1, 1, W.shape)
    moved = np.linalg.norm(projector(ss.ordered_schur(W + E)) - projector(schur))
    assert moved / 20 < sectors.conditioning.projector_movement < 20 * moved


def test_the_noise_radius_covers_other_perturbations(rng):
    W = np.float32(rng.standard_normal((30, 30)))
    sectors = ss.ordered_schur(W).sectors(0.9)
    exact = np.sort(np.abs(np.linalg.eigvals(np.float64(W))))
    for _ in range(20):
        E = np.float64(W) * 2.0**-24 * rng.uniform(-1, 1, W.shape)
        moved = np.sort(np.abs(np.linalg.eigvals(W + E)))
        assert np.abs(moved - exact).max() < 5 * sectors.noise_radius


@given(st.integers(-200, 200), st.integers(0, 50))
def test_verdicts_do_not_depend_on_the_scale(exponent, seed):
    W = np.random.default_rng(seed).standard_normal((9, 9))
    one, scaled = (ss.ordered_schur(x).sectors(0.8) for x in (W, np.ldexp(W, exponent)))
    assert scaled.n_R == one.n_R
    assert scaled.determined == one.determined
    assert scaled.conditioning.n_R_range == one.conditioning.n_R_range
    # The radius is a few roundings of the eigenvalues themselves, and moduli round at any scale.
    rounding = 8 * np.finfo(float).eps * one.schur.rho
    assert np.ldexp(scaled.noise_radius, -exponent) == pytest.approx(one.noise_radius, abs=rounding)
    assert scaled.conditioning.sep == pytest.approx(np.ldexp(one.conditioning.sep, exponent))


@pytest.mark.parametrize("order", ["leaky_modulus", "real_part"])
def test_other_orders_are_judged_by_their_own_key(order, rng):
    leak = 0.2 if order == "leaky_modulus" else None
    schur = ss.ordered_schur(rng.standard_normal((20, 20)), order, leak)
    keys = schur.keys
    last = int(np.flatnonzero(np.diff(keys[:10]) < 0)[1])  # of R, where two keys differ
    between = (keys[last] + keys[last + 1]) / 2 / keys.max()
    assert 0 < between < 1
    sound = schur.sectors(float(between))
    assert sound.n_R == last + 1
    assert sound.determined
    on_an_eigenvalue = schur.sectors(float(keys[last] / keys.max()) + 1e-12)
    assert not on_an_eigenvalue.determined


def test_the_movement_of_CR_is_that_of_a_perturbed_matrix(rng):
    W = np.float32(rng.standard_normal((20, 20)))
    sectors = ss.ordered_schur(W).sectors(0.7)
    n_R, T = sectors.n_R, sectors.schur.T

    def mass(matrix):
        """‖T_CR‖_F, which no choice of bases within R and C changes, by SciPy."""
        cut = np.sort(np.abs(np.linalg.eigvals(matrix)))[::-1][n_R - 1 : n_R + 1].mean()
        T, _, count = scipy.linalg.schur(matrix, sort=lambda re, im: np.hypot(re, im) > cut)
        assert count == n_R
        return np.linalg.norm(T[:n_R, n_R:])

    W = np.float64(W)
    changes = [mass(W * (1 + 2.0**-24 * rng.uniform(-1, 1, W.shape))) - mass(W) for _ in range(20)]
    relative = np.abs(changes) / np.linalg.norm(T[:n_R, n_R:])
    assert relative.max() < 3 * sectors.conditioning.CR_movement < 100 * relative.max()


def test_CR_of_a_normal_matrix_is_noise(rng):
    W = ss.init_network(ss.tasks.FlipFlop(), 40, "normal", rng).W_hh
    assert ss.ordered_schur(W.astype(np.float64)).sectors(0.9).conditioning.CR_movement > 0.1
    exact = ss.ordered_schur(np.diag([1.0, 0.5, 0.2])).sectors(0.9)
    assert exact.conditioning.CR_movement == 0  # nothing there, and nothing moves
    assert ss.ordered_schur(np.eye(3)).sectors(0.9).conditioning.CR_movement == 0


def test_the_repr_has_the_verdict_and_its_reasons(rng):
    sound = ss.ordered_schur(rng.standard_normal((9, 9))).sectors(0.9).conditioning
    assert repr(sound).startswith("Conditioning(determined; rank=9, null_dimensions=(0, 0), n_R_")
    assert "projector_movement=" in repr(sound)
    assert "CR_movement=" in repr(sound)
    unsound = ss.ordered_schur(rotated(chain(9))).sectors(0.9).conditioning
    assert repr(unsound).startswith(f"Conditioning(not determined: {unsound.reason}; rank=8, ")


# Large matrices: first order


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_movements_of_large_matrices_are_those_of_perturbed_ones(dtype, rng):
    W = rng.standard_normal((256, 256)) / 16
    schur = ss.ordered_schur(W.astype(dtype))
    sectors = schur.sectors(0.9)
    noise = schur._noise[0] if sectors.determined else None
    descending, radii = noise.movement(schur.eigenvalues, np.abs)
    step = 2.0**-24  # the movement is linear in it
    moved = []
    for _ in range(3):
        E = schur.W * step * rng.uniform(-1, 1, W.shape)
        other = np.sort(np.abs(np.linalg.eigvals(schur.W + E)))[::-1]
        moved.append((other - descending) * noise.unit_roundoff / step)
    found = np.sqrt(np.square(moved).mean(axis=0))
    if dtype == np.float32:  # in float64, the error of the Schur form itself comes on top
        # A modulus moves by the part of the movement along the eigenvalue.
        assert 0.4 < np.median(found / radii) < 1.0
    assert (found < 5 * radii).all()


@pytest.mark.slow
def test_movements_of_large_matrices_are_in_units_of_the_key(rng):
    W = rng.standard_normal((256, 256)) / 16
    radius = {
        order: ss.ordered_schur(W, order, leak).sectors(0.9).noise_radius
        for order, leak in (("modulus", None), ("leaky_modulus", 0.2), ("real_part", None))
    }
    assert radius["leaky_modulus"] == pytest.approx(0.2 * radius["modulus"], rel=0.2)
    assert radius["real_part"] == pytest.approx(radius["modulus"], rel=0.2)


@pytest.mark.slow
def test_large_matrices_with_clusters_are_perturbed(rng):
    for W, is_linear in (
        (rng.standard_normal((256, 256)), True),
        (rotated(np.diag(np.repeat([1.0, 0.5], 128)) + np.eye(256, k=1)), False),
        (low_rank(256, rng), True),
    ):
        schur = ss.ordered_schur(W)
        assert schur.conditioning(schur.sectors(0.9))
        assert (schur._noise[0].spread is not None) == is_linear


# Verdicts that are known from how a matrix was made; `python tests/cut_verdicts.py` counts many


@pytest.mark.parametrize("kind", cut_verdicts.KINDS)
def test_verdicts_are_right(kind):
    rng = np.random.default_rng(7)
    for _ in range(16):
        case = cut_verdicts.case(kind, cut_verdicts.order(rng, 96), rng)
        said = cut_verdicts.verdict(case)
        assert said == case.determined, (kind, case.is_rotated, case.W.dtype, case.alpha)


@pytest.mark.parametrize("kind", cut_verdicts.KINDS)
def test_known_verdicts_agree_with_exact_eigenvalues_of_perturbed_matrices(kind):
    rng = np.random.default_rng(3)
    for _ in range(4):
        case = cut_verdicts.case(kind, 6, rng)
        # Several roundings: the cut, too, is only known to a few.
        W, size = case.W.astype(np.float64), 8 * float(np.finfo(case.W.dtype).eps)
        counts = {exact_n_R(W, size, case.alpha, rng) for _ in range(12)}
        if case.determined:
            assert len(counts) == 1, (case, counts)
        elif kind not in ("nilpotent", "feedforward chain", "low rank"):
            # Theirs lie in R, wherever rounding puts them.
            assert len(counts) > 1, (case, counts)


def exact_n_R(W, size, alpha, rng):
    """n_R of W + E with 60 digits."""
    with mpmath.workdps(60):
        E = W * size * rng.uniform(-1, 1, W.shape)
        eigenvalues = mpmath.eig(mpmath.matrix(W) + mpmath.matrix(E), right=False)
        moduli = [abs(one) for one in eigenvalues]
        return sum(one >= (alpha - mpmath.mpf("1e-12")) * max(moduli) for one in moduli)


@pytest.mark.slow
@pytest.mark.parametrize(("group", "seeds"), [("copy", 1), ("neuroscience", 2)])
def test_networks_of_the_paper_raise_no_alarm(group, seeds, tmp_path):
    sweep = paper_sweep(group, seeds=seeds)
    store = Store.create(tmp_path, _core.LEVEL)
    jobs = plan(sweep)
    assert len(jobs) == {"copy": 2, "neuroscience": 6}[group]
    assert all(run_batch(jobs, tmp_path))
    for job in jobs:
        result = load_result(store, job.key)
        for alpha in sweep.alphas:
            sectors = ss.ordered_schur(result.network.W_hh).sectors(alpha)
            assert sectors.determined, (job, alpha, sectors.conditioning)


# In profiles


@pytest.fixture
def undetermined(rng):
    W_hh = rotated(chain(30)).astype(np.float32)
    W_xh, W_hy = rng.standard_normal((30, 3)), rng.standard_normal((2, 30)) / 5
    return ss.Network(W_hh, W_xh.astype(np.float32), W_hy.astype(np.float32))


def test_a_profile_says_first_that_its_cut_is_not_determined(undetermined, trials, network):
    profile = ss.ablate(undetermined, trials)
    assert str(profile).startswith("warning: the cut at alpha=0.9 is not determined: ")
    assert "choose an alpha" in str(profile)
    assert repr(profile).endswith("alpha=0.9, cut not determined)")
    assert not profile.settings["determined"]
    frame = profile.to_dataframe()
    assert not frame["determined"].any()
    assert (frame["value_low"] <= frame["value"]).all()
    again = pickle.loads(pickle.dumps(profile))
    assert again.warning == profile.warning
    sound = ss.ablate(network, trials)
    assert sound.warning == ""
    assert "warning" not in str(sound)
    assert sound.to_dataframe()["determined"].all()


def test_strict_refuses_a_cut_that_is_not_determined(undetermined, network, trials):
    with pytest.raises(ValueError, match=r"the cut at alpha=0\.9 is not determined: .*strict=True"):
        ss.ablate(undetermined, trials, strict=True)
    with pytest.raises(ValueError, match="is not determined"):
        ss.ablate_with(undetermined.W_hh, lambda W: W.sum(axis=1), strict=True)
    assert ss.ablate(network, trials, strict=True).warning == ""


@pytest.mark.parametrize("task", ss.tasks.TASKS)
def test_trained_networks_raise_no_alarm(task):
    made = ss.task_named(task)
    for recurrent in ("orthogonal", "cayley"):
        network = ss.init_network(made, 40, recurrent, 3)
        trained = ss.train(network, made, epochs=2, rng=4).network
        sectors = ss.ordered_schur(trained.W_hh).sectors(0.9)
        assert sectors.determined, sectors.conditioning
        assert sectors.null_dimensions == 0
