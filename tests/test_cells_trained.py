"""Gradients and training of every cell: exact, against central differences and PyTorch."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import reference
import schurscope as ss
from frameworks import framework
from schurscope import _core
from schurscope.networks.cell import ACTIVATIONS
from small_cells import BIASES, SIZES, cell_of, forms_read, leaks


@forms_read
@leaks
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_agree_with_central_differences(rng, activation, form, readout, leak):
    n_h, n_x, n_y = sizes = (5, 2, 2)
    output = {"tanh": "sigmoid", "softplus": "tanh", "relu": "softplus"}.get(activation, "identity")
    cell = cell_of(activation, form, readout, leak, n_h, output=output, noise=1)
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
    value = _core.loss_gradient(
        theta, (*sizes, -1, True, True, False), cell.names, trials, gradient
    )
    assert value == pytest.approx(loss(theta), rel=1e-12)
    expected = reference.central_differences(loss, theta)
    np.testing.assert_allclose(gradient, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("sizes", SIZES[:-1], ids=str)
@forms_read
@leaks
def test_gradients_agree_with_autograd(rng, form, readout, leak, sizes):
    torch = framework("torch")
    n_h, n_x, n_y = sizes
    cell = cell_of("sigmoid", form, readout, leak, n_h, output="tanh", noise=1)
    h_0, noise = rng.standard_normal((37, n_h)), rng.standard_normal((37, 6, n_h)) / 4
    inputs, targets = rng.standard_normal((37, 6, n_x)), rng.standard_normal((37, 6, n_y))
    weights = rng.uniform(0.1, 2, (37, 6))
    weights[:, 2] = 0
    for has_b_h, has_b_y in BIASES:
        theta = rng.normal(0, 0.4, n_h * (n_h + n_x + n_y) + n_h * has_b_h + n_y * has_b_y)
        leaf = torch.from_numpy(theta.copy()).requires_grad_()
        shapes = [(n_h, n_h), (n_h, n_x), (n_y, n_h), (n_h * has_b_h,), (n_y * has_b_y,)]
        parts = torch.split(leaf, [math.prod(shape) for shape in shapes])
        W_hh, W_xh, W_hy, b_h, b_y = map(torch.reshape, parts, shapes)
        x, y, xi = (torch.from_numpy(part) for part in (inputs, targets, noise))
        h, loss = torch.from_numpy(h_0), 0
        a = torch.as_tensor(np.array(cell.leak))
        for t in range(6):
            rates = h if form == "rate" else torch.sigmoid(h)
            z = rates @ W_hh.T + x[:, t] @ W_xh.T + xi[:, t]
            z = z + b_h if has_b_h else z
            h = (1 - a) * h + a * (torch.sigmoid(z) if form == "rate" else z)
            read = torch.sigmoid(h) if (form, readout) == ("current", "rates") else h
            u = read @ W_hy.T
            error = torch.tanh(u + b_y if has_b_y else u) - y[:, t]
            loss = loss + (torch.from_numpy(weights[:, t, None]) * error**2).sum()
        loss = loss / (n_y * weights.sum())
        loss.backward()
        gradient = np.empty_like(theta)
        layout = (*sizes, -1, has_b_h, has_b_y, False)
        trials = (inputs, targets, weights, h_0, noise)
        value = _core.loss_gradient(theta, layout, cell.names, trials, gradient)
        assert value == pytest.approx(loss.item(), rel=1e-12)
        np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(
    "cell",
    [
        ss.Cell("relu", leak=0.5),
        cell_of("relu", "rate", "rates", "of units", 24),
        cell_of("tanh", "current", "hidden", "of units", 24),
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
