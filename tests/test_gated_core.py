"""Rollouts, ablations and features of gated networks against the equations and PyTorch."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

import reference
import schurscope as ss
from schurscope import _core
from schurscope.ablation.batch import Places
from schurscope.ablation.plan import Ablation
from small_gated import KINDS, SIZES, gated_network, kinds, torch_module, torch_run

BIASES = [True, False, {"b_h"}, {"b_hn"}, {"b_y"}, {"b_h", "b_y"}]
TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}


def relative(found, expected):
    return np.abs(found - expected).max() / max(1.0, np.abs(expected).max())


@kinds
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rollouts_agree_with_the_equations(rng, cell, sizes, dtype):
    for biases, n_trials in zip(BIASES, (1, 5, 17, 64, 67, 130), strict=True):
        network = gated_network(cell, rng, dtype, sizes, biases, starts=n_trials > 5)
        inputs = rng.standard_normal((n_trials, 6, sizes[1])).astype(dtype)
        outputs, states = reference.gated_rollout(network, inputs)
        assert relative(network.rollout(inputs), outputs) < TOLERANCE[dtype]
        found = network.states(inputs, n_threads=2)
        assert relative(found, states) < TOLERANCE[dtype]
        assert found.tobytes() == network.states(inputs, n_threads=1).tobytes()


@kinds
def test_trials_may_start_from_states_of_their_own(rng, cell):
    network = gated_network(cell, rng)
    inputs = rng.standard_normal((19, 5, 3))
    h_0, c_0 = rng.standard_normal((2, 19, 17))
    starts = [{"h_0": h_0}]
    if cell.kind == "lstm":
        starts += [{"c_0": c_0}, {"h_0": h_0, "c_0": c_0}]
    for start in starts:
        outputs, states = reference.gated_rollout(network, inputs, **start)
        np.testing.assert_allclose(network.rollout(inputs, **start), outputs, atol=1e-12)
        np.testing.assert_allclose(network.states(inputs, **start), states, atol=1e-12)


@kinds
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise_enters_the_candidate(rng, cell, dtype):
    noisy = ss.Cell(kind=cell.kind, reset=cell.reset, noise=0.3, output="tanh")
    network = gated_network(noisy, rng, dtype)
    inputs = rng.standard_normal((19, 5, 3)).astype(dtype)
    xi = np.random.default_rng(7).standard_normal((19, 5, 17), dtype=dtype)
    outputs, states = reference.gated_rollout(network, inputs, noise=xi)
    assert relative(network.rollout(inputs, rng=7), outputs) < TOLERANCE[dtype]
    assert relative(network.states(inputs, rng=7), states) < TOLERANCE[dtype]
    quiet, _ = reference.gated_rollout(network, inputs)
    assert np.abs(quiet - outputs).max() > 0.01


@pytest.mark.parametrize("kind", ["gru", "lstm"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-6)])
def test_outputs_are_those_of_pytorch(rng, kind, sizes, dtype, tolerance):
    torch = pytest.importorskip("torch")
    network = gated_network(ss.Cell(kind=kind), rng, dtype, sizes)
    module, readout = torch_module(network)
    inputs = rng.standard_normal((23, 20, sizes[1])).astype(dtype)
    start = [np.repeat(network.h_0[None, None], 23, axis=1)]
    if kind == "lstm":
        start.append(np.repeat(network.c_0[None, None], 23, axis=1))
    start = [torch.tensor(state) for state in start]
    with torch.no_grad():
        states, _ = module(torch.tensor(inputs), tuple(start) if kind == "lstm" else start[0])
        outputs = readout(states).numpy()
    np.testing.assert_allclose(network.states(inputs), states.numpy(), rtol=0, atol=tolerance)
    scale = max(1.0, np.abs(outputs).max())
    np.testing.assert_allclose(network.rollout(inputs), outputs, rtol=0, atol=tolerance * scale)


@kinds
def test_the_torch_equations_are_those_of_the_reference(rng, cell):
    torch = pytest.importorskip("torch")
    network = gated_network(cell, rng)
    inputs = rng.standard_normal((4, 5, 3))
    names = ("W_hh", "W_xh", "W_hy", "b_h", "b_y", "b_hn")
    parts = {
        name: torch.tensor(np.array(array))
        for name in names
        if (array := getattr(network, name)) is not None
    }
    h_0 = torch.tensor(np.repeat(network.h_0[None], 4, axis=0))
    c_0 = None if network.c_0 is None else torch.tensor(np.repeat(network.c_0[None], 4, axis=0))
    found = torch_run(network, parts, torch.tensor(inputs), h_0, c_0)
    for tensor, expected in zip(found, reference.gated_rollout(network, inputs), strict=True):
        np.testing.assert_allclose(tensor.numpy(), expected, atol=1e-13)


def schur_forms(network):
    return [ss.ordered_schur(gate.W_hh.astype(np.float64)) for gate in network.gates.values()]


def gate_ablations(network, schurs, named):
    """Batches for the core, and the ablated networks; `named` maps a gate to its couplings."""
    G = len(schurs)
    rows = [[Ablation("none", (), ())] * len(named) for _ in range(G)]
    networks = []
    for place, couplings in enumerate(named):
        W_hh = np.array(network.W_hh)
        for gate, names in couplings.items():
            k = network.cell.gates.index(gate)
            sectors = schurs[k].sectors(0.9)
            rows[k][place] = Ablation.of(names, sectors)
            W = schurs[k].ablated(set(names.split("+")), alpha=0.9)
            W_hh[k * network.n_hidden : (k + 1) * network.n_hidden] = W.astype(network.dtype)
        networks.append(W_hh)
    return [Places.of(of_gate).core_arguments() for of_gate in rows], networks


def run_ablations(network, schurs, batches, trials, n_ablations, n_threads=1):
    sums = np.empty((n_ablations, trials.n_trials)), np.empty((n_ablations, trials.n_steps))
    _core.run_ablations(
        network.core_arguments(),
        [(schur.Q, schur.T) for schur in schurs],
        batches,
        (
            trials.inputs,
            trials.targets,
            trials.step_weights,
            network.start(trials.h_0, trials.c_0, trials.n_trials),
            None,
        ),
        "squared_error",
        sums,
        n_threads,
    )
    return sums


@kinds
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 2e-4)])
def test_ablations_change_the_gates_that_they_name(rng, cell, sizes, dtype, tolerance):
    network = gated_network(cell, rng, dtype, sizes)
    schurs = schur_forms(network)
    first, last = cell.gates[0], cell.gates[-1]
    named = [{}, {first: "CR"}, {last: "RR+CC"}, {first: "CC+CR+RR", last: "CR+CC"}]
    batches, ablated = gate_ablations(network, schurs, named)
    x = rng.standard_normal((37, 6, sizes[1])).astype(dtype)
    y = rng.standard_normal((37, 6, sizes[2])).astype(dtype)
    trials = ss.Trials(x, y, rng.uniform(0, 1, (37, 6)).astype(dtype))
    per_trial, per_step = run_ablations(network, schurs, batches, trials, len(named))
    for threads in (2, 5):
        again = run_ablations(network, schurs, batches, trials, len(named), threads)
        assert [sums.tobytes() for sums in again] == [per_trial.tobytes(), per_step.tobytes()]
    for place, W_hh in enumerate(ablated):
        outputs = reference.gated_rollout(replace(network, W_hh=W_hh), x)[0]
        scores = (trials.weights[..., None] * (outputs - y) ** 2).sum(axis=2)
        assert relative(per_trial[place], scores.sum(axis=1)) < tolerance
        assert relative(per_step[place], scores.sum(axis=0)) < tolerance


@kinds
def test_gates_that_are_not_named_keep_their_bits(rng, cell):
    network = gated_network(cell, rng, np.float32)
    schurs = schur_forms(network)
    batches, _ = gate_ablations(network, schurs, [{}, {}])
    x = rng.standard_normal((20, 6, 3)).astype(np.float32)
    trials = ss.Trials(x, network.rollout(x))
    per_trial, _ = run_ablations(network, schurs, batches, trials, 2)
    assert not per_trial.any()


@kinds
@pytest.mark.parametrize("sizes", [(1, 1, 1), (5, 2, 3), (17, 3, 2), (64, 3, 2)], ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-11), (np.float32, 1e-4)])
def test_adjoints_are_those_of_autograd(rng, cell, sizes, dtype, tolerance):
    torch = pytest.importorskip("torch")
    network = gated_network(cell, rng, dtype, sizes)
    x = rng.standard_normal((21, 6, sizes[1])).astype(dtype)
    v = rng.standard_normal((21, 6, sizes[2])).astype(dtype)
    found = {}
    for gate in range(len(cell.gates)):
        arrays = np.empty((2, 21, 6, sizes[0]), dtype)
        trials = (x, None, np.ones((21, 6), dtype), network.start(None, None, 21), None)
        _core.adjoints(network.core_arguments(), gate, trials, v, *arrays, 2)
        found[gate] = arrays
    double = network.astype(np.float64)
    names = ("W_hh", "W_xh", "W_hy", "b_h", "b_y", "b_hn")
    parts = {
        name: torch.tensor(np.array(array), requires_grad=True)
        for name in names
        if (array := getattr(double, name)) is not None
    }
    parts["products"] = []
    h_0 = torch.tensor(np.repeat(double.h_0[None], 21, axis=0))
    c_0 = None if double.c_0 is None else torch.tensor(np.repeat(double.c_0[None], 21, axis=0))
    outputs, _ = torch_run(double, parts, torch.tensor(x.astype(np.float64)), h_0, c_0)
    (outputs * torch.tensor(v.astype(np.float64))).sum().backward()
    for t, gate, operand, product in parts["products"]:
        operands, deltas = found[gate]
        assert relative(operands[:, t], operand.detach().numpy()) < tolerance
        assert relative(deltas[:, t], product.grad.numpy()) < tolerance


@kinds
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-11), (np.float32, 1e-4)])
def test_features_are_sums_over_pairs_of_each_gate(rng, cell, dtype, tolerance):
    network = gated_network(cell, rng, dtype, (9, 3, 2))
    schurs = schur_forms(network)
    x = rng.standard_normal((21, 6, 3)).astype(dtype)
    v = rng.standard_normal((21, 6, 2)).astype(dtype)
    trials = (x, None, np.ones((21, 6), dtype), network.start(None, None, 21), None)
    entries, expected, count = [], [], 0
    for gate, schur in enumerate(schurs):
        _, parts = reference.pair_labels(schur.T)
        if gate == 1:
            parts = []  # a gate without labels
        labels = np.full((9, 9), -1)
        D = np.zeros((9, 9))
        for part in parts:
            labels[part != 0] = count
            D += part
            count += 1
        entries.append((schur.Q, D, labels))
        operands, deltas = np.empty((2, 21, 6, 9), dtype)
        _core.adjoints(network.core_arguments(), gate, trials, v, operands, deltas, 1)
        wide = deltas.astype(np.float64), operands.astype(np.float64)
        expected.append(reference.features(*wide, schur.Q, parts))
    expected = np.concatenate(expected, axis=1)
    found = np.empty((21, count), dtype)
    _core.coupling_features(network.core_arguments(), entries, trials, v, found, 2)
    assert relative(found, expected) < tolerance
    again = np.empty_like(found)
    _core.coupling_features(network.core_arguments(), entries, trials, v, again, 1)
    assert again.tobytes() == found.tobytes()


def test_saturated_gates_stay_finite(rng):
    for cell, scale in itertools.product(KINDS.values(), (30.0, 1e4)):
        network = gated_network(cell, rng, np.float32)
        inputs = (scale * rng.standard_normal((20, 6, 3))).astype(np.float32)
        _, states = reference.gated_rollout(network, inputs)
        assert relative(network.states(inputs), states) < 1e-4
