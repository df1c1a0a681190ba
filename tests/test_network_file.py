"""The package's own network files: every bit, every part, both containers, and invalid files."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from schurscope._internal.files import read_npz
from schurscope.networks.cell import ACTIVATIONS, FORMS, Cell
from schurscope.networks.constructions import init_network
from schurscope.networks.network import Network
from schurscope.trials.tasks import ContextIntegration

SUFFIXES = (".npz", ".safetensors")
FORMS_READ = (*((form, "rates") for form in FORMS), ("current", "hidden"))
LEAK = st.floats(0, 1, exclude_min=True)


@st.composite
def cells(draw, n_hidden):
    form, readout = draw(st.sampled_from(FORMS_READ))
    return Cell(
        draw(st.sampled_from(ACTIVATIONS)),
        form,
        draw(LEAK | hnp.arrays(np.float64, n_hidden, elements=LEAK)),
        draw(st.sampled_from(ACTIVATIONS)),
        draw(st.floats(0, allow_infinity=False)),
        readout,
    )


@st.composite
def networks(draw):
    width = draw(st.sampled_from([32, 64]))
    dtype = np.dtype(f"float{width}")
    n_hidden, n_inputs, n_outputs = (draw(st.integers(1, 4)) for _ in range(3))
    finite = st.floats(allow_nan=False, allow_infinity=False, width=width)

    def array(*shape):
        return draw(hnp.arrays(dtype, shape, elements=finite))

    def maybe(*shape):
        return draw(st.none() | hnp.arrays(dtype, shape, elements=finite))

    return Network(
        array(n_hidden, n_hidden),
        array(n_hidden, n_inputs),
        array(n_outputs, n_hidden),
        maybe(n_hidden),
        maybe(n_outputs),
        None,
        draw(cells(n_hidden)),
        maybe(n_hidden),
    )


def assert_same(first, second):
    assert first.cell == second.cell
    names = ["W_hh", "W_xh", "W_hy", "b_h", "b_y", "h_0"]
    pairs = [(getattr(first, name), getattr(second, name)) for name in names]
    assert (first.cayley is None) == (second.cayley is None)
    if first.cayley is not None:
        pairs += [
            (getattr(first.cayley, name), getattr(second.cayley, name))
            for name in ("U", "pairs", "reals")
        ]
    for ours, theirs in pairs:
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
            assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(network=networks())
def test_files_keep_every_bit(tmp_path_factory, suffix, network):
    path = tmp_path_factory.mktemp("round") / f"net{suffix}"
    network.save(path)
    assert_same(Network.load(path), network)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_cayley_parameters_are_kept(tmp_path, suffix, dtype):
    network = init_network(ContextIntegration(), 7, "cayley", 3, dtype=dtype)
    network.save(tmp_path / f"net{suffix}")
    assert_same(Network.load(tmp_path / f"net{suffix}"), network)


def test_a_network_with_the_default_cell_is_stored_as_it_always_was(tmp_path, network):
    network.save(tmp_path / "net.npz")
    with zipfile.ZipFile(tmp_path / "net.npz") as archive:
        names = set(archive.namelist())
    wanted = {"format", "entries", "W_hh", "W_xh", "W_hy", "b_h", "b_y"}
    assert names == {f"{name}.npy" for name in wanted}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_cell_that_does_not_fit_its_leaks_is_refused(tmp_path, suffix, network):
    path = tmp_path / f"net{suffix}"
    leaks = np.linspace(0.1, 1, network.n_hidden)
    replace(network, cell=Cell(leak=leaks)).save(path)
    assert Network.load(path).cell.leak.tobytes() == leaks.tobytes()
    if suffix == ".npz":
        arrays, _ = read_npz(path)
        np.savez(path, **{**arrays, "cell_leak": leaks[1:]})
    else:
        with safetensors.safe_open(path, "np") as file:
            metadata = file.metadata()
        arrays = {**safetensors.numpy.load_file(path), "cell_leak": leaks[1:]}
        safetensors.numpy.save_file(arrays, path, metadata)
    with pytest.raises(ValueError, match=r"does not hold a valid network: .* got 11 leaks"):
        Network.load(path)


def test_the_safetensors_package_reads_ours_and_we_read_its(tmp_path, network):
    ours, theirs = tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"
    network.save(ours)
    arrays = safetensors.numpy.load_file(ours)
    assert arrays["W_hh"].tobytes() == network.W_hh.tobytes()
    with safetensors.safe_open(ours, "np") as file:
        metadata = file.metadata()
    safetensors.numpy.save_file(arrays, theirs, metadata)
    assert_same(Network.load(theirs), network)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_cut_short_is_refused(tmp_path, suffix, network):
    path = tmp_path / f"net{suffix}"
    network.save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 41):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="damaged or not"):
            Network.load(path)


def entry(shape, begin, end, dtype="F64"):
    return json.dumps({"W": {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}})


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("{nothing", "Expecting property name"),
        ("{}", "end at byte 0 of 8"),
        ('{"W": 3}', "not subscriptable"),
        (entry([1], 0, 8, "F8"), "unknown dtype 'F8'"),
        (entry([2], 0, 8), "W does not fill its bytes"),
        (entry([1], 8, 16), "W does not fill its bytes"),
        (entry([1], 0, 4, "F32"), "end at byte 4 of 8"),
        (entry([10**10], 0, 8 * 10**10), "too small"),
        (entry([-1], 0, -8), "end at byte -8 of 8"),
    ],
)
def test_absurd_safetensors_are_refused(tmp_path, header, told):
    path = tmp_path / "net.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + bytes(8))
    with pytest.raises(ValueError, match=rf"net\.safetensors is damaged or not .*{told}"):
        Network.load(path)


def test_an_absurd_header_length_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "net.safetensors"
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(ValueError, match=f"its header claims {2**62} bytes, the file has 10"):
        Network.load(path)


def test_other_safetensors_are_told_apart(tmp_path):
    path = tmp_path / "other.safetensors"
    safetensors.numpy.save_file({"W_hh": np.eye(2)}, path)
    with pytest.raises(ValueError, match=r"its format is None; schurscope\.load_network reads"):
        Network.load(path)
    metadata = {"format": "schurscope-network-1", "entries": '["W_hh", "W_xh"]'}
    safetensors.numpy.save_file({"W_hh": np.eye(2)}, path, metadata)
    with pytest.raises(ValueError, match="its list of entries does not match"):
        Network.load(path)


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ('{"activation": "gelu"}', "activation must be one of"),
        ('{"gates": 3}', "gates"),
        ("[]", "must be a mapping"),
        ("{", "Expecting property name"),
    ],
)
def test_an_invalid_cell_is_refused(tmp_path, network, cell, told):
    path = tmp_path / "net.npz"
    network.save(path)
    arrays, _ = read_npz(path)
    arrays |= {"cell": np.array(cell), "entries": np.array([*arrays["entries"], "cell"])}
    arrays["entries"].sort()
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=rf"net\.npz does not hold a valid network.*{told}"):
        Network.load(path)


def test_a_cell_reads_as_plain_json(tmp_path, network):
    cell = Cell("relu", "current", 0.1)
    Network(network.W_hh, network.W_xh, network.W_hy, cell=cell).save(tmp_path / "net.npz")
    text = read_npz(tmp_path / "net.npz")[0]["cell"].item()
    assert json.loads(text) == {
        "activation": "relu",
        "form": "current",
        "leak": 0.1,
        "output": "identity",
        "noise": 0.0,
    }  # as versions before 0.2 read it
