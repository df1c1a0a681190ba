"""Shapes and counts, made to harm, of arrays under the names of known projects."""

from __future__ import annotations

import io
import json
import pickle
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib

import h5py
import msgpack
import numpy as np
import pytest
import safetensors.numpy
import scipy.io

import schurscope as ss
from schurscope.importers import import_network
from schurscope.importers.formats.interpreter import dictionary, interpret
from tensorflow_files import message, table
from test_importers_hostile import refused_cheaply

LONG = 60_000
"""A column of this length and a row of it make a matrix of 14 GB."""


def zeros(**shapes):
    return {name.replace("__", "."): np.zeros(shape, "f4") for name, shape in shapes.items()}


NEURALRNN = {"h2h__weight": (6, 6), "input2h__weight": (6, 3), "readout_layer__weight": (2, 6)}
LOWRANK = {"m": (6, 1), "n": (6, 1), "wi": (1, 6), "si": 1, "wo": (6, 1), "so": 1}
SPIKERNN = {"w": (6, 6), "m": (6, 6), "som_m": (6, 6), "w_in": (6, 1), "w_out": (1, 6), "taus": 1}
ABSURD = {
    "wider input": (LOWRANK | {"wi": (1, LONG), "si": LONG}, "has a factor of shape (60000,)"),
    "wider readout": (LOWRANK | {"wo": (LONG, 1), "so": LONG}, "has a factor of shape (60000,)"),
    "wider masks": (
        SPIKERNN | {"w": (LONG, 1), "m": (1, 1), "som_m": (1, LONG)},
        "has a factor of shape (1, 60000) for an array of shape (60000, 1)",
    ),
    "stacks": (
        SPIKERNN | {"w": (9, LONG, 1), "m": (9, 1, LONG), "som_m": 1},
        "the product of (9, 60000, 1) and (9, 1, 60000), which are no matrices",
    ),
    "smc_rnns": (
        {"m": (6, 1), "n": (1, 6), "w_inp": (LONG, 1), "w_inp_scale": LONG, "w_out": (6, 1)}
        | {"w_out_scale": 1},
        "has a factor of shape (60000,) for an array of shape (60000, 1)",
    ),
    "triangle": (
        {"P": LONG, "UppT": LONG, "theta_0": 1, "alpha_0": 1, "U__weight": (3, 3)},
        "has P (60000,) and UppT (60000,), expected two square matrices",
    ),
    "recurrent mask": (
        NEURALRNN | {"h2h__weight": (LONG, 1), "rec_mask": (1, LONG)},
        "has a factor of shape (1, 60000)",
    ),
    "output mask": (
        NEURALRNN | {"readout_layer__weight": (LONG, 1), "out_mask": (LONG, 1)},
        "has a factor of shape (1, 60000)",
    ),
    "padding": (
        NEURALRNN | {"h2h__weight": (3000, 3000), "readout_layer__weight": (10**6, 1)},
        "needs the product of (1000000, 1) and (1, 3000), too large for a file of",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", ABSURD)
def test_no_small_file_makes_large_arrays(tmp_path, case):
    shapes, told = ABSURD[case]
    np.savez_compressed(path := tmp_path / "net.npz", **zeros(**shapes))
    refused_cheaply(path, told)


@pytest.mark.slow
def test_the_identity_is_added_to_square_matrices_only(tmp_path):
    config = {"model_type": "ctrnn", "alpha": 0.5, "nonlinearity_mode": "post_blend"}
    (tmp_path / "config.json").write_text(json.dumps(config | {"activation": "relu"}))
    weights = zeros(**NEURALRNN | {"h2h__weight": (LONG, 1)})
    safetensors.numpy.save_file(weights, tmp_path / "model.safetensors")
    refused_cheaply(tmp_path, "has a recurrent matrix of shape (60000, 1), which is not square")
    tree = {"i": {"kernel": np.zeros((3, 1))}, "h": {"kernel": np.zeros((1, LONG))}}
    readout = {"kernel": np.zeros((LONG, 1))}
    with pytest.raises(ValueError, match=r"recurrent matrix of shape \(60000, 1\), which is not"):
        ss.load_network({"cell": tree, "dense": readout}, residual=True)


@pytest.mark.parametrize("mode", ["pre_activation", "post_blend"])
def test_neuralrnn_without_its_recurrent_matrix(tmp_path, rng, mode):
    config = {"model_type": "ctrnn", "alpha": 0.5, "nonlinearity_mode": mode, "activation": "relu"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    names = {**NEURALRNN, "dale_mask": (6, 6), "other": NEURALRNN["h2h__weight"]}
    weights = {name: rng.standard_normal(a.shape) for name, a in zeros(**names).items()}
    del weights["h2h.weight"]
    safetensors.numpy.save_file(weights, tmp_path / "model.safetensors")
    told = "has no W_hh" if mode == "pre_activation" else "needs h2h.weight to compute W_hh"
    with pytest.raises(ValueError, match=told):
        ss.load_network(tmp_path)
    if mode == "pre_activation":
        with pytest.warns(UserWarning, match="not part of the imported network: dale_mask"):
            network = ss.load_network(tmp_path, keys={"W_hh": "other"})
        np.testing.assert_array_equal(network.W_hh, weights["other"])


def test_products_of_expressions_are_bounded(tmp_path):
    arrays = zeros(a=(4900, 4900), W_xh=(4900, 1), W_hy=(1, 4900))
    np.savez_compressed(path := tmp_path / "net.npz", **arrays)
    with pytest.raises(ValueError, match=r"net\.npz needs the product of .*, too large for a file"):
        ss.load_network(path, keys={"W_hh": "a @ a"})


def test_unused_vectors_are_kept_as_vectors(tmp_path):
    """Of thousands of networks that they could make, none is made before a reference disagrees."""
    arrays = zeros(W_hh=(9, 9), W_xh=(9, 1), W_hy=(1, 9), **{f"v{i}": 9 for i in range(3000)})
    np.savez_compressed(path := tmp_path / "net.npz", **arrays)
    variants = import_network(path).variants
    assert len(variants) == 100
    assert all(vector.shape == (9,) for _, make in variants for vector in make().values())


SHAPE = (2**62,) * 100_000
"""Multiplying these lengths takes long."""


@pytest.mark.slow
def test_absurd_shapes_of_pickles_and_messagepack(tmp_path):
    class Absurd:
        def __reduce__(self):
            state = (1, SHAPE, np.dtype("f8"), False, b"")
            return (*np.zeros(1).__reduce__()[:2], state)

    (tmp_path / "net.pkl").write_bytes(pickle.dumps({"a": Absurd()}))
    refused_cheaply(tmp_path / "net.pkl", "an array of 100000 axes")
    content = msgpack.ExtType(1, msgpack.packb((SHAPE, "float64", b"")))
    (tmp_path / "net.msgpack").write_bytes(msgpack.packb({"a": content}))
    refused_cheaply(tmp_path / "net.msgpack", "an array of 100000 axes")


# One text, list or number of a file that costs anew each time it is referred to


def long_text(text):
    return b"X" + struct.pack("<I", len(text)) + text


def named(name):
    """The operation of a pickle that names a function."""
    return "c{}\n{}\n".format(*name.rsplit(".", 1)).encode()


def torch_file(path, pickled):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + pickled)
    return path


DTYPE = named("numpy.dtype") + b"(X\x02\x00\x00\x00u1\x89\x88tR"
SIZE = 900_000
SHARED = {
    "bytearray": b"\x96" + struct.pack("<Q", SIZE) + bytes(SIZE),
    "text": long_text(b"a" * SIZE),
}


@pytest.mark.parametrize(
    ("how", "kind"),
    [(how, kind) for how in ("_frombuffer", "_reconstruct") for kind in SHARED]
    + [("_codecs.encode", "text")],
)
def test_arrays_of_a_pickle_do_not_copy_what_they_share(tmp_path, how, kind):
    each = {
        "_frombuffer": b"h\x02(h\x00h\x01J" + struct.pack("<i", SIZE) + b"\x85K\x00tR",
        "_reconstruct": b"h\x02)R(K\x01J" + struct.pack("<i", SIZE) + b"\x85h\x01\x89h\x00tb",
        "_codecs.encode": b"h\x02h\x00K\x00\x86R",
    }[how]
    function = named(how if "." in how else f"numpy.core.multiarray.{how}")
    start = b"\x80\x04" + SHARED[kind] + b"q\x000" + DTYPE + b"q\x010" + function + b"q\x020}("
    entries = b"".join(b"\x8c\x05%05d" % number + each for number in range(5000))
    (tmp_path / "net.pkl").write_bytes(start + entries + b"u.")
    refused_cheaply(tmp_path / "net.pkl", "share their bytes")


def test_names_of_a_pickle_that_become_one(tmp_path):
    (tmp_path / "net.pkl").write_bytes(pickle.dumps({1: np.ones(2), "1": np.zeros(2)}))
    with pytest.raises(ValueError, match=r"net\.pkl.*'1' occurs twice"):
        ss.load_network(tmp_path / "net.pkl")


def test_calls_of_a_pickle_do_not_copy_what_they_share(tmp_path):
    path, twice = tmp_path / "net.pt", b"h\x01h\x00R0" * 60_000
    many = b"(" + b"N" * 150_000 + b"tq\x000"
    torch_file(path, named("torch.device") + b"q\x010" + many + b"}(K\x01" + twice + b"Nu.")
    refused_cheaply(path, "arguments that are no tuple of at most 100")
    text = long_text(b"a" * 500_000) + b"q\x000"
    torch_file(path, named("torch.device") + b"q\x010" + text + b"}(K\x01" + twice + b"Nu.")
    refused_cheaply(path, "arguments that are no tuple of at most 100")
    entries = b"}(" + b"".join(b"J%bN" % struct.pack("<i", n) for n in range(60_000)) + b"uq\x000"
    copies = b"}K\x01](" + b"h\x01h\x00\x85R" * 60_000 + b"es."
    torch_file(path, named("collections.OrderedDict") + b"q\x010" + entries + copies)
    refused_cheaply(path, "a dictionary of what is no list")
    torch_file(
        path, named("collections.OrderedDict") + b"])" + b"q\x00h\x00\x86" * 60 + b"N\x86a\x85R."
    )
    refused_cheaply(path, "a name is a tuple")


def test_ordered_dictionaries_of_python_2():
    """Their pickles list the entries; a list that is used again is empty."""
    pairs = b"]q\x00](K\x01K\x02ea](K\x03K\x04ea"
    call = named("collections.OrderedDict") + b"q\x01"
    pickled = b"\x80\x02]" + call + pairs + b"\x85Ra" + b"h\x01h\x00\x85Ra."
    content, _ = interpret(pickled, lambda _: dictionary, lambda _: None)
    assert content == [{1: 2, 3: 4}, {}]


# Small in a compressed container, large outside


def test_text_of_a_torch_file_is_not_widened(tmp_path):
    text = long_text(b"a" * 2**26 + "\U0001f600".encode())
    torch_file(tmp_path / "net.pt", b"}K\x01" + text + b"s.")
    refused_cheaply(tmp_path / "net.pt", "its pickle has")


def test_small_integers_of_matlab_that_would_become_doubles(tmp_path):
    path, n = tmp_path / "net.mat", 95 * 2**20

    def element(kind, data):
        return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)

    for double_or_int64 in (6, 14):
        flags = element(6, struct.pack("<II", double_or_int64, 0))
        matrix = flags + element(5, struct.pack("<ii", 1, n)) + element(1, b"W_hh")
        matrix = element(14, matrix + element(2, bytes(n)))
        packed = zlib.compress(matrix)
        head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + struct.pack("<II", 15, len(packed))
        path.write_bytes(head + packed)
        refused_cheaply(path, f"{8 * n} bytes, more than max_bytes")


def test_text_arrays_without_characters_are_not_expanded(tmp_path):
    path = tmp_path / "net.npz"
    for code in ("<U0", "|S0", "|V0"):
        empty = np.ndarray((10**9,), code, b"")
        np.savez(path, format=empty, entries=empty, cell=empty, W_hh=np.eye(3))
        refused_cheaply(path, "is not a schurscope-network-1 file: its format is None")


def keras_file(path, config, weights):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", weights)


def test_configurations_of_keras_are_bounded(tmp_path):
    path = tmp_path / "net.keras"
    with h5py.File(weights := io.BytesIO(), "w") as file:
        file["layers/rnn/cell/vars/0"] = np.ones((2, 2))
    keras_file(path, '{"config": {"layers": [' + "0.1," * 15_000_000 + "0]}}", weights.getvalue())
    refused_cheaply(path, "has a config.json of")


def test_the_time_for_weights_of_keras_goes_by_the_size_of_the_file(tmp_path, monkeypatch):
    path, sizes = tmp_path / "net.keras", []
    keras_file(path, "{}", bytes(2**24))
    monkeypatch.setattr(
        "schurscope.importers.formats.hdf5.records_of_child",
        lambda _script, _stream, size, _max_bytes: (_ for _ in sizes.append(size) or ()),
    )
    with pytest.raises(ValueError, match="damaged configuration"):
        ss.load_network(path)
    assert sizes[0] <= max(path.stat().st_size, path.stat().st_blocks * 512)


def test_there_may_be_so_many_arrays(tmp_path):
    path = tmp_path / "net.msgpack"
    path.write_bytes(msgpack.packb({str(number): [1] for number in range(120_000)}))
    refused_cheaply(path, "more than 50000 arrays")


def test_places_beyond_the_data_of_tensorflow(tmp_path):
    path = tmp_path / "net.index"
    (tmp_path / "net.data-00000-of-00001").write_bytes(bytes(64))
    for offset in (60, 2**62, 2**63 - 1, 2**64 - 1):
        entry = message((1, 1), (4, offset), (5, 16), (6, 0))
        path.write_bytes(table([(b"", message((1, 1))), (b"W_hh", entry)]))
        with pytest.raises(ValueError, match=r"net\.index is damaged.*lies beyond the data"):
            ss.load_network(path)


def test_a_zip_of_another_pickle_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "net.zip", "w") as archive:
        archive.writestr("mydata.pkl", b"\x80\x02}.")
    with pytest.raises(ValueError, match=r"net\.zip is a zip archive of mydata\.pkl, not"):
        ss.load_network(tmp_path / "net.zip")


WITHOUT_MEMORY = """
import resource, sys
import schurscope as ss
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
for megabytes in (0, 20, 80, 130, 200):
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 2**20, resource.RLIM_INFINITY))
    for path in sys.argv[1:]:
        try:
            ss.load_network(path, activation="tanh")
        except ValueError as error:
            assert "needs more memory than there is" in str(error), error
            assert path in str(error), error
            print(path)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory as Linux does")
def test_a_file_is_not_called_damaged_because_memory_is_short(tmp_path):
    matrix = np.zeros((4000, 4000))
    arrays = {"W_hh": matrix, "W_xh": np.ones((4000, 1)), "W_hy": np.ones((1, 4000))}
    paths = [str(tmp_path / f"net.{suffix}") for suffix in ("npz", "safetensors", "mat")]
    np.savez(paths[0], **arrays)
    safetensors.numpy.save_file(arrays, paths[1])
    scipy.io.savemat(paths[2], arrays)
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_MEMORY, *paths], capture_output=True, text=True, timeout=600
    )
    assert run.returncode == 0, run.stderr
    assert set(run.stdout.split()) == set(paths)


# float16, which becomes float32


@pytest.mark.slow
def test_halves_of_a_pickle_that_share_their_bytes_are_not_widened(tmp_path):
    shared = b"B" + struct.pack("<I", SIZE) + bytes(SIZE) + b"q\x000"
    half = named("numpy.dtype") + b"(X\x02\x00\x00\x00f2\x89\x88tRq\x010"
    function = named("numpy.core.multiarray._frombuffer") + b"q\x020}("
    each = b"h\x02(h\x00h\x01J" + struct.pack("<i", SIZE // 2) + b"\x85X\x01\x00\x00\x00CtR"
    entries = b"".join(b"\x8c\x05%05d" % number + each for number in range(5000))
    (tmp_path / "net.pkl").write_bytes(b"\x80\x04" + shared + half + function + entries + b"u.")
    refused_cheaply(tmp_path / "net.pkl", "its float16 arrays would be too large as float32")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["npz", "h5", "keras"])
def test_halves_of_a_small_file_that_would_become_large_are_refused(tmp_path, kind):
    path, n = tmp_path / f"net.{kind}", 6000
    arrays = {"W_hh": np.zeros((n, n), "f2"), "W_xh": np.zeros((n, 1)), "W_hy": np.zeros((1, n))}
    if kind == "npz":
        np.savez_compressed(path, **arrays)
    else:
        with h5py.File(weights := io.BytesIO(), "w") as file:
            for name, array in arrays.items():
                file.create_dataset(name, array.shape, array.dtype)  # never written
        path.write_bytes(weights.getvalue())
        if kind == "keras":
            keras_file(path, "{}", weights.getvalue())
    assert path.stat().st_size < 2**20
    refused_cheaply(path, "its float16 arrays would be too large as float32")


@pytest.mark.parametrize("kind", ["Half", "BFloat16"])
def test_halves_of_a_torch_file_count_as_they_are_read(tmp_path, kind):
    n = 6000
    storage = b"(%bctorch\n%bStorage\n" % (long_text(b"storage"), kind.encode())
    storage += long_text(b"0") + long_text(b"cpu") + b"K\x01tQ"
    sides = b"(" + 2 * (b"J" + struct.pack("<i", n)) + b"t"
    tensor = named("torch._utils._rebuild_tensor_v2") + b"(" + storage + b"K\x00" + sides
    path = torch_file(tmp_path / "net.pt", b"}K\x01" + tensor + b"(K\x00K\x00t\x89}tRs.")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/data/0", bytes(2))
    with pytest.raises(ValueError, match=f"{4 * n * n} bytes, more than max_bytes"):
        ss.load_network(path)


def test_weights_that_are_compressed_load_whatever_their_size(tmp_path, rng):
    arrays = {"W_hh": rng.standard_normal((60, 60)), "W_xh": np.ones((60, 1))}
    halves = {name: array.astype("f2") for name, array in arrays.items()}
    for name, stored in (("net.npz", arrays), ("halves.npz", halves)):
        np.savez_compressed(tmp_path / name, **stored, W_hy=np.ones((1, 60), stored["W_hh"].dtype))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "assumed activation|widened to float32")
            network = ss.load_network(tmp_path / name, max_bytes=1)
        np.testing.assert_array_equal(network.W_hh, stored["W_hh"])
