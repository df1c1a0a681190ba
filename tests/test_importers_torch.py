"""Importing PyTorch's networks: the module's own forward pass is the oracle."""

from __future__ import annotations

import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

import reference
import schurscope as ss
from frameworks import framework
from schurscope.importers import import_network
from schurscope.importers.formats.readers import from_object, read_checkpoint

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


DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8")
DTYPES += ("uint16", "uint32", "uint64", "bool", "complex64", "complex128")


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_tensors_are_those_that_torch_reads(tmp_path, dtype, is_zip):
    if not is_zip and dtype in ("uint16", "uint32", "uint64"):
        pytest.skip("PyTorch does not write these")
    torch.manual_seed(3)
    base = (100 * torch.randn(4, 5, 6)).abs().to(getattr(torch, dtype))
    tensors = {
        "whole": base,
        "turned": base.permute(2, 0, 1),
        "part": base[1:3, ::2, 3:],
        "spread": base[0, :1, :1].expand(3, 4),
        "empty": base[:, :0],
        "number": base[0, 0, 0],
        "parameter": nn.Parameter(base, requires_grad=False),
    }
    tensors["marked"] = base.clone()
    tensors["marked"].remark = "its own attribute"
    path = tmp_path / "file.pt"
    torch.save(tensors, path, _use_new_zipfile_serialization=is_zip)
    wanted = torch.load(path, weights_only=True)
    found = read_checkpoint(path)
    assert found.skipped == {}
    assert set(found.narrow) == (set(tensors) if dtype in ("float16", "bfloat16") else set())
    for name, tensor in wanted.items():
        array = found.arrays[name]
        tensor = tensor.float() if name in found.narrow else tensor
        assert (array.dtype, array.shape) == (tensor.numpy().dtype, tensor.shape)
        np.testing.assert_array_equal(array, tensor.numpy())


def test_pending_conjugations_and_negations_are_carried_out(tmp_path):
    values = torch.randn(3, dtype=torch.complex64).conj()
    tensors = {"conjugate": values, "imaginary": values.imag, "both": torch.conj(values)}
    assert tensors["conjugate"].is_conj()
    assert tensors["imaginary"].is_neg()
    for name, tensor in tensors.items():
        wanted = tensor.resolve_conj().resolve_neg().numpy()
        torch.save({name: tensor}, tmp_path / "file.pt")
        for found in (read_checkpoint(tmp_path / "file.pt"), from_object({name: tensor})):
            np.testing.assert_array_equal(found.arrays[name], wanted)


@pytest.mark.filterwarnings("ignore")  # of prototypes
def test_tensors_without_an_array_are_skipped_by_their_kind(tmp_path, model):
    others = {
        "sparse": torch.eye(2).to_sparse(),
        "csr": torch.eye(2).to_sparse_csr(),
        "meta": torch.ones(2, device="meta"),
        "quantized": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        "nested": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        "narrow": torch.ones(2).to(torch.float8_e4m3fn),
    }
    torch.save({**model.state_dict(), **others}, tmp_path / "model.pt")
    assert_computes(ss.load_network(tmp_path / "model.pt"), model)
    assert_computes(ss.load_network({**model.state_dict(), **others}), model)
    of_file = import_network(tmp_path / "model.pt").ignored
    for name, kind in {**dict(zip(others, others, strict=True)), "csr": "sparse"}.items():
        kind = "float8_e4m3fn" if kind == "narrow" else kind
        assert of_file[name] == f"a {kind} tensor, not an array of numbers"


def test_what_training_saves_besides_tensors_is_skipped(tmp_path, model):
    more = {"epoch": 3, "name": "mine", "best": None, "device": torch.device("cpu"), "done": True}
    more |= {"size": torch.Size([1, 2]), "seen": {1, 2}, "dtype": torch.float32, "raw": b"abc"}
    torch.save({**model.state_dict(), "more": more}, tmp_path / "model.pt")
    found = import_network(tmp_path / "model.pt")
    assert_computes(found.network, model)
    assert {name.removeprefix("more.") for name in found.ignored} == set(more)


def test_files_need_no_torch(tmp_path, model):
    torch.save(model.state_dict(), tmp_path / "model.pt")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import schurscope as ss; print(ss.load_network('model.pt', activation='tanh'))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert "Network(N_h=8, N_x=3, N_y=2" in run.stdout, run.stderr


# What is refused


def test_no_flipped_bit_changes_a_number(tmp_path, model, rng):
    """Bits of the weights have a checksum; those of the directory decide what is read."""
    path = tmp_path / "model.pt"
    torch.save(model.state_dict(), path)
    whole = path.read_bytes()
    n_refused = 0
    for place in rng.choice(len(whole), 600, replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            network = ss.load_network(path)
        except ValueError:
            n_refused += 1
        else:
            np.testing.assert_array_equal(network.W_hh, model.rnn.weight_hh_l0.detach())
            assert (network.b_h is None, network.b_y is None) == (False, False)
    assert n_refused > 200


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        (((4, 4), (4, 1), 1), "exceeds its storage"),
        (((4, 4), (4, 2**61), 0), "exceeds its storage"),
        (((4,), (4, 1), 0), "damaged"),
        (((-1, 4), (4, 1), 0), "damaged"),
        (((4, True), (4, 1), 0), "damaged"),
        (((1,) * 40, (1,) * 40, 0), "damaged"),
        (([4, 4], (4, 1), 0), "damaged"),
    ],
)
def test_tensors_beyond_their_storage_are_refused(tmp_path, declared, told):
    """A pickle whose numbers were changed; the checksum is right."""
    path = tmp_path / "model.pt"
    shape, strides, offset = declared

    class Declared:
        def __reduce__(self):
            rebuild, (storage, *_) = torch.ones(16).__reduce_ex__(2)
            return rebuild, (storage, offset, shape, strides, False, OrderedDict())

    torch.save({"W_hh": Declared()}, path)
    with pytest.raises(ValueError, match=rf"model\.pt.*{told}"):
        ss.load_network(path)


AMBIGUOUS = [
    (nn.RNN(3, 8, num_layers=2), r"has several recurrent layers \(.*weight_hh_l1"),
    (nn.RNN(3, 8, bidirectional=True), r"is bidirectional \(.*weight_hh_l0_reverse"),
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
    with pytest.raises(
        ValueError, match=r"Choose one with layer='old\.rnn\.l0' or layer='new\.rnn\.l0'"
    ):
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
