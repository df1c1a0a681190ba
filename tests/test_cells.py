"""Cells: activations, forms, leaks, initial states and noise, against plain NumPy."""

from __future__ import annotations

import itertools
from dataclasses import replace

import mpmath
import numpy as np
import pytest

import reference
import schurscope as ss
from schurscope import _core
from schurscope.networks.cell import ACTIVATIONS, FORMS

N_H, N_X, N_Y = 19, 3, 2
LEAKS = (1.0, 0.3)
cells = pytest.mark.parametrize(
    "cell",
    [ss.Cell(*each) for each in itertools.product(ACTIVATIONS, FORMS, LEAKS)],
    ids=lambda cell: f"{cell.activation}-{cell.form}-{cell.leak}",
)


def network_of(cell, rng, dtype=np.float64, h_0=True, gain=0.8):
    parts = [
        rng.standard_normal(shape).astype(dtype)
        for shape in [(N_H, N_H), (N_H, N_X), (N_Y, N_H), N_H, N_Y, N_H]
    ]
    W_hh, W_xh, W_hy, b_h, b_y, start = parts
    scale = dtype(gain / np.sqrt(N_H))
    return ss.Network(
        W_hh * scale, W_xh, W_hy * scale, b_h, b_y, cell=cell, h_0=start if h_0 else None
    )


# --- Activations ----------------------------------------------------------------------------------


def activated(name, x):
    out = np.empty_like(x)
    _core.activate(name, x, out)
    return out


EXACT = {
    "tanh": mpmath.tanh,
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", EXACT)
def test_activations_are_right_to_a_few_units_in_the_last_place(rng, name, dtype):
    largest = 80 if dtype == np.float32 else 700
    x = np.concatenate([
        rng.uniform(-largest, largest, 1500),
        rng.uniform(-2, 2, 1500),
        rng.standard_normal(1001) * 10.0 ** rng.uniform(-12, 0, 1001),
    ]).astype(dtype)  # fmt: skip
    with mpmath.workprec(200):
        exact = [EXACT[name](mpmath.mpf(float(value))) for value in x]
        wrong = [
            abs(float((mpmath.mpf(float(y)) - e) / mpmath.mpf(float(np.spacing(dtype(e))))))
            for y, e in zip(activated(name, x), exact, strict=True)
        ]
    assert max(wrong) < (3 if name == "tanh" else 4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_at_the_ends(dtype):
    x = np.array([-np.inf, -1e30, 0, 1e30, np.inf, np.nan], dtype)
    tiny = np.exp(dtype(-87 if dtype == np.float32 else -708)) * 1.01
    for name, expected in {
        "tanh": [-1, -1, 0, 1, 1],
        "relu": [0, 0, 0, x[3], np.inf],
        "softplus": [0, 0, np.log(dtype(2)), x[3], np.inf],
        "sigmoid": [0, 0, 0.5, 1, 1],
        "identity": x[:5],
    }.items():
        y = activated(name, x)
        np.testing.assert_allclose(y[:5], np.array(expected, dtype), rtol=1e-6, atol=tiny)
        assert np.isnan(y[5])


# --- Rollouts -------------------------------------------------------------------------------------


@cells
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rollouts_agree_with_the_equations(rng, cell, dtype):
    network = network_of(cell, rng, dtype)
    inputs = rng.standard_normal((37, 12, N_X)).astype(dtype)
    outputs, states = reference.cell_rollout(network, inputs)
    scale = np.abs(states).max()
    tolerance = {"rtol": 0, "atol": (1e-13 if dtype == np.float64 else 3e-6) * max(1, scale)}
    np.testing.assert_allclose(network.states(inputs), states, **tolerance)
    np.testing.assert_allclose(network.rollout(inputs), outputs, **tolerance)
    assert network.rollout(inputs).dtype == dtype


@pytest.mark.parametrize("output", ACTIVATIONS)
@pytest.mark.parametrize("form", FORMS)
def test_the_output_nonlinearity_acts_on_the_readout(rng, form, output):
    network = network_of(ss.Cell("tanh", form, 0.5, output), rng)
    inputs = rng.standard_normal((5, 7, N_X))
    outputs, _ = reference.cell_rollout(network, inputs)
    np.testing.assert_allclose(network.rollout(inputs), outputs, atol=1e-13)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("activation", ["tanh", "softplus"])
def test_trials_may_start_from_states_of_their_own(rng, activation, form):
    network = network_of(ss.Cell(activation, form, 0.5), rng)
    inputs = rng.standard_normal((70, 4, N_X))
    h_0 = rng.standard_normal((70, N_H))
    outputs, _ = reference.cell_rollout(network, inputs, h_0=h_0)
    np.testing.assert_allclose(network.rollout(inputs, h_0=h_0), outputs, atol=1e-12)


@pytest.mark.parametrize("cell", [ss.Cell(noise=0.3), ss.Cell("relu", "current", 0.2, noise=0.3)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_noise_enters_at_the_input_of_each_unit(rng, cell, dtype):
    network = network_of(cell, rng, dtype)
    inputs = rng.standard_normal((70, 9, N_X)).astype(dtype)
    xi = np.random.default_rng(5).standard_normal((70, 9, N_H), dtype=dtype)
    outputs, states = reference.cell_rollout(network, inputs, noise=xi)
    atol = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(network.rollout(inputs, rng=5), outputs, atol=atol)
    np.testing.assert_allclose(network.states(inputs, rng=5), states, atol=atol)
    few = network.rollout(inputs[:20], rng=5)
    assert np.array_equal(few, network.rollout(inputs, rng=5)[:20])


def test_noise_needs_a_source_and_only_noise(rng):
    inputs = rng.standard_normal((2, 3, N_X))
    with pytest.raises(ValueError, match=r"rng must be a seed .* the cell has noise=0.5, got None"):
        network_of(ss.Cell(noise=0.5), rng).rollout(inputs)
    with pytest.raises(ValueError, match="rng must be None for a cell without noise"):
        network_of(ss.Cell(), rng).rollout(inputs, rng=1)


def test_wrong_cells_and_states_are_refused(rng):
    with pytest.raises(ValueError, match=r"activation must be .*'tanh'"):
        ss.Cell("thanh")
    with pytest.raises(ValueError, match="form must be"):
        ss.Cell(form="voltage")
    with pytest.raises(ValueError, match=r"leak must lie in \(0, 1\], got 0"):
        ss.Cell(leak=0)
    with pytest.raises(ValueError, match="noise must be"):
        ss.Cell(noise=-1)
    network = network_of(ss.Cell(), rng)
    with pytest.raises(ValueError, match="h_0 must have shape"):
        network.rollout(np.zeros((3, 2, N_X)), h_0=np.zeros((2, N_H)))
    with pytest.raises(TypeError, match=r"cell must be a schurscope\.Cell, got str"):
        ss.Network(network.W_hh, network.W_xh, network.W_hy, cell="relu")


# --- Gradients and training -----------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_agree_with_central_differences(rng, activation, form, leak):
    n_h, n_x, n_y = sizes = (5, 2, 2)
    output = {"tanh": "sigmoid", "softplus": "tanh", "relu": "softplus"}.get(activation, "identity")
    cell = ss.Cell(activation, form, leak, output, noise=1)
    h_0, noise = rng.standard_normal((4, n_h)), rng.standard_normal((4, 6, n_h)) / 4
    inputs, targets = rng.standard_normal((4, 6, n_x)), rng.standard_normal((4, 6, n_y))
    weights = rng.uniform(0.1, 2, (4, 6))
    weights[:, 2] = 0
    size = n_h * n_h + n_h * n_x + n_y * n_h + n_h + n_y
    theta = rng.normal(0, 0.4, size)

    def loss(parameters):
        named = reference.unflatten(parameters, *sizes, -1, True, True)
        network = ss.Network(**named, cell=cell)
        outputs, _ = reference.cell_rollout(network, inputs, h_0, noise)
        error = np.einsum("nt,ntc->", weights, (outputs - targets) ** 2)
        return error / (n_y * weights.sum())

    gradient = np.empty(size)
    trials = (inputs, targets, weights, h_0, noise)
    value = _core.loss_gradient(theta, (*sizes, -1, True, True), cell.names, trials, gradient)
    assert value == pytest.approx(loss(theta), rel=1e-12)
    expected = reference.central_differences(loss, theta)
    np.testing.assert_allclose(gradient, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize(
    "cell",
    [
        ss.Cell("relu", leak=0.5),
        ss.Cell("softplus", "current", 0.5, noise=0.05),
        ss.Cell("sigmoid", output="tanh"),
    ],
    ids=str,
)
def test_networks_of_any_cell_learn(cell):
    task = ss.tasks.FlipFlop(n_channels=1, n_steps=10, pulse_probability=0.3)
    start = np.full(24, 0.1, np.float32)
    network = replace(ss.init_network(task, 24, rng=0, cell=cell), b_h=start * 0, h_0=start)

    def trained():
        return ss.train(network, task, epochs=4, learning_rate=3e-3, rng=1)

    result = trained()
    assert result.loss[-20:].mean() < 0.4 * result.loss[:5].mean()
    assert result.network.cell == cell
    assert np.array_equal(result.network.h_0, start)
    assert np.array_equal(trained().loss, result.loss)


# --- Ablations ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell", [ss.Cell("softplus", "current", 0.3, "tanh", noise=0.2), ss.Cell("relu", leak=0.6)]
)
def test_ablations_agree_with_rollouts_of_the_ablated_networks(rng, cell):
    network = network_of(cell, rng)
    targets = rng.standard_normal((66, 8, N_Y))
    trials = ss.Trials(rng.standard_normal((66, 8, N_X)), targets, h_0=rng.normal(size=(66, N_H)))
    noise = {"rng": 3} if cell.noise else {}
    profile = ss.ablate(network, trials, alpha=0.6, **noise)
    schur = ss.ordered_schur(network.W_hh)
    for name, value in zip(profile.names, profile.value, strict=True):
        couplings = () if name == "full" else name.split("+")
        W = schur.ablated(couplings, alpha=0.6)
        weights = (network.W_xh, network.W_hy, network.b_h, network.b_y)
        ablated = ss.Network(W, *weights, cell=cell)
        outputs = ablated.rollout(trials.inputs, h_0=trials.h_0, **noise)
        assert value == pytest.approx(ss.fvu(outputs, targets), rel=1e-11), name
    again = ss.ablate(network, trials, alpha=0.6, n_threads=3, **noise)
    assert np.array_equal(again.per_trial, profile.per_trial)
    assert profile.settings["cell"] == repr(cell)


def test_a_rollout_that_diverges_is_a_result(rng):
    cell = ss.Cell("relu")
    W_hh = np.triu(np.ones((N_H, N_H))) * 30
    weights = rng.uniform(0.1, 1, (N_H, N_X)), rng.uniform(0.1, 1, (N_Y, N_H))
    network = ss.Network(W_hh, *weights, cell=cell).astype(np.float32)
    inputs = rng.uniform(0.1, 1, (4, 60, N_X)).astype(np.float32)
    trials = ss.Trials(inputs, np.sign(rng.standard_normal((4, 60, N_Y))).astype(np.float32))
    for measure in ("fvu", "replay_accuracy"):
        profile = ss.ablate(network, trials, measure=measure)
        assert profile.diverged[0]
        assert not np.isfinite(profile.value[0])


def test_trials_with_states_of_another_width_are_refused(rng):
    network = network_of(ss.Cell(), rng)
    trials = ss.Trials(np.zeros((2, 3, N_X)), np.zeros((2, 3, N_Y)), h_0=np.zeros((2, 5)))
    with pytest.raises(ValueError, match=rf"h_0 of shape \(trials, {N_H}\)"):
        ss.ablate(network, trials)


def test_a_leaky_network_may_be_cut_by_the_modulus_of_its_map(rng):
    network = network_of(ss.Cell(leak=0.2), rng)
    trials = ss.Trials(rng.standard_normal((9, 8, N_X)), rng.standard_normal((9, 8, N_Y)))
    profile = ss.ablate(network, trials, order="leaky_modulus")
    expected = ss.ordered_schur(network.W_hh, "leaky_modulus", 0.2)
    assert np.array_equal(profile.schur.T, expected.T)
    assert "tie rule leaky-modulus-1 (a 0.2)" in str(profile)
    assert ss.ablate(network, trials, schur=expected).settings["tie_rule"] == expected.tie_rule
    with pytest.raises(ValueError, match="order must be that of schur, 'leaky_modulus', got 'mod"):
        ss.ablate(network, trials, schur=expected, order="modulus")
    spread = ss.tie_spread(network, trials, order="leaky_modulus", tolerance=0.05, n_orders=2)
    assert spread.settings["tie_rule"] == expected.tie_rule
