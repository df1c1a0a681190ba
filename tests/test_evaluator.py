"""`ss.pytorch.evaluator`: modules that the core runs too give the profiles of `ablate`."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import reference
import schurscope as ss
from frameworks import framework

torch = framework("torch")

N_H, N_X, N_Y = 10, 3, 2


class Model(torch.nn.Module):
    """A recurrent layer, or several, and a readout."""

    def __init__(self, kind="RNN", dtype=torch.float64, dropout=0.0, **options):
        super().__init__()
        torch.manual_seed(4)
        options = {"batch_first": True, **options}
        self.rnn = getattr(torch.nn, kind)(N_X, N_H, dtype=dtype, **options)
        self.dropout = torch.nn.Dropout(dropout)
        width = N_H * (2 if options.get("bidirectional") else 1)
        self.readout = torch.nn.Linear(width, N_Y, dtype=dtype)

    def forward(self, inputs):
        return self.readout(self.dropout(self.rnn(inputs)[0]))


@pytest.fixture
def sign_trials(rng):
    targets = np.sign(rng.standard_normal((20, 9, N_Y)))
    return ss.Trials(
        rng.standard_normal((20, 9, N_X)), targets, rng.integers(0, 3, (20, 9)).astype(float)
    )


def recurrent(model, name="weight_hh_l0", **options):
    return ss.pytorch.RecurrentWeight(model.rnn, name, **options)


def mean_error(outputs, trials):
    return np.abs(outputs - trials.targets).mean(axis=(1, 2))


MEASURES = ["fvu", "sign_accuracy", "replay_accuracy", "fidelity", mean_error]


@pytest.mark.parametrize("measure", MEASURES, ids=lambda m: getattr(m, "__name__", m))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_profile_is_that_of_the_core(sign_trials, measure, dtype):
    model = Model(dtype=dtype)
    weight = recurrent(model)
    evaluate = ss.pytorch.evaluator(model, sign_trials, measure, weight=weight)
    ours = ss.ablate_with(weight.matrix(), evaluate, alpha=0.6)
    network = ss.load_network(model, activation="tanh")
    core = ss.ablate(network, sign_trials, alpha=0.6, measure=measure)
    tolerance = 1e-12 if dtype == torch.float64 else 2e-5
    for name in ("value", "change", "per_trial", "per_step", "sensitivity", "chance"):
        mine, theirs = getattr(ours, name), getattr(core, name)
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance, err_msg=name)
    assert ours.measure == core.measure
    assert ours.cautions == core.cautions
    assert {**ours.settings, "cell": core.settings["cell"]} == core.settings
    for mine, theirs in zip(ours.interval(rng=3), core.interval(rng=3), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)
    # As a function, it gives contributions whose mean is the value.
    scores = evaluate(weight.matrix())
    np.testing.assert_allclose(scores, core.per_trial[0], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("axes", ["BTF", "TBF"])
def test_one_gate_of_a_stacked_bidirectional_layer(sign_trials, axes):
    options = {"num_layers": 2, "bidirectional": True, "batch_first": axes == "BTF"}
    model = Model("LSTM", **options)
    weight = recurrent(model, "weight_hh_l1_reverse", gate="f")
    evaluate = ss.pytorch.evaluator(model, sign_trials, weight=weight, axes=axes)
    profile = ss.ablate_with(weight.matrix(), evaluate, alpha=0.6)
    for row in profile:
        names = () if row.name == "full" else row.name.split("+")
        W_ablated, mass = reference.ablated(weight.matrix(), names, 0.6)
        other = copy.deepcopy(model)
        x = torch.tensor(sign_trials.inputs)
        with torch.no_grad():
            other.rnn.weight_hh_l1_reverse[N_H : 2 * N_H] = torch.from_numpy(W_ablated)
            answers = other(x if axes == "BTF" else x.transpose(0, 1)).numpy()
        answers = answers if axes == "BTF" else answers.swapaxes(0, 1)
        wanted = ss.fvu(answers, sign_trials.targets, sign_trials.weights)
        assert row.value == pytest.approx(wanted, rel=1e-11)
        assert row.removed_mass == pytest.approx(mass, abs=1e-12)


def test_the_module_and_its_modes_are_as_before(sign_trials):
    model = Model("GRU", dropout=0.5)
    model.readout.eval()  # modes of parts may differ
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    modes = [part.training for part in model.modules()]
    weight = recurrent(model, gate="z")
    evaluate = ss.pytorch.evaluator(model, sign_trials, weight=weight)
    profile = ss.ablate_with(weight.matrix(), evaluate)
    assert profile["CR"].change != 0
    assert [part.training for part in model.modules()] == modes
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    with pytest.raises(ValueError, match=r"W must have shape \(10, 10\)"):
        evaluate(np.eye(3))
    assert [part.training for part in model.modules()] == modes


def test_trials_take_the_dtype_of_the_weight(sign_trials):
    model = Model(dtype=torch.float32)
    weight = recurrent(model)
    assert weight.dtype == np.float32
    profile = ss.ablate_with(
        weight.matrix(), ss.pytorch.evaluator(model, sign_trials, weight=weight)
    )
    assert profile.settings["dtype"] == "float32"


def test_gates_have_one_matrix_each():
    model = Model("GRU")
    both = recurrent(model, gate=["n", "r"])
    assert both.gate == ("n", "r")
    matrices = both.matrices()
    assert list(matrices) == ["n", "r"]
    for gate, matrix in matrices.items():
        assert matrix.tobytes() == recurrent(model, gate=gate).matrix().tobytes()
    before = model.rnn.weight_hh_l0.detach().clone()
    with both.replaced({"r": np.eye(N_H), "n": 2 * np.eye(N_H)}):
        inside = model.rnn.weight_hh_l0.detach().clone()
    eye = torch.eye(N_H, dtype=torch.float64)
    assert torch.equal(inside[:N_H], eye)
    assert torch.equal(inside[N_H : 2 * N_H], before[N_H : 2 * N_H])
    assert torch.equal(inside[2 * N_H :], 2 * eye)
    assert torch.equal(model.rnn.weight_hh_l0, before)
    one = recurrent(model, gate="z")
    assert list(one.matrices()) == ["z"]
    assert one.matrices()["z"].tobytes() == one.matrix().tobytes()


def gru_gates(*gates):
    return recurrent(Model("GRU"), gate=list(gates))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gru_gates("r", "i"), ValueError, "gate must be one of 'r', 'z', 'n', got 'i'"),
        (lambda: gru_gates("r", "r"), ValueError, "each once, got \\['r', 'r'\\]"),
        (lambda: gru_gates(), ValueError, "gate must name at least one gate"),
        (lambda: gru_gates(1), TypeError, "gate must be a name or a sequence of names"),
        (lambda: recurrent(Model("GRU"), gate={"r"}), TypeError, "or a sequence of names"),
        (lambda: gru_gates("r", "z").matrix(), ValueError, "gate must name one gate for matrix"),
        (lambda: recurrent(Model()).matrices(), ValueError, "gate must be given for matrices"),
    ],
)
def test_bad_gates_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("given", [np.eye(N_H), {"r": np.eye(N_H)}, {"r": 0, "z": 0, "n": 0}])
def test_what_replaces_gates_is_a_matrix_for_each(given):
    weight = gru_gates("r", "z")
    with (
        pytest.raises(ValueError, match=r"W must be a dictionary with a matrix for each gate of"),
        weight.replaced(given),
    ):
        pytest.fail("must not get here")
    bad = {"r": np.eye(N_H), "z": np.eye(3)}
    with (
        pytest.raises(ValueError, match=r"W\['z'\] must have shape \(10, 10\)"),
        weight.replaced(bad),
    ):
        pytest.fail("must not get here")


class Odd(Model):
    def forward(self, inputs):
        return {"y": inputs}


def bad(**options):
    def call(trials):
        model = options.pop("model", None) or Model()
        arguments = {"module": model, "trials": trials, "weight": None, **options}
        arguments["weight"] = arguments["weight"] or recurrent(model)
        return ss.pytorch.evaluator(**arguments)(recurrent(model).matrix())

    return call


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (bad(module=len), TypeError, r"module must be a torch\.nn\.Module, got builtin"),
        (bad(trials=3), TypeError, r"trials must be schurscope\.Trials, got int"),
        (bad(weight=3), TypeError, "weight must be a RecurrentWeight, got int"),
        (bad(weight=recurrent(Model())), ValueError, "weight must belong to the module, got wei"),
        (bad(measure="fvo"), ValueError, "measure must be one of"),
        (bad(axes="FTB"), ValueError, "axes must be one of 'BTF', 'TBF'"),
        (bad(model=Odd()), TypeError, "module must return outputs, or a tuple .* got dict"),
        (lambda trials: bad()(ss.Trials(trials.inputs)), ValueError, "trials must have targets"),
        (
            lambda trials: bad()(ss.Trials(trials.inputs, trials.targets[..., :1])),
            ValueError,
            r"the module's outputs must have shape \(20, 9, 1\) because targets has shape",
        ),
        (
            lambda trials: bad()(ss.Trials(trials.inputs, trials.targets, h_0=np.zeros((20, N_H)))),
            ValueError,
            "trials must have no h_0",
        ),
    ],
)
def test_bad_arguments_are_named(sign_trials, call, error, message):
    with pytest.raises(error, match=message):
        call(sign_trials)


def test_the_measure_is_named_once(sign_trials):
    model = Model()
    weight = recurrent(model)
    evaluate = ss.pytorch.evaluator(model, sign_trials, weight=weight)
    with pytest.raises(ValueError, match="measure must be left out, because evaluate has its own"):
        ss.ablate_with(weight.matrix(), evaluate, measure="mine")
