"""Importing PyTorch's networks: the module's own forward pass is the oracle."""

from __future__ import annotations

import pickle
import zipfile

import numpy as np
import pytest

import reference
import schurscope as ss
from frameworks import framework
from schurscope.importers import import_network

torch = framework("torch")
safetensors_torch = framework("safetensors.torch")
nn = torch.nn

# Most sources here do not say their activation, of which `test_importers_warnings` has the tests.
pytestmark = pytest.mark.filterwarnings("ignore:assumed activation")

TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}


class Model(nn.Module):
    """A recurrent layer and a linear readout under the names that people give them."""

    def __init__(self, nonlinearity="tanh", bias=True, batch_first=True):
        super().__init__()
        self.rnn = nn.RNN(3, 8, nonlinearity=nonlinearity, bias=bias, batch_first=batch_first)
        self.fc = nn.Linear(8, 2, bias=bias)

    def forward(self, x):
        return self.fc(self.rnn(x)[0])


class Stepped(nn.Module):
    """The same of a cell, with a loop of its own."""

    def __init__(self, nonlinearity="tanh"):
        super().__init__()
        self.cell = nn.RNNCell(3, 8, nonlinearity=nonlinearity)
        self.readout = nn.Linear(8, 2)

    def forward(self, x):
        h = x.new_zeros(len(x), 8)
        outputs = []
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
            outputs.append(self.readout(h))
        return torch.stack(outputs, 1)


@pytest.fixture(params=TOLERANCE, ids=str)
def float_type(request):
    return request.param


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Model()


def assert_computes(network, model, float_type=torch.float32):
    """The network, run by the core and by the reference, does what the module does."""
    x = torch.randn(5, 20, 3, dtype=float_type, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = model(x).numpy()
    assert network.dtype == wanted.dtype
    tolerance = TOLERANCE[float_type]
    np.testing.assert_allclose(network.rollout(x.numpy()), wanted, rtol=0, atol=tolerance)
    plain = reference.cell_rollout(network, x.numpy())[0]
    np.testing.assert_allclose(plain, wanted, rtol=0, atol=tolerance)


# What is read


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("kind", [Model, Stepped])
def test_modules(kind, nonlinearity, float_type):
    torch.manual_seed(2)
    model = kind(nonlinearity).to(float_type)
    network = ss.load_network(model)
    assert network.cell == ss.Cell(nonlinearity)
    assert_computes(network, model, float_type)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors", ".npz", ".anything"])
def test_files_are_told_by_their_content(tmp_path, suffix, model):
    for save in (torch.save, safetensors_torch.save_file):
        path = tmp_path / f"model{suffix}"
        save(model.state_dict(), path)
        assert_computes(ss.load_network(path), model)


def test_the_format_before_zip_archives(tmp_path, model):
    path = tmp_path / "model.pt"
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=False)
    assert_computes(ss.load_network(path), model)


def test_time_first_and_no_biases(model):
    free = Model(bias=False)
    network = ss.load_network(free)
    assert network.b_h is None
    assert network.b_y is None
    assert_computes(network, free)
    time_first = Model(batch_first=False)
    time_first.load_state_dict(model.state_dict())
    assert np.array_equal(ss.load_network(time_first).W_hh, ss.load_network(model).W_hh)


def test_the_record(tmp_path, model):
    path = tmp_path / "model.pt"
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 2, 3)).sum().backward()
    optimizer.step()
    torch.save({"epoch": 3, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
    found = import_network(path)
    assert found.format == "torch"
    assert found.mapped == {
        "W_hh": "model.rnn.weight_hh_l0",
        "W_xh": "model.rnn.weight_ih_l0",
        "b_h": "model.rnn.bias_ih_l0 + model.rnn.bias_hh_l0",
        "W_hy": "model.fc.weight",
        "b_y": "model.fc.bias",
    }
    assert found.ignored["epoch"] == "int, not an array"
    n_optimizer = sum(name.startswith("optimizer.") for name in found.ignored)
    assert n_optimizer == len(found.ignored) - 1 > 10
    assert f"  ignored: optimizer ({n_optimizer} entries)\n" in str(found)
    assert "exp_avg" not in str(found)
    assert found.ignored["optimizer.state.0.exp_avg"] == "of the optimiser"
    form, activation = found.notes
    assert form == "assumed form='rate', leak=1.0, output='identity': the source does not say"
    assert activation.startswith("assumed activation='tanh': the source does not say; give activa")
    assert "W_hh = model.rnn.weight_hh_l0" in str(found)
    assert_computes(ss.load_network(path), model)


def test_what_a_file_does_not_say_can_be_said(tmp_path):
    model = Model("relu")
    torch.save(model.state_dict(), tmp_path / "model.pt")
    assert_computes(ss.load_network(tmp_path / "model.pt", activation="relu"), model)
    network = ss.load_network(
        tmp_path / "model.pt",
        activation="softplus",
        form="current",
        leak=0.1,
        output="sigmoid",
        noise=0.2,
        dtype="float64",
    )
    assert network.cell == ss.Cell("softplus", "current", 0.1, "sigmoid", 0.2)
    assert network.dtype == np.float64


def test_names_of_ones_own():
    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            self.U, self.V = nn.Linear(8, 8, bias=False), nn.Linear(3, 8)

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.decoder, self.other = Cell(), nn.Linear(8, 2), nn.Linear(8, 8)

        def forward(self, x):
            h, outputs = x.new_zeros(len(x), 8), []
            for t in range(x.shape[1]):
                h = torch.tanh(self.cell.U(h) + self.cell.V(x[:, t]))
                outputs.append(self.decoder(h))
            return torch.stack(outputs, 1)

    model = Own()
    keys = {"W_hh": "cell.U.weight", "W_xh": "cell.V.weight", "b_h": "cell.V.bias"}
    keys["W_hy"] = "decoder.weight"
    with pytest.warns(UserWarning, match=r"left out: other\.bias \(8,\); .*'h_0': 'other\.bias'"):
        network = ss.load_network(model, keys=keys)
    assert_computes(network, model)
    with pytest.raises(ValueError, match=r"has no W_hh and no W_xh .* cell\.U\.weight \(8, 8\)"):
        ss.load_network(model)
    with pytest.raises(ValueError, match=r"has no entry 'cell\.W'.*; it holds cell\.U\.weight"):
        ss.load_network(model, keys={**keys, "W_hh": "cell.W"})
    without = ss.load_network(model, keys={**keys, "b_h": None, "b_y": None})
    assert without.b_h is None
    assert without.b_y is None


def test_a_layer_alone_needs_a_readout(model):
    with pytest.raises(ValueError, match="the RNN module has no readout"):
        ss.load_network(model.rnn)
    network = ss.load_network(model.rnn, keys={"W_hy": np.eye(8, dtype=np.float32)})
    x = torch.ones(1, 4, 3)
    np.testing.assert_allclose(network.rollout(x), model.rnn(x)[0].detach(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("save", [torch.save, safetensors_torch.save_file])
def test_half_precision_is_widened_with_a_notice(tmp_path, kind, save, model):
    model.to(kind)
    save(model.state_dict(), tmp_path / "model.pt")
    name = str(kind).removeprefix("torch.")
    with pytest.warns(UserWarning, match=rf"widened to float32.*rnn\.weight_hh_l0 \({name}\)"):
        network = ss.load_network(tmp_path / "model.pt")
    assert_computes(network, model.float())


def test_transposed_tensors_are_read_as_they_look(tmp_path, model):
    state = {name: t.t().contiguous().t() for name, t in model.state_dict().items()}
    assert not state["rnn.weight_hh_l0"].is_contiguous()
    torch.save(state, tmp_path / "model.pt")
    assert_computes(ss.load_network(tmp_path / "model.pt"), model)
    assert_computes(ss.load_network(state), model)


def test_parametrised_weights_are_computed(tmp_path, model):
    torch.nn.utils.parametrizations.orthogonal(model.rnn, "weight_hh_l0")
    found = import_network(model)
    assert_computes(found.network, model)
    np.testing.assert_allclose(found.network.W_hh @ found.network.W_hh.T, np.eye(8), atol=1e-5)
    original = "rnn.parametrizations.weight_hh_l0.original"
    assert found.ignored[original] == "rnn.weight_hh_l0 is computed from it"
    assert found.mapped["W_hh"] == "rnn.weight_hh_l0"
    torch.save(model.state_dict(), tmp_path / "model.pt")
    with pytest.raises(ValueError, match="weights are parametrised: give the module itself"):
        ss.load_network(tmp_path / "model.pt")


def test_left_out_parameters_are_told(model):
    model.norm = nn.LayerNorm(8)
    with pytest.warns(UserWarning, match=r"left out: norm\.weight \(8,\), norm\.bias \(8,\)"):
        ss.load_network(model)


# What is refused

AMBIGUOUS = [
    (nn.RNN(3, 8, num_layers=2), r"has several recurrent layers \(.*weight_hh_l1"),
    (nn.RNN(3, 8, bidirectional=True), r"is bidirectional \(.*weight_hh_l0_reverse"),
    (nn.GRU(3, 8), r"gates of a GRU: 0\.weight_hh_l0 \(24, 8\) stacks 3.*schurscope\.ablate_with"),
    (nn.LSTM(3, 8), r"gates of an LSTM: 0\.weight_hh_l0 \(32, 8\) stacks 4"),
    (nn.GRUCell(3, 8), r"gates of a GRU: 0\.weight_hh \(24, 8\)"),
    (
        nn.ModuleDict({"a": nn.RNN(3, 8), "b": nn.RNN(3, 8)}),
        r"several recurrent matrices: 0\.a\.weight_hh_l0 \(8, 8\), 0\.b\.weight_hh_l0 \(8, 8\)",
    ),
]


@pytest.mark.parametrize(("layer", "told"), AMBIGUOUS, ids=[str(layer) for layer, _ in AMBIGUOUS])
def test_other_cells_are_refused(layer, told):
    with pytest.raises(ValueError, match=told):
        ss.load_network(nn.Sequential(layer, nn.Linear(8, 2)).state_dict())


def test_one_of_several_can_be_named(model):
    both = nn.ModuleDict({"old": Model(), "new": model})
    with pytest.raises(ValueError, match=r"name one with keys=\{'W_hh': 'old\.rnn\.weight_hh_l0'"):
        ss.load_network(both)
    keys = {"W_hh": "new.rnn.weight_hh_l0", "W_hy": "new.fc.weight"}
    assert_computes(ss.load_network(both, keys=keys), model)


def test_two_readouts_are_ambiguous(model):
    model.value = nn.Linear(8, 1)
    with pytest.raises(ValueError, match=r"fc\.weight \(2, 8\), value\.weight \(1, 8\); name it"):
        ss.load_network(model)
    network = ss.load_network(model, keys={"W_hy": "value.weight"}, dtype="float64")
    assert network.n_outputs == 1
    np.testing.assert_array_equal(network.b_y, model.value.bias.detach().double())


def test_a_readout_must_fit(model):
    model.fc = nn.Linear(5, 2)
    with pytest.raises(ValueError, match=r"fc\.weight \(2, 5\), which cannot read out 8 units"):
        ss.load_network(model)


def test_weights_must_be_finite(model):
    with torch.no_grad():
        model.rnn.weight_hh_l0[1, 2] = torch.nan
    with pytest.raises(ValueError, match=r"the first rnn\.weight_hh_l0\[1, 2\] = nan"):
        ss.load_network(model)


def test_a_contradiction_is_told():
    with pytest.raises(ValueError, match="states activation='relu', got activation='tanh'"):
        ss.load_network(Model("relu"), activation="tanh")


class RunsCode:
    """Unpickling this creates a file: the proof that something was unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_pickles_are_never_loaded(tmp_path, model):
    trap = tmp_path / "trap"
    torch.save({**model.state_dict(), "more": RunsCode(trap)}, tmp_path / "state.pt")
    torch.save(model, tmp_path / "module.pt")
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(RunsCode(trap)))
    for name, told in (
        ("state.pt", "holds pickled objects besides tensors"),
        ("module.pt", r"save model\.state_dict\(\) instead"),
        ("raw.pt", "is a pickle, which is never loaded"),
    ):
        with pytest.raises(ValueError, match=rf"{name}.*{told}"):
            ss.load_network(tmp_path / name)
    assert not trap.exists()


def test_torchscript_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:
        for name in ("script/data.pkl", "script/constants.pkl", "script/code/__torch__.py"):
            archive.writestr(name, "")
    with pytest.raises(ValueError, match="is a TorchScript program"):
        ss.load_network(tmp_path / "script.pt")


def test_bombs_are_refused_unread(tmp_path, model):
    path = tmp_path / "stretched.pt"
    torch.save({"W_hh": torch.zeros(1).expand(2**20, 2**20)}, path)
    with pytest.raises(ValueError, match=rf"would unpack from \d+ to {2**42} bytes"):
        ss.load_network(path)
    path = tmp_path / "zip.pt"
    torch.save(model.state_dict(), path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/9", bytes(2**24))
    with pytest.raises(ValueError, match=r"zip\.pt.*more than max_bytes = 1000000"):
        ss.load_network(path, max_bytes=10**6)


def test_files_cut_short_are_refused(tmp_path, model):
    for save in (torch.save, safetensors_torch.save_file):
        path = tmp_path / "model.pt"
        save(model.state_dict(), path)
        whole = path.read_bytes()
        for length in range(1, len(whole), 173):
            path.write_bytes(whole[:length])
            with pytest.raises(ValueError, match=r"model\.pt"):
                ss.load_network(path)


def test_a_file_that_holds_no_state_dict(tmp_path):
    torch.save(torch.ones(3), tmp_path / "model.pt")
    with pytest.raises(ValueError, match="must hold a state dict, got Tensor"):
        ss.load_network(tmp_path / "model.pt")
