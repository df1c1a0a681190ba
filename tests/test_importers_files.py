"""Importing arrays: .npz, MATLAB, HDF5, JSON and dictionaries; and invalid files."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tracemalloc
from functools import partial

import h5py
import numpy as np
import pytest
import safetensors.numpy
import scipy.io

import schurscope as ss
from schurscope.importers import FORMATS, import_network

# Most sources here do not say their activation, of which `test_importers_warnings` has the tests.
pytestmark = pytest.mark.filterwarnings("ignore:assumed activation")

NAMES = ("W_hh", "W_xh", "W_hy", "b_h", "b_y", "h_0")


@pytest.fixture
def arrays(rng, dtype):
    """A network's arrays under this package's names."""
    shapes = [(4, 4), (4, 3), (2, 4), (4,), (2,), (4,)]
    return {n: rng.standard_normal(s).astype(dtype) for n, s in zip(NAMES, shapes, strict=True)}


def assert_holds(network, arrays):
    for name, array in arrays.items():
        ours = getattr(network, name)
        assert (ours.dtype, ours.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(ours, array)


def save_mat_73(path, arrays):
    """As MATLAB 7.3 writes: HDF5 after 512 bytes of its own, columns first, vectors as N×1."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            column_first = array.T if array.ndim == 2 else array[None]
            file.create_dataset(name, data=column_first).attrs["MATLAB_class"] = np.bytes_("double")
    with open(path, "r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def save_hdf5(path, arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


def save_npz(path, arrays, write=np.savez):
    with open(path, "wb") as stream:
        write(stream, **arrays)


def save_json(path, arrays):
    path.write_text(json.dumps({name: array.tolist() for name, array in arrays.items()}))


WRITERS = {
    "npz": save_npz,
    "compressed npz": partial(save_npz, write=np.savez_compressed),
    "mat": scipy.io.savemat,
    "compressed mat": partial(scipy.io.savemat, do_compression=True),
    "column mat": partial(scipy.io.savemat, oned_as="column"),
    "mat 7.3": save_mat_73,
    "hdf5": save_hdf5,
    "safetensors": lambda path, arrays: safetensors.numpy.save_file(arrays, path),
    "json": save_json,
}


@pytest.mark.parametrize("writer", WRITERS)
def test_arrays_under_our_names(tmp_path, writer, arrays):
    path = tmp_path / "network.mat"  # savemat adds this suffix to names that have none
    WRITERS[writer](path, arrays)
    path = path.rename(tmp_path / "no_suffix")
    if writer == "json":  # numbers in JSON have no precision of their own
        arrays = {name: array.astype(np.float64) for name, array in arrays.items()}
    found = import_network(path)
    assert found.format == "arrays"
    assert found.ignored == {}
    assert_holds(found.network, arrays)


def test_dictionaries(arrays):
    assert_holds(ss.load_network(arrays), arrays)
    # As Equinox's users have them: Linear's weight is (out, in).
    weights = {"weight_hh": arrays["W_hh"], "weight_ih": arrays["W_xh"], "bias": arrays["b_h"]}
    readout = {"weight": arrays["W_hy"], "bias": arrays["b_y"]}
    tree = {"cell": weights, "layers": [readout], "name": "mine"}
    found = import_network(tree, keys={"h_0": arrays["h_0"]})
    assert_holds(found.network, arrays)
    assert found.mapped["W_hy"] == "layers.0.weight"
    assert found.mapped["h_0"] == "the given array"
    assert found.ignored == {"name": "str, not an array"}


def test_entries_are_named_and_summed(arrays, dtype):
    own = {"J": arrays["W_hh"], "in": {"w": arrays["W_xh"], "b": arrays["b_h"]}, "c": arrays["b_h"]}
    own["out"] = arrays["W_hy"]
    keys = {"W_hh": "J", "W_xh": "in.w", "W_hy": "out", "b_h": ["in.b", "c"]}
    found = import_network(own, keys=keys)
    np.testing.assert_array_equal(found.network.b_h, arrays["b_h"] + arrays["b_h"])
    assert found.network.dtype == dtype
    assert found.mapped["b_h"] == "in.b + c"


def test_names_in_use_elsewhere_are_plain_arrays(arrays):
    own = {"W_rec": arrays["W_hh"], "W_in": arrays["W_xh"], "W_out": arrays["W_hy"]}
    found = import_network({"net": {**own, "b_rec": arrays["b_h"]}})
    assert found.format == "arrays"
    assert found.network.cell == ss.Cell()
    np.testing.assert_array_equal(found.network.W_hh, arrays["W_hh"])


def test_mixed_dtypes_become_the_widest(arrays):
    found = import_network({**arrays, "W_hh": np.eye(4, dtype=np.float64)})
    assert found.network.dtype == np.float64
    noted = any("converted to float64" in note for note in found.notes)
    assert noted == (arrays["W_xh"].dtype == np.float32)
    single = ss.load_network(arrays, dtype=np.float32)
    np.testing.assert_array_equal(single.W_hh, arrays["W_hh"].astype(np.float32))


def test_integers_and_half_precision(arrays):
    counts = {**arrays, "W_hh": np.arange(16).reshape(4, 4)}
    assert ss.load_network(counts).dtype == np.float64
    with pytest.warns(UserWarning, match=r"widened to float32.*: W_hh \(float16\)$"):
        network = ss.load_network({**arrays, "W_hh": np.full((4, 4), 0.1, np.float16)})
    assert network.W_hh[0, 0] == np.float16(0.1)


def test_our_own_files_and_folders(tmp_path, network, trials):
    cell = ss.Cell("relu", "current", 0.2)
    network = ss.Network(network.W_hh, network.W_xh, network.W_hy, cell=cell)
    for suffix in (".npz", ".safetensors"):
        network.save(tmp_path / f"net{suffix}")
        path = (tmp_path / f"net{suffix}").rename(tmp_path / f"{suffix[1:]}.pt")
        found = import_network(path)
        assert found.format == "schurscope"
        assert found.network.cell == cell
        np.testing.assert_array_equal(found.network.W_hh, network.W_hh)
        assert ss.load_network(path, dtype="float32").dtype == np.float32
        with pytest.raises(ValueError, match=r"Network\.save and needs no options, got leak"):
            ss.load_network(path, leak=0.5)
    trials.save(tmp_path / "trials.npz")
    with pytest.raises(ValueError, match="its format is 'schurscope-trials-1'"):
        ss.load_network(tmp_path / "trials.npz")


def test_leaks_and_the_readout_can_be_given(arrays):
    leaks = np.linspace(0.1, 1, len(arrays["W_hh"]))
    network = ss.load_network(
        arrays, activation="tanh", form="current", leak=leaks, readout="hidden"
    )
    assert network.cell == ss.Cell("tanh", "current", leaks, readout="hidden")
    with pytest.raises(ValueError, match="readout must be 'rates' in the rate form"):
        ss.load_network(arrays, activation="tanh", readout="hidden")


def test_a_format_can_be_insisted_on(arrays):
    assert import_network(arrays, format="arrays").format == "arrays"
    for name in set(FORMATS) - {"arrays"}:
        with pytest.raises(ValueError, match=f"is not in the format '{name}'"):
            ss.load_network(arrays, format=name)
    with pytest.raises(ValueError, match=r"format must be one of .*; did you mean 'torch'"):
        ss.load_network(arrays, format="torsh")


# What is refused


def test_missing_and_unfit_parts_are_told(arrays):
    def without(*names):
        return {name: array for name, array in arrays.items() if name not in names}

    with pytest.raises(ValueError, match=r"the dictionary has no W_hh and no W_xh .*W_hy \(2, 4\)"):
        ss.load_network({"V": arrays["W_hh"], "W_hy": arrays["W_hy"]})
    with pytest.raises(ValueError, match=r"has W_hh but no W_xh; name it with keys"):
        ss.load_network(without("W_xh"))
    with pytest.raises(ValueError, match=r"has no readout"):
        ss.load_network(without("W_hy"))
    with pytest.raises(ValueError, match=r"valid network: W_xh must have shape \(4, N_x\)"):
        ss.load_network({**arrays, "W_xh": arrays["W_xh"].T})
    with pytest.raises(ValueError, match=r"W_hh must be finite, got 1 NaN"):
        ss.load_network({**arrays, "W_hh": np.where(np.eye(4, k=3), np.nan, arrays["W_hh"])})
    with pytest.raises(ValueError, match="W_hh must be float32 or float64, got dtype complex"):
        ss.load_network({**arrays, "W_hh": arrays["W_hh"] * 1j})
    with pytest.raises(ValueError, match=r"keys must be one of 'W_hh', .*got 'W_rec'"):
        ss.load_network(arrays, keys={"W_rec": "W_hh"})
    with pytest.raises(TypeError, match=r"source must be a path, .* got int"):
        ss.load_network(3)


class RunsCode:
    """Unpickling this creates a file: the proof that something was unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_pickled_entries_are_never_loaded(tmp_path, arrays):
    trap = tmp_path / "trap"
    bomb = np.array(RunsCode(trap), object)
    np.savez(tmp_path / "net.npz", transfer_function=bomb, **arrays)
    found = import_network(tmp_path / "net.npz")
    assert_holds(found.network, arrays)
    assert found.ignored == {"transfer_function": "a pickled object, which is never loaded"}
    (tmp_path / "raw").write_bytes(pickle.dumps(RunsCode(trap)))
    with pytest.raises(ValueError, match="raw is a pickle, which is never loaded"):
        ss.load_network(tmp_path / "raw")
    assert not trap.exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"hello, world", "is damaged or of no known format"),
        (b"\x93NUMPY\x01\x00", "holds a single array"),
        (b"\x80\x04K\x01.", "is a pickle"),
        (b'{"W_hh": [[1, 2], [3', "is damaged or not JSON"),
        (b'{"a": 1' + b"0" * 400 + b"}", "has no W_hh"),
        (b'{"a":' * 100_000, "is damaged: it is nested too deeply"),
        (b"PK\x03\x04 and so on", "is damaged"),
        (b"\x89HDF\r\n\x1a\n and so on", "is damaged"),
        ((2**40).to_bytes(8, "little") + b"{}", f"its header claims {2**40} bytes"),
        (b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM\x0e\0\0\0\xff\xff\xff\x7f", "is damaged"),
    ],
)
def test_bad_files_are_refused(tmp_path, content, told):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"file.* {told}"):
        ss.load_network(path)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        ss.load_network(tmp_path / "nothing.pt")
    with pytest.raises(ValueError, match=r"is a folder without the config\.json"):
        ss.load_network(tmp_path)


@pytest.mark.parametrize("writer", WRITERS)
def test_files_cut_short_are_refused_or_whole(tmp_path, writer, arrays):
    path = tmp_path / "network.mat"
    WRITERS[writer](path, arrays)
    whole = path.read_bytes()
    told = []
    step = 499 if writer in ("mat 7.3", "hdf5") else 53  # HDF5 starts a process each time
    for length in range(1, len(whole), step):
        path.write_bytes(whole[:length])
        try:
            network = ss.load_network(path)
        except ValueError as error:
            told.append(str(error))
        else:  # cut where an archive only pads
            np.testing.assert_array_equal(network.W_hh, arrays["W_hh"])
            np.testing.assert_array_equal(network.W_hy, arrays["W_hy"])
    assert all("network.mat" in message for message in told)
    assert len(told) > 0.8 * len(whole) / step


def test_bombs_are_refused_unread(tmp_path):
    zeros = np.zeros((2**10, 2**10))
    np.savez_compressed(tmp_path / "bomb.npz", W_hh=zeros, W_xh=zeros, W_hy=zeros)
    scipy.io.savemat(tmp_path / "bomb.mat", {"W_hh": zeros, "W_xh": zeros}, do_compression=True)
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        file.create_dataset("W_hh", zeros.shape, "f8", chunks=(64, 64), compression="gzip")
    tracemalloc.start()
    for name in ("bomb.npz", "bomb.mat", "bomb.h5"):
        path = tmp_path / name
        assert path.stat().st_size < 2**20
        with pytest.raises(ValueError, match=rf"{name}.*unpack .* more than max_bytes = {2**20};"):
            ss.load_network(path, max_bytes=2**20)
    # Nothing of it was unpacked.
    assert tracemalloc.get_traced_memory()[1] < zeros.nbytes / 2
    tracemalloc.stop()
    # Allowed, it is read.
    assert ss.load_network(tmp_path / "bomb.npz", max_bytes=2**30).n_hidden == 2**10


def test_importing_the_package_imports_no_framework():
    code = (
        "import sys, schurscope\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(loaded & {'torch', 'jax', 'flax', 'keras', 'h5py', 'safetensors'})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def test_a_missing_reader_is_named(tmp_path):
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["W_hh"] = np.eye(2)
    code = (
        "import sys; sys.modules['h5py'] = None\n"
        "import schurscope as ss\n"
        "try:\n    ss.load_network('net.h5')\n"
        "except ImportError as error:\n    print(error)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert 'reading net.h5 needs h5py: pip install "schurscope[io]"' in run.stdout
