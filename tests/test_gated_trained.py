"""Gradients and training of gated networks against PyTorch and central differences."""

from __future__ import annotations

import numpy as np
import pytest

import reference
import schurscope as ss
from schurscope import _core
from schurscope.training import _flatten, _layout, _unflatten
from small_gated import gated_network, kinds, torch_run

PARAMETERS = ("W_hh", "W_xh", "W_hy", "b_h", "b_y", "b_hn")  # in the order of the vector


def core_trials(network, trials, noise=None):
    start = network.start(trials.h_0, trials.c_0, trials.n_trials)
    return trials.inputs, trials.targets, trials.step_weights, start, noise


def core_gradient(network, trials, noise=None):
    theta = _flatten(network)
    gradient = np.empty_like(theta)
    given = core_trials(network, trials, noise)
    loss = _core.loss_gradient(theta, _layout(network), network.cell.names, given, gradient)
    return loss, gradient


def random_trials(network, rng, n_trials, n_steps=6):
    def draw(*shape):
        return rng.standard_normal(shape).astype(network.dtype)

    weights = rng.uniform(0, 1, (n_trials, n_steps)).astype(network.dtype)
    weights[:, 2] = 0
    return ss.Trials(
        draw(n_trials, n_steps, network.n_inputs),
        draw(n_trials, n_steps, network.n_outputs),
        weights,
        draw(n_trials, network.n_hidden),
        draw(n_trials, network.n_hidden) if network.cell.kind == "lstm" else None,
    )


class Torch:
    """The loss in PyTorch, on tensors of the network's parameters."""

    def __init__(self, network):
        torch = pytest.importorskip("torch")
        self.network = network
        self.parts = {
            name: torch.tensor(np.array(array, np.float64), requires_grad=True)
            for name in PARAMETERS
            if (array := getattr(network, name)) is not None
        }

    def loss(self, trials, noise=None):
        import torch

        def tensor(array):
            return None if array is None else torch.tensor(np.array(array, np.float64))

        weights = tensor(trials.step_weights)
        h_0 = torch.zeros(trials.n_trials, self.network.n_hidden, dtype=torch.float64)
        h_0 = h_0 if trials.h_0 is None else tensor(trials.h_0)
        c_0 = torch.zeros_like(h_0) if trials.c_0 is None else tensor(trials.c_0)
        outputs, _ = torch_run(
            self.network, self.parts, tensor(trials.inputs), h_0, c_0, tensor(noise)
        )
        squares = ((outputs - tensor(trials.targets)) ** 2).sum(2)
        return (weights * squares).sum() / (weights.sum() * trials.n_outputs)

    def flat(self, gradient=False):
        parts = [part.grad if gradient else part.detach() for part in self.parts.values()]
        return np.concatenate([part.numpy().ravel() for part in parts])


@kinds
@pytest.mark.parametrize("sizes", [(1, 1, 1), (5, 2, 3), (17, 3, 8), (64, 3, 2)], ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 2e-5)])
def test_gradients_are_those_of_autograd(rng, cell, sizes, dtype, tolerance):
    for biases, n_trials in [(True, 70), (False, 5), ({"b_h"}, 1), ({"b_hn", "b_y"}, 19)]:
        network = gated_network(cell, rng, dtype, sizes, biases, starts=False)
        trials = random_trials(network, rng, n_trials)
        noise = 0.3 * rng.standard_normal((n_trials, 6, sizes[0])).astype(dtype)
        noise = None if n_trials == 5 else noise.astype(dtype)
        loss, gradient = core_gradient(network, trials, noise)
        peer = Torch(network)
        expected = peer.loss(trials, noise)
        expected.backward()
        assert loss == pytest.approx(expected.item(), rel=tolerance)
        wanted = peer.flat(gradient=True)
        np.testing.assert_allclose(gradient, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


@kinds
def test_gradients_are_central_differences(rng, cell):
    network = gated_network(cell, rng, sizes=(5, 2, 3), starts=False)
    trials = random_trials(network, rng, 9)

    def loss(theta):
        changed = _unflatten(theta, network)
        outputs, _ = reference.gated_rollout(changed, trials.inputs, trials.h_0, trials.c_0)
        squares = np.square(outputs - trials.targets).sum(axis=2)
        return (trials.weights * squares).sum() / (3 * trials.weights.sum())

    _, gradient = core_gradient(network, trials)
    expected = reference.central_differences(loss, _flatten(network))
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-6)


@kinds
@pytest.mark.parametrize("kind", ["Adam", "AdamW"])
def test_steps_of_adam_are_those_of_pytorch(rng, cell, kind):
    torch = pytest.importorskip("torch")
    network = gated_network(cell, rng, sizes=(17, 3, 2), starts=False)
    trials = random_trials(network, rng, 100 * 7, n_steps=4)
    theta = _flatten(network)
    first, second, losses = np.zeros_like(theta), np.zeros_like(theta), np.empty(100)
    decay = 0.02
    options = (1e-3, 0.9, 0.999, 1e-8, decay, kind == "AdamW", np.inf)
    _core.train(
        (theta, first, second),
        0,
        _layout(network),
        network.cell.names,
        core_trials(network, trials),
        7,
        options,
        losses,
    )
    peer = Torch(network)
    optimizer = getattr(torch.optim, kind)(peer.parts.values(), lr=1e-3, weight_decay=decay)
    for batch in range(100):
        optimizer.zero_grad()
        loss = peer.loss(trials[7 * batch : 7 * batch + 7])
        loss.backward()
        optimizer.step()
        assert losses[batch] == pytest.approx(loss.item(), rel=1e-9)
    np.testing.assert_allclose(theta, peer.flat(), rtol=0, atol=1e-9)


@kinds
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_training_learns_and_keeps_what_it_does_not_train(rng, cell, dtype):
    network = gated_network(cell, rng, dtype, (16, 3, 3))
    task = ss.tasks.FlipFlop()
    result = ss.train(network, task, epochs=2, batches_per_epoch=64, learning_rate=5e-3, rng=1)
    assert result.loss[-10:].mean() < 0.7 * result.loss[:10].mean()
    trained = result.network
    assert trained.cell == cell
    assert trained.dtype == dtype
    for name in ("h_0", "c_0"):
        before, after = getattr(network, name), getattr(trained, name)
        assert (before is None) == (after is None)
        assert before is None or before.tobytes() == after.tobytes()
    for name in PARAMETERS:
        before, after = getattr(network, name), getattr(trained, name)
        assert (before is None) == (after is None)
        assert before is None or not np.array_equal(before, after)


@kinds
def test_noise_in_training_repeats_with_its_seed(rng, cell):
    noisy = ss.Cell(kind=cell.kind, reset=cell.reset, noise=0.1)
    network = gated_network(noisy, rng, np.float32, (9, 3, 3))
    task = ss.tasks.FlipFlop()
    runs = [
        ss.train(network, task, epochs=1, batches_per_epoch=4, rng=seed).loss for seed in (1, 1, 2)
    ]
    assert runs[0].tobytes() == runs[1].tobytes() != runs[2].tobytes()
