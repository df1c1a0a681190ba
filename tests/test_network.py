"""Networks: contents, outputs, files and constructions."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

import reference
from schurscope.networks.constructions import RECURRENT, init_network
from schurscope.networks.network import Network
from schurscope.trials.tasks import ContextIntegration, Copy

TASK = ContextIntegration()  # four inputs, one output


def parts(dtype=np.float64):
    """Arrays of a network with 4 units, 3 inputs, 2 outputs."""
    rng = np.random.default_rng(0)
    shapes = {"W_hh": (4, 4), "W_xh": (4, 3), "W_hy": (2, 4), "b_h": (4,), "b_y": (2,)}
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


def arrays_of(network):
    """All arrays of a network by name, those of its Cayley parameters included."""
    named = {name: getattr(network, name) for name in ("W_hh", "W_xh", "W_hy", "b_h", "b_y")}
    if network.cayley is not None:
        named |= {name: getattr(network.cayley, name) for name in ("U", "pairs", "reals")}
    return {name: array for name, array in named.items() if array is not None}


def assert_same_bits(first, second):
    ours, theirs = arrays_of(first), arrays_of(second)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert array.dtype == theirs[name].dtype
        assert array.shape == theirs[name].shape
        assert array.tobytes() == theirs[name].tobytes()


def is_normal(W, tolerance):
    return np.abs(W @ W.T - W.T @ W).max() <= tolerance


# What a network holds


def test_sizes(network, dtype):
    network = network.astype(dtype)
    assert (network.n_hidden, network.n_inputs, network.n_outputs) == (12, 3, 2)
    assert network.dtype == dtype
    assert repr(network) == f"Network(N_h=12, N_x=3, N_y=2, b_h, b_y, {dtype})"


def test_arrays_are_read_only_copies():
    given_arrays = parts()
    kept = {name: array.copy() for name, array in given_arrays.items()}
    network = Network(**given_arrays)
    for name, array in given_arrays.items():
        array[:] = 7
        np.testing.assert_array_equal(getattr(network, name), kept[name])
        with pytest.raises(ValueError, match="read-only"):
            getattr(network, name)[:] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.W_hh = kept["W_hh"]


def test_lists_and_integers_are_taken_exactly():
    network = Network([[0, 1], [-1, 0]], [[1], [0]], [[1, 0]])
    assert network.dtype == np.float64
    np.testing.assert_array_equal(network.W_hh, [[0, 1], [-1, 0]])
    assert network.b_h is None
    assert network.b_y is None


@pytest.mark.parametrize("name", ["W_hh", "W_xh", "W_hy", "b_h", "b_y"])
@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, complex, object])
def test_other_dtypes_are_refused(name, dtype):
    given_arrays = parts()
    given_arrays[name] = given_arrays[name].astype(dtype)
    with pytest.raises(TypeError, match=f"{name} must be float32 or float64, got dtype"):
        Network(**given_arrays)


@pytest.mark.parametrize("name", ["W_xh", "W_hy", "b_h", "b_y"])
def test_mixed_dtypes_are_refused(name):
    given_arrays = parts(np.float32)
    given_arrays[name] = given_arrays[name].astype(np.float64)
    with pytest.raises(TypeError, match=f"{name} must be float32 because W_hh is, got float64"):
        Network(**given_arrays)


@pytest.mark.parametrize("name", ["W_hh", "W_xh", "W_hy", "b_h", "b_y"])
def test_values_must_be_finite(name):
    given_arrays = parts()
    given_arrays[name].flat[-1] = np.nan
    with pytest.raises(ValueError, match=f"{name} must be finite, got 1 NaN or infinite entry"):
        Network(**given_arrays)


@pytest.mark.parametrize(
    ("name", "shape", "told"),
    [
        ("W_hh", (4, 5), r"W_hh must have shape \(N_h, N_h\), got \(4, 5\)"),
        ("W_hh", (4,), r"W_hh must have shape \(N_h, N_h\), got \(4,\)"),
        ("W_hh", (0, 0), r"W_hh must have at least one entry per axis, got shape \(0, 0\)"),
        ("W_xh", (3, 4), r"W_xh must have shape \(4, N_x\) because W_hh has shape \(4, 4\), got"),
        ("W_xh", (4, 0), "W_xh must have at least one entry per axis"),
        ("W_hy", (4, 2), r"W_hy must have shape \(N_y, 4\) because W_hh has shape \(4, 4\), got"),
        ("b_h", (3,), r"b_h must have shape \(4,\) because W_hh has shape \(4, 4\), got \(3,\)"),
        ("b_h", (4, 1), r"b_h must have shape \(4,\) because W_hh has shape .* got \(4, 1\)"),
        ("b_y", (4,), r"b_y must have shape \(2,\) because W_hy has shape \(2, 4\), got \(4,\)"),
    ],
)
def test_shapes_must_fit(name, shape, told):
    with pytest.raises(ValueError, match=told):
        Network(**{**parts(), name: np.ones(shape)})


def test_astype_rounds_and_widens(network):
    single = network.astype(np.float32)
    assert network.astype("float64") is network
    for name, array in arrays_of(network).items():
        np.testing.assert_array_equal(getattr(single, name), array.astype(np.float32))
    assert_same_bits(single.astype(np.float64).astype(np.float32), single)
    with pytest.raises(TypeError, match="dtype must be float32 or float64"):
        network.astype(int)
    with pytest.raises(ValueError, match="W_hy has values beyond the range of float32"):
        Network([[0.0]], [[1.0]], [[1e200]]).astype(np.float32)


def test_a_cayley_network_must_hold_its_own_matrix():
    network = init_network(TASK, 5, "cayley", 0, dtype=np.float64)
    with pytest.raises(
        ValueError, match=r"W_hh must be cayley.matrix\(\), got entries that differ"
    ):
        dataclasses.replace(network, W_hh=network.W_hh + 1e-6)
    with pytest.raises(ValueError, match="cayley must have the shape and dtype of W_hh"):
        dataclasses.replace(network, cayley=network.cayley.astype(np.float32))
    with pytest.raises(TypeError, match="cayley must be a Cayley or None, got tuple"):
        dataclasses.replace(network, cayley=())


# What a network computes


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 2e-5)])
@pytest.mark.parametrize("biased", [True, False])
def test_rollout_and_states_agree_with_the_reference(network, trials, dtype, tolerance, biased):
    if not biased:
        network = dataclasses.replace(network, b_h=None, b_y=None)
    network = network.astype(dtype)
    outputs, states = reference.rollout(
        **{name: array.astype(float) for name, array in arrays_of(network).items()},
        inputs=trials.inputs.astype(dtype),
    )
    for ours, theirs in (
        (network.rollout(trials.inputs), outputs),
        (network.states(trials.inputs), states),
    ):
        assert ours.dtype == dtype
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


def test_inputs_are_converted_once_and_left_alone(network):
    inputs = np.random.default_rng(0).standard_normal((2, 5, 3))
    kept = inputs.copy()
    single = network.astype(np.float32)
    expected = single.rollout(inputs.astype(np.float32))
    assert single.rollout(inputs).tobytes() == expected.tobytes()
    assert single.rollout(inputs[::-1])[::-1].tobytes() == expected.tobytes()
    assert single.rollout(inputs.tolist()).tobytes() == expected.tobytes()
    np.testing.assert_array_equal(inputs, kept)


def test_the_number_of_threads_changes_no_bit(network):
    inputs = np.random.default_rng(0).standard_normal((67, 5, 3))
    for run in (network.rollout, network.states):
        bits = {run(inputs, n_threads=n_threads).tobytes() for n_threads in (0, 1, 2, 5)}
        assert len(bits) == 1


@pytest.mark.parametrize("method", ["rollout", "states"])
def test_bad_inputs_are_told(network, method):
    run = getattr(network, method)
    with pytest.raises(
        ValueError,
        match=r"inputs must have shape \(trials, steps, 3\) because W_xh has shape \(12, 3\), got",
    ):
        run(np.ones((2, 5, 4)))
    with pytest.raises(ValueError, match=r"inputs must have shape .* got \(5, 3\)"):
        run(np.ones((5, 3)))
    with pytest.raises(ValueError, match="inputs must have at least one entry per axis"):
        run(np.ones((0, 5, 3)))
    with pytest.raises(ValueError, match="inputs must be finite, got 30 NaN"):
        run(np.full((2, 5, 3), np.nan))
    with pytest.raises(ValueError, match="inputs has values beyond the range of float32"):
        getattr(network.astype(np.float32), method)(np.full((1, 1, 3), 1e300))
    with pytest.raises(TypeError, match="inputs must be float32 or float64, got dtype object"):
        run(np.ones((2, 5, 3), object))
    with pytest.raises(ValueError, match=r"n_threads must be .*-1"):
        run(np.ones((2, 5, 3)), n_threads=-1)


# Files


@pytest.mark.parametrize("recurrent", RECURRENT)
def test_files_keep_every_bit(tmp_path, recurrent, dtype):
    network = init_network(TASK, 6, recurrent, 5, dtype=dtype)
    path = tmp_path / "network"
    network.save(path)
    assert_same_bits(Network.load(path), network)


def test_files_keep_biases_and_negative_zeros(tmp_path, network, dtype):
    W_hh = network.W_hh.copy()
    W_hh[0] = -0.0
    network = dataclasses.replace(network, W_hh=W_hh).astype(dtype)
    for changed in (network, dataclasses.replace(network, b_h=None)):
        changed.save(tmp_path / "network.npz")
        assert_same_bits(Network.load(tmp_path / "network.npz"), changed)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"W_hy": None}, "no W_hy"),
        ({"W_xh": np.ones((5, 3))}, "does not hold a valid network: W_xh must have shape"),
        ({"W_hh": np.ones((4, 4), np.float16)}, "W_hh must be float32 or float64, got dtype"),
        (
            {"cayley_U": np.ones((4, 4))},
            "must hold all of cayley_U, cayley_pairs, cayley_reals, or",
        ),
        ({"b_x": np.ones(4)}, "unknown b_x"),
    ],
)
def test_files_that_hold_no_network_are_refused(tmp_path, changes, told):
    path = tmp_path / "network.npz"
    arrays = {name: array for name, array in {**parts(), **changes}.items() if array is not None}
    np.savez(path, format="schurscope-network-1", entries=sorted(arrays), **arrays)
    with pytest.raises(ValueError, match=rf"network\.npz.*{told}"):
        Network.load(path)


# Constructions


@pytest.mark.parametrize("recurrent", RECURRENT)
def test_init_network_fits_the_task(recurrent, dtype):
    network = init_network(Copy(dimension=5), 10, recurrent, 1, dtype=dtype)
    assert (network.n_hidden, network.n_inputs, network.n_outputs) == (10, 5, 5)
    assert network.dtype == dtype
    assert network.b_h is None
    assert network.b_y is None
    assert (network.cayley is not None) == (recurrent == "cayley")


@pytest.mark.parametrize("recurrent", RECURRENT)
def test_the_seed_decides_in_both_dtypes(recurrent):
    first, second = (init_network(TASK, 8, recurrent, rng, dtype=np.float64) for rng in (3, 3))
    assert_same_bits(first, second)
    assert_same_bits(
        init_network(TASK, 8, recurrent, 3),
        first.astype(np.float32),
    )
    assert not np.array_equal(first.W_hh, init_network(TASK, 8, recurrent, 4, dtype=float).W_hh)


@pytest.mark.parametrize("recurrent", RECURRENT)
def test_encoder_and_decoder_are_uniform(recurrent):
    bound = 64**-0.5
    network = init_network(Copy(dimension=32), 64, recurrent, 7, dtype=np.float64)
    for W in (network.W_xh, network.W_hy):
        assert stats.kstest(W.ravel(), stats.uniform(-bound, 2 * bound).cdf).pvalue > 0.001


def test_default_is_uniform():
    W_hh = init_network(TASK, 64, "default", 1, dtype=np.float64).W_hh
    assert stats.kstest(W_hh.ravel(), stats.uniform(-1 / 8, 1 / 4).cdf).pvalue > 0.001
    assert not is_normal(W_hh, 0.1)


def test_orthogonal_is_orthogonal_and_has_no_preferred_sign():
    W_hh = init_network(TASK, 64, "orthogonal", 1, dtype=np.float64).W_hh
    np.testing.assert_allclose(W_hh.T @ W_hh, np.eye(64), rtol=0, atol=1e-13)
    # Entries of a uniform orthogonal 3 x 3 matrix are uniform on [-1, 1]; without the sign
    # correction the diagonal would lean to one side.
    rng = np.random.default_rng(2)
    draws = [init_network(TASK, 3, "orthogonal", rng, dtype=np.float64).W_hh for _ in range(2000)]
    for i in range(3):
        entries = np.array([W[i, i] for W in draws])
        assert stats.kstest(entries, stats.uniform(-1, 2).cdf).pvalue > 0.001


def test_normal_is_normal_with_the_stated_eigenvalues():
    W_hh = init_network(TASK, 200, "normal", 1, dtype=np.float64).W_hh
    assert is_normal(W_hh, 1e-12)
    eigenvalues = np.linalg.eigvals(W_hh)
    upper = eigenvalues[eigenvalues.imag > 0]
    assert len(upper) == 100
    half_normal = stats.halfnorm(scale=6**-0.5)
    assert stats.kstest(upper.real, stats.norm(scale=6**-0.5).cdf).pvalue > 0.001
    assert stats.kstest(upper.imag, half_normal.cdf).pvalue > 0.001


def test_cayley_has_the_eigenvalues_of_a_uniform_matrix():
    network = init_network(TASK, 64, "cayley", 1, dtype=np.float64)
    pairs, reals = network.cayley.pairs, network.cayley.reals
    assert (pairs[:, 1] > 0).all()
    expected = np.concatenate([pairs @ [1, 1j], pairs @ [1, -1j], reals])
    eigenvalues = np.linalg.eigvals(network.W_hh)
    np.testing.assert_allclose(
        np.sort_complex(eigenvalues.round(9)), np.sort_complex(expected.round(9)), atol=2e-9
    )
    # Entries of variance m^2 / 3: by the circular law the moduli fill the disc of radius 3^(-1/2).
    assert 0.5 < np.abs(expected).max() < 0.75
    assert stats.kstest(np.abs(expected) ** 2 * 3, "uniform").statistic < 0.15
    U = network.cayley.U
    assert stats.kstest(U.ravel(), stats.uniform(-1 / 8, 1 / 4).cdf).pvalue > 0.001


@pytest.mark.parametrize(
    ("recurrent", "n_hidden"),
    [(name, n) for name in RECURRENT for n in (1, 2, 3) if name != "normal" or n == 2],
)
def test_small_networks(recurrent, n_hidden):
    network = init_network(TASK, n_hidden, recurrent, 0)
    assert network.rollout(np.ones((1, 2, 4))).shape == (1, 2, 1)


def test_bad_arguments_are_told():
    with pytest.raises(ValueError, match='n_hidden must be even for recurrent="normal", got 63'):
        init_network(TASK, 63, "normal", 0)
    with pytest.raises(
        ValueError, match=r"one of 'default', .* got 'orthogonl'; did you mean 'orth"
    ):
        init_network(TASK, 4, "orthogonl", 0)
    with pytest.raises(ValueError, match="n_hidden must be at least 1, got 0"):
        init_network(TASK, 0, "default", 0)
    with pytest.raises(TypeError, match="n_hidden must be an integer, got '4'"):
        init_network(TASK, "4", "default", 0)
    with pytest.raises(TypeError, match="task must have n_inputs and n_outputs, got 'copy'"):
        init_network("copy", 4, "default", 0)
    with pytest.raises(TypeError, match=r"Copy'>; write Copy\(…\), an instance"):
        init_network(Copy, 4, "default", 0)
    with pytest.raises(TypeError, match="rng must be a"):
        init_network(TASK, 4, "default", 0.5)
    with pytest.raises(TypeError, match="dtype must be float32 or float64, got"):
        init_network(TASK, 4, "default", 0, dtype=np.float16)
