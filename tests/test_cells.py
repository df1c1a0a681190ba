"""Cells: activations, forms, leaks, readouts, initial states and noise, against plain NumPy."""

from __future__ import annotations

import itertools
import pickle
from dataclasses import replace

import mpmath
import numpy as np
import pytest

import reference
import schurscope as ss
from schurscope import _core
from schurscope.networks.cell import ACTIVATIONS
from small_cells import BIASES, N_H, N_X, N_Y, SIZES, cell_of, cells, forms_read, leaks, network_of

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


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@forms_read
@leaks
def test_rollouts_agree_for_widths_that_leave_remainders(rng, form, readout, leak, sizes):
    cell = cell_of("tanh", form, readout, leak, n_h=sizes[0])
    for dtype, biases in itertools.product([np.float64, np.float32], BIASES):
        network = network_of(cell, rng, dtype, sizes=sizes, biases=biases)
        inputs = rng.standard_normal((37, 5, sizes[1])).astype(dtype)
        outputs, states = reference.cell_rollout(network, inputs)
        atol = 1e-13 if dtype == np.float64 else 1e-5
        np.testing.assert_allclose(network.states(inputs), states, rtol=0, atol=atol * sizes[1])
        np.testing.assert_allclose(network.rollout(inputs), outputs, rtol=0, atol=atol * sizes[1])


@forms_read
@pytest.mark.parametrize("activation", ["relu", "softplus"])
def test_equal_leaks_have_the_bits_of_one_leak(rng, activation, form, readout):
    task = ss.tasks.FlipFlop(n_channels=2, n_steps=9)
    one = ss.Cell(activation, form, 0.3, readout=readout)
    of_units = replace(one, leak=np.full(N_H, 0.3))
    assert one != of_units
    network = network_of(one, rng, np.float32, sizes=(N_H, task.n_inputs, task.n_outputs))
    trials = task.trials(40, rng=2)
    profile = ss.ablate(network, trials)
    result = ss.train(network, task, epochs=1, batches_per_epoch=5, rng=1)
    again = replace(network, cell=of_units)
    assert np.array_equal(again.rollout(trials.inputs), network.rollout(trials.inputs))
    assert np.array_equal(ss.ablate(again, trials).per_trial, profile.per_trial)
    trained = ss.train(again, task, epochs=1, batches_per_epoch=5, rng=1)
    assert np.array_equal(trained.network.W_hh, result.network.W_hh)
    assert trained.network.cell == of_units


@pytest.mark.parametrize("output", ACTIVATIONS)
@forms_read
def test_the_output_nonlinearity_acts_on_the_readout(rng, form, readout, output):
    network = network_of(ss.Cell("tanh", form, 0.5, output, readout=readout), rng)
    inputs = rng.standard_normal((5, 7, N_X))
    outputs, _ = reference.cell_rollout(network, inputs)
    np.testing.assert_allclose(network.rollout(inputs), outputs, atol=1e-13)


@forms_read
@pytest.mark.parametrize("activation", ["tanh", "softplus"])
def test_trials_may_start_from_states_of_their_own(rng, activation, form, readout):
    network = network_of(cell_of(activation, form, readout, "of units"), rng)
    inputs = rng.standard_normal((70, 4, N_X))
    h_0 = rng.standard_normal((70, N_H))
    outputs, _ = reference.cell_rollout(network, inputs, h_0=h_0)
    np.testing.assert_allclose(network.rollout(inputs, h_0=h_0), outputs, atol=1e-12)


@pytest.mark.parametrize(
    "cell",
    [
        ss.Cell(noise=0.3),
        ss.Cell("relu", "current", 0.2, noise=0.3),
        cell_of("tanh", "rate", "rates", "of units", noise=0.3),
        cell_of("tanh", "current", "hidden", "of units", noise=0.3),
    ],
    ids=str,
)
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
    with pytest.raises(ValueError, match=r"readout must be one of 'rates', 'hidden', got 'rate'"):
        ss.Cell(form="current", readout="rate")
    with pytest.raises(
        ValueError, match=r"readout must be 'rates' in the rate form.* got 'hidden'"
    ):
        ss.Cell(readout="hidden")
    network = network_of(ss.Cell(), rng)
    with pytest.raises(ValueError, match="h_0 must have shape"):
        network.rollout(np.zeros((3, 2, N_X)), h_0=np.zeros((2, N_H)))
    with pytest.raises(TypeError, match=r"cell must be a schurscope\.Cell, got str"):
        ss.Network(network.W_hh, network.W_xh, network.W_hy, cell="relu")


@pytest.mark.parametrize(
    ("leak", "error", "told"),
    [
        ([0.5, 1.5], ValueError, r"leak must lie in \(0, 1\], got leak\[1\] = 1.5"),
        ([0.5, 0.0], ValueError, r"leak must lie in \(0, 1\], got leak\[1\] = 0"),
        ([0.5, np.nan], ValueError, "leak must be finite"),
        ([], ValueError, "leak must have at least one entry"),
        ([[0.5]], ValueError, r"leak must have shape \(N_h,\), got \(1, 1\)"),
        ("0.5", TypeError, "leak must be a real number, got '0.5'"),
        (["0.5"], TypeError, "leak must be float32 or float64"),
    ],
)
def test_wrong_leaks_are_refused(leak, error, told):
    with pytest.raises(error, match=told):
        ss.Cell(leak=leak)


def test_leaks_must_be_as_many_as_units(rng):
    with pytest.raises(ValueError, match=r"a leak for each of the 19 units, .* got 3 leaks"):
        network_of(ss.Cell(leak=[0.5, 0.5, 0.5]), rng)


def test_cells_with_leaks_are_values():
    given = np.array([0.25, 0.5], np.float32)
    cell = ss.Cell("relu", leak=given)
    given[0] = 1
    assert cell.leak.tolist() == [0.25, 0.5]
    assert cell.leak.dtype == np.float64
    same = pickle.loads(pickle.dumps(ss.Cell("relu", leak=[0.25, 0.5])))
    assert same == cell
    for each in (cell, same):
        with pytest.raises(ValueError, match="read-only"):
            each.leak[0] = 1
    assert {cell: 1}[same] == 1
    assert cell != ss.Cell("relu", leak=[0.25, 0.75])
    assert cell != replace(cell, leak=0.25)
    assert cell != "relu"
    long = ss.Cell(form="current", leak=np.linspace(0.1, 0.5, 300), readout="hidden")
    assert str(long) == (
        "Cell(activation='tanh', form='current', leak=0.1 … 0.5 of 300 units, output='identity', "
        "noise=0.0, readout='hidden')"
    )


# --- Ablations ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    [
        ss.Cell("softplus", "current", 0.3, "tanh", noise=0.2),
        ss.Cell("relu", leak=0.6),
        cell_of("relu", "rate", "rates", "of units", noise=0.2),
        cell_of("softplus", "current", "rates", "of units"),
        cell_of("tanh", "current", "hidden", "of units"),
        ss.Cell("tanh", "current", 0.3, "tanh", noise=0.2, readout="hidden"),
    ],
    ids=str,
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


def test_different_leaks_have_no_leaky_modulus(rng):
    network = network_of(cell_of("tanh", "rate", "rates", "of units"), rng)
    trials = ss.Trials(rng.standard_normal((9, 8, N_X)), rng.standard_normal((9, 8, N_Y)))
    told = "order must be 'modulus' or 'real_part' .* here 0.05 … 1, got 'leaky_modulus'"
    with pytest.raises(ValueError, match=told):
        ss.ablate(network, trials, order="leaky_modulus")
    with pytest.raises(ValueError, match=told):
        ss.tie_spread(network, trials, order="leaky_modulus")
    assert ss.ablate(network, trials, order="real_part").settings["cell"] == repr(network.cell)
    equal = replace(network, cell=ss.Cell(leak=np.full(N_H, 0.2)))
    expected = ss.ordered_schur(network.W_hh, "leaky_modulus", 0.2)
    assert ss.ablate(equal, trials, order="leaky_modulus").schur.tie_rule == expected.tie_rule
