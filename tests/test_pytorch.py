"""Recurrent weights of PyTorch modules: replaced temporarily, never permanently."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import reference
from frameworks import framework
from schurscope import ablate_with, tasks
from schurscope.networks.pytorch import RecurrentWeight

torch = framework("torch")

README = Path(__file__).parents[1] / "README.md"
GATES = {"GRU": "rzn", "LSTM": "ifgo"}
N_H, N_X = 5, 3


def module_of(kind, dtype=torch.float64, **options):
    torch.manual_seed(1)
    return getattr(torch.nn, kind)(N_X, N_H, dtype=dtype, **options)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def plain_gru(W, x):
    """h_t of one trial by the textbook's equations; W holds each gate's matrices and biases."""
    h, states = np.zeros(N_H), []
    for x_t in x:
        from_x = {g: W["ih", g] @ x_t + W["b_ih", g] for g in "rzn"}
        from_h = {g: W["hh", g] @ h + W["b_hh", g] for g in "rzn"}
        r, z = (sigmoid(from_x[g] + from_h[g]) for g in "rz")
        n = np.tanh(from_x["n"] + r * from_h["n"])
        h = (1 - z) * n + z * h
        states.append(h)
    return np.array(states)


def plain_lstm(W, x):
    h, c, states = np.zeros(N_H), np.zeros(N_H), []
    for x_t in x:
        a = {g: W["ih", g] @ x_t + W["b_ih", g] + W["hh", g] @ h + W["b_hh", g] for g in "ifgo"}
        c = sigmoid(a["f"]) * c + sigmoid(a["i"]) * np.tanh(a["g"])
        h = sigmoid(a["o"]) * np.tanh(c)
        states.append(h)
    return np.array(states)


PLAIN = {"GRU": plain_gru, "LSTM": plain_lstm}


def by_gate(module, gates):
    """(kind, gate) → array, by the layout that PyTorch documents."""
    names = {"ih": "weight_ih", "hh": "weight_hh", "b_ih": "bias_ih", "b_hh": "bias_hh"}
    suffix = "" if hasattr(module, "weight_hh") else "_l0"
    arrays = {}
    for short, name in names.items():
        whole = getattr(module, name + suffix).detach().numpy().copy()
        for gate, part in zip(gates, np.split(whole, len(gates)), strict=True):
            arrays[short, gate] = part
    return arrays


def test_the_package_does_without_pytorch_and_neurogym():
    code = "import sys, schurscope as ss; ss.pytorch.RecurrentWeight; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "neurogym", "gymnasium", "jax"} & set(run.stdout.split())


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_a_gate_of_a_layer_is_that_gate(kind, rng):
    module = module_of(kind)
    x = rng.standard_normal((6, N_X))
    for gate in GATES[kind]:
        W = by_gate(module, GATES[kind])
        weight = RecurrentWeight(module, "weight_hh_l0", gate=gate)
        assert weight.matrix().tobytes() == W["hh", gate].tobytes()
        W["hh", gate] = rng.standard_normal((N_H, N_H))
        with weight.replaced(W["hh", gate]), torch.no_grad():
            states = module(torch.from_numpy(x))[0]
        np.testing.assert_allclose(states, PLAIN[kind](W, x), atol=1e-12)


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_a_gate_of_a_cell_is_that_gate(kind):
    module = module_of(f"{kind}Cell")
    for gate in GATES[kind]:
        weight = RecurrentWeight(module, "weight_hh", gate=gate)
        assert weight.matrix().tobytes() == by_gate(module, GATES[kind])["hh", gate].tobytes()


def state_of(module):
    """Everything of the parameters that must survive."""
    return {
        name: (
            id(p),
            p.data_ptr(),
            p.dtype,
            p.device,
            p.requires_grad,
            p.detach().numpy().tobytes(),
            id(p.grad),
            None if p.grad is None else p.grad.numpy().tobytes(),
        )
        for name, p in module.named_parameters()
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("frozen", [False, True])
def test_the_module_is_as_it_was(dtype, frozen):
    module = module_of("RNN", dtype)
    module(torch.ones(4, N_X, dtype=dtype))[0].sum().backward()
    module.weight_hh_l0.requires_grad_(not frozen)
    with torch.no_grad():
        module.weight_hh_l0[0, 0] = -0.0  # a sign that arithmetic would lose
    before = state_of(module)
    weight = RecurrentWeight(module, "weight_hh_l0")
    W = np.arange(25.0).reshape(5, 5) / 7
    with weight.replaced(W):
        assert module.weight_hh_l0.detach().numpy().tobytes() == W.astype(str(dtype)[6:]).tobytes()
        with weight.replaced(-W):
            assert module.weight_hh_l0[1, 1] < 0
        assert weight.matrix()[1, 1] > 0
        inside = state_of(module)
    assert state_of(module) == before
    assert {n for n in before if inside[n] != before[n]} == {"weight_hh_l0"}

    with pytest.raises(ZeroDivisionError), weight.replaced(W):
        _ = 1 / 0
    assert state_of(module) == before
    for bad in (W[:4], np.full((5, 5), np.nan), "W"):
        with pytest.raises((TypeError, ValueError), match="W "), weight.replaced(bad):
            pytest.fail("must not get here")
    assert state_of(module) == before


def test_gradients_inside_are_those_of_the_other_weight():
    module, other = module_of("RNN"), module_of("RNN")
    W = torch.eye(N_H, dtype=torch.float64) / 2
    with torch.no_grad():
        other.weight_hh_l0.copy_(W)
    x = torch.ones(4, N_X, dtype=torch.float64)
    other(x)[0].sum().backward()
    with RecurrentWeight(module, "weight_hh_l0").replaced(W):
        module(x)[0].sum().backward()
    torch.testing.assert_close(module.weight_hh_l0.grad, other.weight_hh_l0.grad)


def test_a_backward_pass_across_the_end_is_refused_not_wrong():
    module = module_of("RNN")
    with RecurrentWeight(module, "weight_hh_l0").replaced(np.eye(N_H)):
        loss = module(torch.ones(4, N_X, dtype=torch.float64))[0].sum()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_matrix_is_a_copy_and_rows_are_for_other_modules(rng):
    module = torch.nn.Module()
    module.gates = torch.nn.Parameter(torch.from_numpy(rng.standard_normal((8, 4))))
    weight = RecurrentWeight(module, "gates", rows=slice(4, 8))
    matrix = weight.matrix()
    assert np.array_equal(matrix, module.gates.detach()[4:])
    matrix[:] = 0
    assert weight.matrix().any()
    first = module.gates.detach()[:4].clone()
    with weight.replaced(matrix):
        assert not module.gates[4:].any()
        assert torch.equal(module.gates[:4], first)


def parametrized():
    module = module_of("RNN")
    return torch.nn.utils.parametrizations.orthogonal(module, "weight_hh_l0")


BAD = [
    (lambda: [3, "weight_hh_l0"], TypeError, "module must be a torch.nn.Module, got int"),
    (lambda: [module_of("RNN"), "weight_hh"], ValueError, "did you mean 'weight_hh_l0'"),
    (
        lambda: [torch.nn.Sequential(module_of("RNN")), "weight_hh_l0"],
        ValueError,
        "module must own the parameter 'weight_hh_l0', got Sequential, whose submodule 0 owns it",
    ),
    (lambda: [parametrized(), "weight_hh_l0"], ValueError, "which is parametrized; remove_"),
    (lambda: [module_of("RNN").half(), "weight_hh_l0"], TypeError, r"got torch.float16; convert"),
    (
        lambda: [module_of("RNN"), "weight_ih_l0"],
        ValueError,
        r"square matrix, got \(5, 3\); give r",
    ),
    (lambda: [module_of("RNN"), "bias_hh_l0"], ValueError, r"must be a square matrix, got \(5,\)"),
    (
        lambda: [module_of("GRU"), "weight_hh_l0"],
        ValueError,
        r"weight_hh_l0 must be a square matrix, got \(15, 5\); name one gate of 'r', 'z', 'n'",
    ),
    (lambda: [module_of("GRU"), "weight_hh_l0", "i"], ValueError, "gate must be one of 'r', 'z'"),
    (lambda: [module_of("RNN"), "weight_hh_l0", "n"], ValueError, "gate must be None for RNN"),
    (
        lambda: [module_of("LSTM", proj_size=2), "weight_hh_l0", "i"],
        ValueError,
        r"gate 'i' of weight_hh_l0 must be a square matrix, got \(5, 2\)$",
    ),
    (lambda: [module_of("GRU"), "weight_hh_l0", "n", slice(5)], ValueError, "gate and rows must"),
    (lambda: [module_of("GRU"), "weight_hh_l0", None, 5], TypeError, "rows must be a slice, got 5"),
    (
        lambda: [module_of("GRU"), "weight_hh_l0", None, slice(4)],
        ValueError,
        r"the rows of weight_hh_l0 must be a square matrix, got \(4, 5\)$",
    ),
]


@pytest.mark.parametrize(("arguments", "error", "message"), BAD)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        RecurrentWeight(*arguments())


class Model(torch.nn.Module):
    def __init__(self, n_inputs, n_hidden, n_outputs):
        super().__init__()
        self.gru = torch.nn.GRU(n_inputs, n_hidden, num_layers=2, batch_first=True)
        self.readout = torch.nn.Linear(n_hidden, n_outputs)

    def forward(self, inputs):
        return self.readout(self.gru(inputs)[0])


@pytest.fixture(scope="module")
def trained():
    """A GRU of two layers that has learnt a flip-flop, and trials to judge it."""
    task = tasks.FlipFlop(n_steps=15)
    torch.manual_seed(0)
    model = Model(task.n_inputs, 24, task.n_outputs)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    rng = np.random.default_rng(0)
    # On a busy machine, threads that wait for each other take forty times as long.
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in range(150):
        batch = task.trials(64, rng, np.float32)
        loss = (model(torch.tensor(batch.inputs)) - torch.tensor(batch.targets)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.set_num_threads(n_threads)
    return model, task.trials(200, 1, np.float32)


def test_the_readme_ablates_a_gate_of_a_trained_gru(trained, capsys):
    model, trials = trained
    before = state_of(model)
    text = README.read_text(encoding="utf-8")
    code = re.search(r"```python\n((?:(?!```).)*RecurrentWeight.*?)```", text, re.DOTALL)[1]
    scope = {"model": model, "trials": trials}
    exec(code, scope)
    profile = scope["profile"]
    assert state_of(model) == before
    assert str(profile) in capsys.readouterr().out

    # The same without the package: a copy of the model, and the reference's ablated matrix.
    W = model.gru.weight_hh_l1.detach()[48:].numpy()
    for row in profile:
        names = () if row.name == "full" else row.name.split("+")
        W_ablated, mass = reference.ablated(W, names, 0.9)
        other = copy.deepcopy(model)
        with torch.no_grad():
            other.gru.weight_hh_l1[48:] = torch.from_numpy(W_ablated)
            outputs = other(torch.tensor(trials.inputs)).numpy()
        error = reference.fvu(outputs, trials.targets, trials.step_weights)
        assert row.value == pytest.approx(error, rel=1e-4)
        assert row.removed_mass == pytest.approx(mass, abs=1e-6)
    assert profile.value[0] < 0.02  # it has learnt the task, which the couplings matter to
    low, _ = profile.interval().change[profile.names.index("RR+CR+CC")]
    assert low > 0.003


def test_the_model_survives_a_failing_evaluation(trained):
    model, trials = trained
    before = state_of(model)
    weight = RecurrentWeight(model.gru, "weight_hh_l0", gate="z")

    def evaluate(W):
        with weight.replaced(W):
            return model(torch.tensor(trials.inputs[:, :, :1])).sum(dim=(1, 2))

    with pytest.raises(RuntimeError):
        ablate_with(weight.matrix(), evaluate)
    assert state_of(model) == before
