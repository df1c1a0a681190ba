"""Importing PyTorch's GRU and LSTM: the modules' own forward passes are the oracle."""

from __future__ import annotations

import numpy as np
import pytest

import reference
import schurscope as ss
from frameworks import framework
from schurscope.importers import import_network

torch = framework("torch")
safetensors_torch = framework("safetensors.torch")
nn = torch.nn

TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}
KINDS = ("GRU", "LSTM")


class Model(nn.Module):
    """A gated layer and a linear readout."""

    def __init__(self, kind="GRU", **options):
        super().__init__()
        torch.manual_seed(0)
        self.rnn = getattr(nn, kind)(3, 8, batch_first=True, **options)
        self.fc = nn.Linear(16 if options.get("bidirectional") else 8, 2)

    def forward(self, x):
        return self.fc(self.rnn(x)[0])


class Stepped(nn.Module):
    """The same of a cell, with a loop of its own."""

    def __init__(self, kind="GRU", **options):
        super().__init__()
        torch.manual_seed(0)
        self.cell = getattr(nn, f"{kind}Cell")(3, 8, **options)
        self.readout = nn.Linear(8, 2)

    def forward(self, x):
        state, outputs = None, []
        for t in range(x.shape[1]):
            state = self.cell(x[:, t], state)
            h = state[0] if isinstance(state, tuple) else state
            outputs.append(self.readout(h))
        return torch.stack(outputs, 1)


def inputs(float_type):
    return torch.randn(5, 20, 3, dtype=float_type, generator=torch.Generator().manual_seed(1))


def assert_computes(network, model, float_type=torch.float32, n_inputs=3):
    """The network, run by the core and by the reference, does what the module does."""
    x = inputs(float_type)[..., :n_inputs]
    with torch.no_grad():
        wanted = model(x).numpy()
    assert network.dtype == wanted.dtype
    tolerance = TOLERANCE[float_type]
    np.testing.assert_allclose(network.rollout(x.numpy()), wanted, rtol=0, atol=tolerance)
    plain = reference.gated_rollout(network, x.numpy())[0]
    np.testing.assert_allclose(plain, wanted, rtol=0, atol=tolerance)


# What is read


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("float_type", TOLERANCE, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", [Model, Stepped])
def test_modules_and_their_states(form, kind, float_type, bias, recwarn):
    model = form(kind, bias=bias).to(float_type)
    for source in (model, model.state_dict()):
        network = ss.load_network(source)
        assert network.cell == ss.Cell(kind=kind.lower())
        assert (network.b_h is not None) == bias
        assert (network.b_hn is not None) == (bias and kind == "GRU")
        assert_computes(network, model, float_type)
    assert not recwarn.list  # a GRU's functions are known: nothing is assumed


@pytest.mark.parametrize("kind", KINDS)
def test_files(tmp_path, kind):
    model = Model(kind)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    safetensors_torch.save_file(model.state_dict(), tmp_path / "model.safetensors")
    arrays = {name: p.detach().numpy() for name, p in model.named_parameters()}
    np.savez(tmp_path / "model.npz", **arrays)
    for path in sorted(tmp_path.iterdir()):
        assert_computes(ss.load_network(path), model)
    network = ss.load_network(arrays)
    network.save(tmp_path / "own.npz")
    again = ss.load_network(tmp_path / "own.npz")
    assert again.W_hh.tobytes() == network.W_hh.tobytes()
    assert again.cell == network.cell


def test_each_gate_is_where_the_network_has_it():
    for kind, gates in (("GRU", "rzn"), ("LSTM", "ifgo")):
        model = Model(kind)
        network = ss.load_network(model)
        assert tuple(network.gates) == tuple(gates)
        for gate in gates:
            weight = ss.pytorch.RecurrentWeight(model.rnn, "weight_hh_l0", gate=gate)
            assert network.gates[gate].W_hh.tobytes() == weight.matrix().tobytes()


def test_the_record():
    found = import_network(Model("GRU"))
    assert found.format == "torch"
    assert found.mapped == {
        "W_hh": "rnn.weight_hh_l0 (r, z, n)",
        "W_xh": "rnn.weight_ih_l0 (r, z, n)",
        "b_hn": "n of rnn.bias_hh_l0",
        "b_h": "rnn.bias_ih_l0 + rnn.bias_hh_l0, of n only the first",
        "W_hy": "fc.weight",
        "b_y": "fc.bias",
    }
    assert found.ignored == {}
    assert found.notes == ("assumed output='identity': the source does not say",)
    assert "Cell(kind='gru', reset='after'" in str(found)


def test_equinox_has_the_rows_of_pytorch():
    # Its one bias is the input's; bias_n is that of n in the reset.
    model = Model("GRU", bias=True)
    state = {name: p.detach().clone() for name, p in model.named_parameters()}
    summed = state["rnn.bias_ih_l0"].clone()
    summed[:16] += state["rnn.bias_hh_l0"][:16]
    arrays = {
        "cell.weight_ih": state["rnn.weight_ih_l0"],
        "cell.weight_hh": state["rnn.weight_hh_l0"],
        "cell.bias": summed,
        "cell.bias_n": state["rnn.bias_hh_l0"][16:],
        "out.weight": state["fc.weight"],
        "out.bias": state["fc.bias"],
    }
    assert_computes(ss.load_network(arrays), model)


def test_options_of_the_cell_and_of_the_trials():
    network = ss.load_network(Model("LSTM"), output="sigmoid", noise=0.1, dtype="float64")
    assert network.cell == ss.Cell(kind="lstm", output="sigmoid", noise=0.1)
    assert network.dtype == np.float64
    keys = {"h_0": np.ones(8), "c_0": np.full(8, 2.0)}
    network = ss.load_network(Model("LSTM"), keys=keys)
    assert (network.h_0 == 1).all()
    assert (network.c_0 == 2).all()


# Several layers and directions


def test_one_layer_is_chosen_by_its_name():
    model = Model("GRU", num_layers=2)
    with pytest.raises(
        ValueError,
        match=r"has several recurrent layers.*layer='rnn\.l0' or layer='rnn\.l1'.*ablate_with",
    ):
        ss.load_network(model)
    for name in ("l1", "rnn.l1", "rnn.weight_hh_l1"):
        network = ss.load_network(model, layer=name)
        second = nn.GRU(8, 8, batch_first=True)
        state = {n: p for n, p in model.rnn.state_dict().items() if n.endswith("_l1")}
        second.load_state_dict({n.replace("_l1", "_l0"): p for n, p in state.items()})
        x = torch.randn(4, 9, 8)
        with torch.no_grad():
            wanted = model.fc(second(x)[0]).numpy()
        np.testing.assert_allclose(network.rollout(x.numpy()), wanted, atol=1e-6)
    found = import_network(model, layer="l1")
    assert found.ignored["rnn.weight_hh_l0"] == "of another layer or direction"
    by_key = ss.load_network(model, keys={"W_hh": "rnn.weight_hh_l1"})
    assert by_key.W_hh.tobytes() == network.W_hh.tobytes()
    with pytest.raises(ValueError, match=r"no layer 'l2'; layer= takes one of rnn\.l0, rnn\.l1"):
        ss.load_network(model, layer="l2")
    with pytest.raises(ValueError, match="chosen twice"):
        ss.load_network(model, layer="l1", keys={"W_hh": "rnn.weight_hh_l1"})
    with pytest.raises(TypeError, match="layer must be the name of a recurrent layer, got 1"):
        ss.load_network(model, layer=1)


def test_one_direction_is_chosen_by_its_name():
    model = Model("LSTM", bidirectional=True)
    with pytest.raises(ValueError, match=r"is bidirectional.*layer='rnn\.l0_reverse'"):
        ss.load_network(model)
    with pytest.raises(ValueError, match=r"readout may belong.*keys=\{'W_hy'"):
        ss.load_network(model, layer="l0_reverse")
    keys = {"W_hy": "fc.weight[:, n_h:]", "b_y": "fc.bias"}
    found = import_network(model, layer="l0_reverse", keys=keys)
    assert any("runs backwards" in note for note in found.notes)
    x = inputs(torch.float32)
    with torch.no_grad():
        backward = model.rnn(x)[0][..., 8:]
        wanted = (backward @ model.fc.weight[:, 8:].T + model.fc.bias).numpy()
    outputs = found.network.rollout(x.numpy()[:, ::-1])[:, ::-1]
    np.testing.assert_allclose(outputs, wanted, atol=1e-6)
    assert not any("backwards" in note for note in import_network(Model("LSTM")).notes)


def test_layers_of_a_vanilla_network_are_chosen_so_too():
    both = nn.ModuleDict({"a": nn.RNN(3, 8), "b": nn.RNN(3, 8)})
    options = {"activation": "tanh", "keys": {"W_hy": np.eye(8, dtype=np.float32)}}
    network = ss.load_network(both.state_dict(), layer="b", **options)
    assert network.W_hh.tobytes() == both["b"].weight_hh_l0.detach().numpy().tobytes()
    assert network.cell == ss.Cell()
    with pytest.raises(
        ValueError, match=r"has several layers .l0.; layer= takes one of a\.l0, b\.l0"
    ):
        ss.load_network(both.state_dict(), layer="l0", **options)


# What is refused


class LayerNormalised(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight_ih, self.weight_hh = (nn.Parameter(torch.ones(32, n)) for n in (3, 8))
        self.ln_c = nn.LayerNorm(8)


class Peepholes(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight_ih, self.weight_hh = (nn.Parameter(torch.ones(32, n)) for n in (3, 8))
        self.weight_ci = nn.Parameter(torch.ones(8))


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        (nn.LSTM(3, 8, proj_size=2), r"projections \(proj_size\).*0\.weight_hr_l0.*evaluator"),
        (LayerNormalised(), r"an LSTM with layer normalisation \(0\.ln_c\.weight"),
        (Peepholes(), r"an LSTM with peepholes \(0\.weight_ci\)"),
    ],
    ids=["projections", "layer norm", "peepholes"],
)
def test_other_cells_are_refused_by_name(layer, told):
    with pytest.raises(ValueError, match=told):
        ss.load_network(nn.Sequential(layer, nn.Linear(8, 2)).state_dict())


@pytest.mark.parametrize("n_gates", [3, 4])
def test_stacks_under_names_that_tell_no_order_are_refused(n_gates):
    arrays = {"W_rec": np.ones((n_gates * 4, 4)), "W_in": np.ones((n_gates * 4, 2))}
    with pytest.raises(ValueError, match=r"in an order that the name does not tell.*Cell\(kind="):
        ss.load_network({**arrays, "W_out": np.eye(4)})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"activation": "relu"}, "activation must be left out for kind='gru'"),
        ({"leak": 0.5}, "leak must be left out for kind='gru'"),
        ({"reset": "before"}, "states reset='after', got reset='before'"),
        ({"residual": True}, "residual is an option of Flax's cells"),
        ({"keys": {"W_hh": "rnn.weight_hh_l0 * 2"}}, "W_hh must be that entry alone"),
    ],
)
def test_options_that_contradict_are_refused(options, told):
    with pytest.raises(ValueError, match=told):
        ss.load_network(Model("GRU"), **options)


def test_damaged_stacks_are_told():
    state = Model("GRU").state_dict()
    with pytest.raises(ValueError, match=r"has rnn\.weight_hh_l0 but no rnn\.weight_ih_l0"):
        ss.load_network({n: p for n, p in state.items() if "weight_ih" not in n})
    for name, shape in (("weight_ih_l0", (23, 3)), ("bias_ih_l0", (23,)), ("bias_hh_l0", (2, 24))):
        with pytest.raises(ValueError, match=rf"has rnn\.{name} .*, which is no (stack|bias)"):
            ss.load_network({**state, f"rnn.{name}": torch.ones(shape)})
    with pytest.raises(ValueError, match="bias of shape"):
        ss.load_network({**state, "rnn.bias_ih_l0": torch.ones(12)})


# A reference of the original


def reference_of(model, n_inputs=3):
    x = inputs(torch.float32)[..., :n_inputs]
    with torch.no_grad():
        return x.numpy(), model(x).numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_a_reference_that_agrees(kind):
    model = Model(kind)
    network = ss.load_network(model, reference=reference_of(model))
    assert ss.verify(network, *reference_of(model)).agrees


def reordered(state, order, here):
    """The state with its gates stacked in another order, as another framework has them."""
    place = [here.index(gate) for gate in order]
    return {
        name: torch.cat([p.chunk(len(here))[i] for i in place]) if "rnn" in name else p
        for name, p in state.items()
    }


def test_another_order_of_the_gates_is_named():
    for kind, here, order in (("GRU", "rzn", "znr"), ("LSTM", "ifgo", "ogif")):
        model = Model(kind)
        state = reordered(model.state_dict(), order, here)
        listed = ", ".join(order)
        with pytest.raises(ValueError, match=f"agree with the gates in the order {listed}, here"):
            ss.load_network(state, reference=reference_of(model))


def test_another_reset_and_other_changes_are_named(rng):
    x = rng.standard_normal((4, 15, 3))
    network = ss.load_network(Model("GRU"), dtype="float64")
    from dataclasses import replace

    before = replace(network, b_hn=None, cell=ss.Cell(kind="gru", reset="before"))
    outputs = before.rollout(x)
    found = ss.verify(replace(network, b_hn=None), x, outputs)
    assert found.suggestions == ("reset='before'",)
    found = ss.verify(before, x, replace(network, b_hn=None).rollout(x))
    assert found.suggestions == ("reset='after'",)
    W_hh = np.concatenate([gate.W_hh.T for gate in network.gates.values()])
    found = ss.verify(replace(network, W_hh=W_hh), x, network.rollout(x))
    assert found.suggestions == ("W_hh of every gate transposed",)
    found = ss.verify(network, x, replace(network, b_hn=None).rollout(x))
    assert found.suggestions == ("no b_hn",)
    opposite = {}
    for name in ("W_hh", "W_xh", "b_h"):
        opposite[name] = getattr(network, name).copy()
        opposite[name][8:16] *= -1
    found = ss.verify(replace(network, **opposite), x, network.rollout(x))
    assert found.suggestions == ("z and 1 - z exchanged (W_hh, W_xh and b_h of z negated)",)
    squashed = replace(network, cell=replace(network.cell, output="tanh")).rollout(x)
    assert ss.verify(network, x, squashed).suggestions == ("output='tanh'",)
    found = ss.verify(network, x, rng.standard_normal((4, 15, 2)))
    assert "no single change of the gates' order" in str(found)
