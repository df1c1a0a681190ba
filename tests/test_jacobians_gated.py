"""Jacobians and fixed points of GRU and LSTM, against autograd and the core."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import schurscope as ss
from frameworks import framework
from small_gated import gated_network, kinds, torch_module


@pytest.fixture
def inputs(rng):
    return rng.standard_normal((4, 6, 3))


def starts_of(network, rng, n):
    """h_0 and, for an LSTM, c_0 of n trials, as arguments of `rollout`; and as states."""
    h_0, c_0 = rng.standard_normal((2, n, network.n_hidden)) / 2
    if network.cell.kind == "lstm":
        return {"h_0": h_0, "c_0": c_0}, np.concatenate([h_0, c_0], axis=1)
    return {"h_0": h_0}, h_0


def torch_step(network, torch):
    """The state and x_t → the next state, by the equations of `Cell`, in PyTorch."""
    W, U, b = (
        {name: torch.tensor(np.array(getattr(gate, part))) for name, gate in network.gates.items()}
        for part in ("W_hh", "W_xh", "b_h")
    )
    b_hn = 0 if network.b_hn is None else torch.tensor(np.array(network.b_hn))
    sigmoid, tanh = torch.sigmoid, torch.tanh

    def gru(h, x):
        u = {gate: U[gate] @ x + b[gate] for gate in "rzn"}
        r, z = (sigmoid(u[gate] + W[gate] @ h) for gate in "rz")
        if network.cell.reset == "before":
            n = tanh(u["n"] + W["n"] @ (r * h))
        else:
            n = tanh(u["n"] + r * (W["n"] @ h + b_hn))
        return (1 - z) * n + z * h

    def lstm(state, x):
        h, c = state[: network.n_hidden], state[network.n_hidden :]
        a = {gate: U[gate] @ x + b[gate] + W[gate] @ h for gate in "ifgo"}
        c = sigmoid(a["f"]) * c + sigmoid(a["i"]) * tanh(a["g"])
        return torch.cat([sigmoid(a["o"]) * tanh(c), c])

    return gru if network.cell.kind == "gru" else lstm


@kinds
def test_the_jacobian_is_that_of_autograd(cell, rng):
    torch = framework("torch")
    network = gated_network(cell, rng)
    step = torch_step(network, torch)
    x = rng.standard_normal((5, 3))
    _, states = starts_of(network, rng, 5)
    found = ss.jacobians(network, x, states=states)
    assert found[0].matrix.shape == (states.shape[1],) * 2
    for place, jacobian in enumerate(found):
        given = torch.tensor(x[place])
        wanted = torch.autograd.functional.jacobian(
            lambda h, x=given: step(h, x), torch.tensor(states[place])
        ).numpy()
        np.testing.assert_allclose(jacobian.matrix, wanted, rtol=1e-12, atol=1e-12)


@kinds
def test_the_jacobian_is_the_slope_of_the_rollout_in_the_core(cell, rng):
    network = gated_network(cell, rng)
    n = network.n_hidden
    x = rng.standard_normal((1, 3))
    starts, states = starts_of(network, rng, 1)
    (jacobian,) = ss.jacobians(network, x, states=states)
    width = 1e-6
    for name, first in [("h_0", 0)] + [("c_0", n)] * (cell.kind == "lstm"):
        for unit in range(n):
            ends = []
            for side in (width, -width):
                moved = {key: start.copy() for key, start in starts.items()}
                moved[name][0, unit] += side
                ends.append(network.states(x[None], **moved)[0, 0])
            slope = (ends[0] - ends[1]) / (2 * width)
            np.testing.assert_allclose(jacobian.matrix[:n, first + unit], slope, atol=1e-8)


@kinds
def test_the_states_of_trajectories_are_those_of_the_module(cell, rng, inputs):
    torch = framework("torch")
    if cell.reset == "before":
        pytest.skip("PyTorch resets after")
    network = gated_network(cell, rng)
    given, start = starts_of(network, rng, 4)
    found = ss.jacobians(network, inputs, **given)
    size = start.shape[1]
    states = found.states.reshape(4, 6, size)
    np.testing.assert_array_equal(states[:, 0], start)
    module, _ = torch_module(network)
    state = tuple(torch.tensor(part[None]) for part in given.values())
    for t in range(5):
        with torch.no_grad():
            first = state if cell.kind == "lstm" else state[0]
            _, after = module(torch.tensor(inputs[:, [t]]), first)
        state = after if cell.kind == "lstm" else (after,)
        flat = np.concatenate([part[0].numpy() for part in state], axis=1)
        np.testing.assert_allclose(states[:, t + 1], flat, atol=1e-12)
    own = ss.jacobians(network, inputs)
    start = [network.h_0] + [network.c_0] * (cell.kind == "lstm")
    np.testing.assert_array_equal(own.states[0], np.concatenate(start))


@kinds
def test_fixed_points_stay_where_they_are_in_the_core(cell, rng):
    network = gated_network(cell, rng)
    _, states = starts_of(network, rng, 12)
    x = rng.standard_normal((2, 3))
    found = ss.fixed_points(network, x, starts=states)
    assert len(found)
    assert found.unconverged.sum() + found.hits.sum() == 24
    n = network.n_hidden
    for place, state in enumerate(found.states):
        start = {"h_0": state[None, :n]} | ({"c_0": state[None, n:]} if len(state) > n else {})
        after = network.states(x[[found.condition[place]], None], **start)[0, 0]
        np.testing.assert_allclose(after, state[:n], atol=1e-9)
    radii = [np.abs(np.linalg.eigvals(found.jacobians[i].matrix)).max() for i in range(len(found))]
    np.testing.assert_allclose(found.spectral_radii, radii, rtol=1e-9)


def test_a_gru_without_weights_has_a_line_of_half_speed():
    # z = r = 1/2 and n = 0: h' = h / 2.
    zeros = np.zeros((6, 2))
    network = ss.Network(zeros, np.zeros((6, 1)), np.ones((1, 2)), cell=ss.Cell(kind="gru"))
    found = ss.fixed_points(network, starts=[[1.0, -2.0]])
    np.testing.assert_allclose(found.states, [[0, 0]], atol=1e-12)
    np.testing.assert_allclose(found.jacobians[0].matrix, np.eye(2) / 2, atol=1e-15)


def test_an_lstm_that_keeps_its_cell_state():
    # Forget gate open, input gate shut: c stays, h = tanh(c) / 2, and J has an eigenvalue of 1.
    b_h = np.array([-800.0, 800.0, 0.0, 0.0])
    network = ss.Network(
        np.zeros((4, 1)), np.zeros((4, 1)), [[1.0]], b_h, cell=ss.Cell(kind="lstm")
    )
    found = ss.fixed_points(network, starts=[[0.0, 0.7]])
    np.testing.assert_allclose(found.states, [[np.tanh(0.7) / 2, 0.7]], atol=1e-12)
    slope = (1 - np.tanh(0.7) ** 2) / 2
    np.testing.assert_allclose(found.jacobians[0].matrix, [[0, slope], [0, 1]], atol=1e-12)
    assert found.spectral_radii[0] == pytest.approx(1)


def test_states_of_an_lstm_are_h_and_c(rng):
    network = gated_network(ss.Cell(kind="lstm"), rng)
    with pytest.raises(ValueError, match=r"shape \(n, 34\) .*h followed by c, .*, got \(2, 17"):
        ss.jacobians(network, states=np.zeros((2, 17)))
    with pytest.raises(ValueError, match=r"starts must have shape \(n, 34\)"):
        ss.fixed_points(network, starts=np.zeros((2, 17)))
    with pytest.raises(ValueError, match="c_0 must be None where states are given"):
        ss.jacobians(network, states=np.zeros((2, 34)), c_0=np.zeros((2, 17)))
    gru = gated_network(ss.Cell(kind="gru"), rng)
    with pytest.raises(ValueError, match="c_0"):
        ss.jacobians(gru, np.zeros((2, 4, 3)), c_0=np.zeros((2, 17)))


@kinds
def test_noise_and_precision(cell, rng):
    network = gated_network(cell, rng, np.float32)
    noisy = replace(network, cell=replace(cell, noise=0.3))
    _, states = starts_of(network, rng, 2)
    one, other = (ss.jacobians(each, states=states) for each in (network, noisy))
    assert one.network.dtype == np.float64
    assert one[1].matrix.tobytes() == other[1].matrix.tobytes()
