"""Gradients, optimisers and the training loop, against PyTorch and finite differences."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest

import reference
from frameworks import Lazily
from schurscope import Cayley, Cell, Network, Trials, _core, init_network, train
from schurscope.training import TrainingOptions
from schurscope.trials.tasks import Copy, FlipFlop, SineGeneration

torch = Lazily("torch")

N_H, N_X, N_Y, N_PAIRS = 7, 3, 2, 2
SIZES = (N_H, N_X, N_Y)
PARAMETRISATIONS = {"dense": -1, "cayley": N_PAIRS}
PLAIN = Cell().names
both = pytest.mark.parametrize("n_pairs", PARAMETRISATIONS.values(), ids=PARAMETRISATIONS.keys())
biases = pytest.mark.parametrize("biased", [(False, False), (True, False), (True, True)])


def n_parameters(n_pairs, biased):
    recurrent = N_H * N_H + (0 if n_pairs < 0 else N_H)
    return recurrent + N_H * N_X + N_Y * N_H + N_H * biased[0] + N_Y * biased[1]


def batch(rng, n_trials=5, n_steps=6):
    """Random trials; one step of each has no weight."""
    weights = rng.uniform(0.1, 2.0, (n_trials, n_steps))
    weights[np.arange(n_trials), rng.integers(n_steps, size=n_trials)] = 0
    inputs = rng.standard_normal((n_trials, n_steps, N_X))
    return inputs, rng.standard_normal((n_trials, n_steps, N_Y)), weights


def torch_loss(theta, n_pairs, biased, inputs, targets, weights):
    """The loss as a PyTorch function of the parameter vector."""
    shapes = [(N_H, N_H)] if n_pairs < 0 else [(N_H, N_H), (n_pairs, 2), (N_H - 2 * n_pairs,)]
    shapes += [(N_H, N_X), (N_Y, N_H)] + [(N_H,)] * biased[0] + [(N_Y,)] * biased[1]
    parts = torch.split(theta, [math.prod(shape) for shape in shapes])
    parts = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
    W_hh = parts.pop(0)
    if n_pairs >= 0:
        pairs, reals = parts.pop(0), parts.pop(0)
        eye = torch.eye(N_H, dtype=theta.dtype)
        A = (W_hh - W_hh.T) / 2
        rotation = (eye - A) @ torch.linalg.inv(eye + A)
        turn = torch.tensor([[[1.0, 0], [0, 1]], [[0, -1.0], [1, 0]]], dtype=theta.dtype)
        blocks = [a * turn[0] + b * turn[1] for a, b in pairs] + [r.reshape(1, 1) for r in reals]
        W_hh = rotation @ torch.block_diag(*blocks) @ rotation.T
    W_xh, W_hy = parts.pop(0), parts.pop(0)
    b_h = parts.pop(0) if biased[0] else 0.0
    b_y = parts.pop(0) if biased[1] else 0.0
    inputs, targets, weights = (torch.from_numpy(part) for part in (inputs, targets, weights))
    state = torch.zeros(len(inputs), N_H, dtype=theta.dtype)
    loss = torch.zeros((), dtype=theta.dtype)
    for step in range(inputs.shape[1]):
        state = torch.tanh(inputs[:, step] @ W_xh.T + state @ W_hh.T + b_h)
        error = ((state @ W_hy.T + b_y - targets[:, step]) ** 2).sum(dim=1)
        loss = loss + (weights[:, step] * error).sum()
    return loss / (N_Y * weights.sum())


def core_gradient(theta, n_pairs, biased, data):
    gradient = np.empty_like(theta)
    trials = (*data, None, None)
    loss = _core.loss_gradient(theta, (*SIZES, n_pairs, *biased, False), PLAIN, trials, gradient)
    return loss, gradient


@both
@biases
def test_gradient_agrees_with_central_differences(rng, n_pairs, biased):
    data = batch(rng)
    theta = rng.normal(0, 0.4, n_parameters(n_pairs, biased))

    def loss(parameters):
        named = reference.unflatten(parameters, *SIZES, n_pairs, *biased)
        return reference.loss(named, *data)

    value, gradient = core_gradient(theta, n_pairs, biased, data)
    assert value == pytest.approx(loss(theta), rel=1e-13)
    expected = reference.central_differences(loss, theta)
    np.testing.assert_allclose(gradient, expected, atol=1e-6 * np.abs(expected).max())


@both
@biases
def test_gradient_agrees_with_autograd(rng, n_pairs, biased):
    data = batch(rng, n_trials=37, n_steps=15)
    theta = rng.normal(0, 0.4, n_parameters(n_pairs, biased))
    value, gradient = core_gradient(theta, n_pairs, biased, data)
    leaf = torch.from_numpy(theta.copy()).requires_grad_()
    loss = torch_loss(leaf, n_pairs, biased, *data)
    loss.backward()
    assert value == pytest.approx(loss.item(), rel=1e-12)
    expected = leaf.grad.numpy()
    np.testing.assert_allclose(gradient, expected, atol=1e-10 * np.abs(expected).max())


@both
def test_float32_gradient_is_that_of_float64_rounded(rng, n_pairs):
    data = tuple(part.astype(np.float32) for part in batch(rng))
    theta = rng.normal(0, 0.4, n_parameters(n_pairs, (True, True))).astype(np.float32)
    _, single = core_gradient(theta, n_pairs, (True, True), data)
    wide = tuple(part.astype(np.float64) for part in data)
    _, double = core_gradient(theta.astype(np.float64), n_pairs, (True, True), wide)
    np.testing.assert_allclose(single, double, atol=2e-6 * np.abs(double).max())


@both
@pytest.mark.parametrize("decoupled", [False, True], ids=["adam", "adamw"])
@pytest.mark.parametrize("clip", [math.inf, 0.05], ids=["free", "clipped"])
def test_hundred_steps_agree_with_torch(rng, n_pairs, decoupled, clip):
    steps, size, biased, rate, decay = 100, 4, (True, True), 0.01, 0.1
    data = batch(rng, n_trials=steps * size)
    theta = rng.normal(0, 0.4, n_parameters(n_pairs, biased))
    leaf = torch.from_numpy(theta.copy()).requires_grad_()
    make = torch.optim.AdamW if decoupled else torch.optim.Adam
    optimizer = make([leaf], lr=rate, weight_decay=decay)
    expected = []
    for step in range(steps):
        optimizer.zero_grad()
        chosen = slice(step * size, (step + 1) * size)
        loss = torch_loss(leaf, n_pairs, biased, *(part[chosen] for part in data))
        loss.backward()
        if clip < math.inf:
            torch.nn.utils.clip_grad_norm_([leaf], clip)
        optimizer.step()
        expected.append(loss.item())

    losses, first, second = np.empty(steps), np.zeros_like(theta), np.zeros_like(theta)
    adam = (rate, 0.9, 0.999, 1e-8, decay, decoupled, clip)
    layout = (*SIZES, n_pairs, *biased, False)
    trials = (*data, None, None)
    _core.train((theta, first, second), 0, layout, PLAIN, trials, size, adam, losses)
    np.testing.assert_allclose(losses, expected, rtol=1e-9)
    np.testing.assert_allclose(theta, leaf.detach().numpy(), atol=1e-9)


def test_cayley_stays_normal_at_every_iterate(rng):
    theta = rng.normal(0, 0.6, n_parameters(N_PAIRS, (False, False)))
    first, second = np.zeros_like(theta), np.zeros_like(theta)
    start = theta.copy()
    for step in range(60):
        adam = (0.05, 0.9, 0.999, 1e-8, 0.01, True, math.inf)
        layout = (*SIZES, N_PAIRS, False, False, False)
        trials = (*batch(rng), None, None)
        _core.train((theta, first, second), step, layout, PLAIN, trials, 5, adam, np.empty(1))
        named = reference.unflatten(theta, *SIZES, N_PAIRS)
        W = Cayley(named["U"], named["pairs"], named["reals"]).matrix()
        assert np.linalg.norm(W @ W.T - W.T @ W) <= 1e-10 * np.linalg.norm(W) ** 2
    assert np.linalg.norm(theta - start) > 1


class Recorded:
    """A task that keeps the trials it made."""

    def __init__(self, task):
        self.task, self.made = task, []
        self.name, self.n_inputs, self.n_outputs = task.name, task.n_inputs, task.n_outputs

    def trials(self, n_trials, rng, dtype=np.float64):
        self.made.append(self.task.trials(n_trials, rng, dtype))
        return self.made[-1]


@pytest.mark.parametrize("recurrent", ["orthogonal", "cayley"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_training_is_these_steps_one_after_another(recurrent, optimizer):
    # 130 batches per epoch are made in two slabs; the optimiser must not notice.
    task = Recorded(Copy(2, 2, 3))
    network = init_network(task, 6, recurrent, 1, dtype=np.float64)
    result = train(
        network,
        task,
        epochs=2,
        batches_per_epoch=130,
        batch_size=3,
        optimizer=optimizer,
        learning_rate=0.01,
        weight_decay=0.02,
        clip=0.5,
        rng=2,
    )
    assert [trials.n_trials for trials in task.made] == [384, 6, 384, 6]
    data = [
        np.concatenate([getattr(trials, name) for trials in task.made])
        for name in ("inputs", "targets", "step_weights")
    ]
    cayley = network.cayley
    parts = [network.W_hh] if cayley is None else [cayley.U, cayley.pairs, cayley.reals]
    theta = np.concatenate([part.ravel() for part in [*parts, network.W_xh, network.W_hy]])
    n_pairs = -1 if cayley is None else len(cayley.pairs)
    first, second, losses = np.zeros_like(theta), np.zeros_like(theta), np.empty(260)
    adam = (0.01, 0.9, 0.999, 1e-8, 0.02, optimizer == "adamw", 0.5)
    layout = (6, 2, 2, n_pairs, False, False, False)
    trials = (*data, None, None)
    _core.train((theta, first, second), 0, layout, PLAIN, trials, 3, adam, losses)
    named = reference.unflatten(theta, 6, 2, 2, n_pairs)
    assert result.loss.tobytes() == losses.tobytes()
    assert np.array_equal(result.network.W_xh, named["W_xh"])
    assert np.array_equal(result.network.W_hy, named["W_hy"])
    if cayley is None:
        assert np.array_equal(result.network.W_hh, named["W_hh"])
    else:
        assert np.array_equal(result.network.cayley.U, named["U"])
        assert np.array_equal(result.network.W_hh, result.network.cayley.matrix())


def test_the_learning_rate_falls_by_the_same_factor_every_epoch():
    # Epochs of a constant rate, one after another, with the optimiser's state in between.
    task = Recorded(Copy(2, 2, 3))
    network = init_network(task, 6, "orthogonal", 1, dtype=np.float64)
    options = {"epochs": 3, "batches_per_epoch": 130, "batch_size": 3}
    rates = {"learning_rate": 0.01, "final_learning_rate": 0.0001}
    result = train(network, task, **options, **rates, rng=2)
    parts = (network.W_hh, network.W_xh, network.W_hy)
    theta = np.concatenate([part.ravel() for part in parts])
    first, second, losses = np.zeros_like(theta), np.zeros_like(theta), np.empty(390)
    layout = (6, 2, 2, -1, False, False, False)
    for epoch, rate in enumerate((0.01, 0.001, 0.0001)):
        slabs = task.made[2 * epoch : 2 * epoch + 2]
        names = ("inputs", "targets", "step_weights")
        data = [np.concatenate([getattr(trials, name) for trials in slabs]) for name in names]
        part = losses[130 * epoch : 130 * (epoch + 1)]
        adam = (rate, 0.9, 0.999, 1e-8, 0.0, False, math.inf)
        _core.train(
            (theta, first, second), 130 * epoch, layout, PLAIN, (*data, None, None), 3, adam, part
        )
    np.testing.assert_allclose(result.loss, losses, rtol=1e-9)
    np.testing.assert_allclose(result.network.W_hh.ravel(), theta[:36], rtol=1e-9)
    one = train(network, task, epochs=1, batches_per_epoch=4, **rates, rng=2)
    same = train(network, task, epochs=1, batches_per_epoch=4, learning_rate=0.01, rng=2)
    assert one.loss.tobytes() == same.loss.tobytes()


def test_biases_are_trained_where_there_are_some(dtype):
    task = SineGeneration(n_steps=12)
    bare = init_network(task, 8, "orthogonal", 0, dtype=dtype)
    zeros = np.zeros(8, dtype), np.zeros(1, dtype)
    biased = Network(bare.W_hh, bare.W_xh, bare.W_hy, *zeros)
    result = train(biased, task, epochs=1, batches_per_epoch=20, rng=1)
    assert (result.network.b_h != 0).all()
    assert (result.network.b_y != 0).all()
    assert result.network.dtype == dtype
    assert train(bare, task, epochs=1, batches_per_epoch=2, rng=1).network.b_h is None


def test_training_learns_repeats_and_leaves_the_network_alone(dtype):
    task = FlipFlop(n_steps=10)
    network = init_network(task, 16, "orthogonal", 0, dtype=dtype)
    before = network.W_hh.copy()
    options = {"epochs": 3, "batches_per_epoch": 100, "learning_rate": 0.005}
    result = train(network, task, **options, rng=1)
    assert result.loss.dtype == np.float64
    assert result.loss.shape == (300,)
    assert result.loss[-20:].mean() < 0.3 * result.loss[:5].mean()
    assert np.array_equal(network.W_hh, before)
    again = train(network, task, **options, rng=np.random.default_rng(1))
    assert again.loss.tobytes() == result.loss.tobytes()
    assert again.network.W_hh.tobytes() == result.network.W_hh.tobytes()
    assert train(network, task, **options, rng=2).loss.tobytes() != result.loss.tobytes()


def test_progress_hears_of_every_slab_and_may_end_the_training():
    task = FlipFlop(n_steps=5)
    network = init_network(task, 8, rng=0)
    calls = []
    result = train(
        network,
        task,
        epochs=2,
        batches_per_epoch=200,
        batch_size=2,
        rng=1,
        progress=lambda *state: calls.append(state),
    )
    assert [call[:2] for call in calls] == [(128, 400), (200, 400), (328, 400), (400, 400)]
    assert calls[-1][2] == result.loss[-1]

    def stop(done, _total, _loss):
        calls.append(done)
        raise KeyboardInterrupt

    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        train(network, task, epochs=2, batches_per_epoch=200, batch_size=2, rng=1, progress=stop)
    assert calls == [128]


def test_a_loss_that_is_not_finite_is_an_error_that_says_what_to_do():
    task = FlipFlop(n_steps=5)
    network = init_network(task, 8, rng=0)
    options = {"epochs": 1, "batches_per_epoch": 50, "learning_rate": 1e38, "rng": 1}
    with pytest.raises(FloatingPointError, match=r"step \d+: lower learning_rate .*or clip"):
        train(network, task, **options)
    with pytest.raises(FloatingPointError, match="lower learning_rate") as caught:
        train(network, task, **options, clip=1.0)
    assert "or clip" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs must be at least 1"),
        ({"batches_per_epoch": 1.5}, TypeError, "batches_per_epoch must be an integer"),
        ({"batch_size": -1}, ValueError, "batch_size must be at least 1"),
        ({"learning_rate": 0}, ValueError, "learning_rate must be greater than 0"),
        ({"learning_rate": math.nan}, ValueError, "learning_rate must be finite"),
        ({"weight_decay": -0.1}, ValueError, "weight_decay must be at least 0"),
        ({"clip": 0.0}, ValueError, "clip must be greater than 0"),
        ({"optimizer": "adamm"}, ValueError, "optimizer must be one of .*did you mean"),
        ({"rng": "seed"}, TypeError, "rng must be"),
    ],
)
def test_bad_options_are_named(options, error, message):
    task = FlipFlop()
    with pytest.raises(error, match=message):
        train(init_network(task, 8, rng=0), task, **{"rng": 0, **options})


def test_tasks_that_do_not_fit_are_named():
    network = init_network(FlipFlop(), 8, rng=0)
    with pytest.raises(ValueError, match="n_inputs = 1, the network n_inputs = 3"):
        train(network, SineGeneration(), rng=0)
    with pytest.raises(TypeError, match="task must have n_inputs, n_outputs and trials"):
        train(network, "flip-flop", rng=0)
    with pytest.raises(TypeError, match=r"write FlipFlop\(…\), an instance"):
        train(network, FlipFlop, rng=0)
    with pytest.raises(TypeError, match=r"network must be a schurscope\.Network, got dict"):
        train({}, FlipFlop(), rng=0)


class Careless:
    """A task whose trials are not what was asked for."""

    name, n_inputs, n_outputs = "careless", 3, 3

    def __init__(self, made):
        self.made = made

    def trials(self, n_trials, rng, dtype=np.float64):  # noqa: ARG002 - the task protocol
        return self.made


def test_trials_that_do_not_fit_are_named():
    network = init_network(FlipFlop(), 8, rng=0)
    few = Trials(np.zeros((2, 4, 3)), np.zeros((2, 4, 3)))
    with pytest.raises(ValueError, match=r"must return .*= \(128, 3, 3\), got \(2, 3, 3\)"):
        train(network, Careless(few), epochs=1, batches_per_epoch=2, rng=0)
    with pytest.raises(TypeError, match=r"task\.trials\(\) must return Trials, got tuple"):
        train(network, Careless((few.inputs, few.targets)), rng=0)


def test_the_options_of_training_are_checked_in_one_place():
    assert inspect.signature(train).parameters.keys() >= vars(TrainingOptions()).keys()
    for name, default in vars(TrainingOptions()).items():
        assert inspect.signature(train).parameters[name].default == default
    assert TrainingOptions(epochs=3, batches_per_epoch=7).n_updates == 21
    wrong = {"epochs": 0, "learning_rate": -1, "final_learning_rate": 0, "optimizer": "sgd"}
    for name, bad in {**wrong, "clip": 0}.items():
        with pytest.raises(ValueError, match=f"{name} must be"):
            TrainingOptions(**{name: bad})
