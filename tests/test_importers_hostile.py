"""Files that are damaged, or made to harm: each is refused, soon and without filling the memory."""

from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import struct
import subprocess
import sys
import threading
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
from schurscope._internal.files import MAX_BYTES
from schurscope.importers import import_network
from tensorflow_files import message, table

# Most sources here do not say their activation, of which `test_importers_warnings` has the tests.
pytestmark = pytest.mark.filterwarnings("ignore:assumed activation")

SHAPES = {"W_hh": (4, 4), "W_xh": (4, 3), "W_hy": (2, 4), "b_h": (4,), "b_y": (2,)}


@pytest.fixture
def arrays(rng):
    return {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}


def same(network, arrays):
    return all(np.array_equal(getattr(network, name), array) for name, array in arrays.items())


COST = """
import json, re, resource, sys, warnings
import schurscope as ss
warnings.simplefilter("ignore")
used = lambda who: resource.getrusage(who)
told = ""
before = used(resource.RUSAGE_SELF).ru_utime
try:
    ss.load_network(sys.argv[1])
except (ValueError, TypeError, OSError) as error:
    told = str(error)
both = used(resource.RUSAGE_SELF), used(resource.RUSAGE_CHILDREN)
cpu = sum(one.ru_utime + one.ru_stime for one in both) - before
# ru_maxrss of this process is at least that of the process that started it.
own = re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]
print(json.dumps([told, cpu, (int(own) + both[1].ru_maxrss) * 1024]))
"""


def refused_cheaply(path, told):
    """The message that a fresh process gives, if it took at most 2 s of CPU and 1 GB.

    Its tests are slow, as Python starts anew, and other work on the machine adds to the time.
    """
    run = subprocess.run(
        [sys.executable, "-c", COST, path], capture_output=True, text=True, check=True, timeout=600
    )
    message, seconds, memory = json.loads(run.stdout)
    assert told in message
    assert str(path) in message
    assert seconds < 2
    assert memory < 1e9


# Damage


@pytest.mark.parametrize("version", ["npz", "compressed npz", "compressed mat"])
def test_no_flipped_bit_changes_a_number(tmp_path, arrays, version):
    path = tmp_path / "net.mat"
    if version == "compressed mat":
        scipy.io.savemat(path, arrays, do_compression=True, oned_as="column")
    else:
        with open(path, "wb") as stream:
            (np.savez if version == "npz" else np.savez_compressed)(stream, **arrays)
    whole = path.read_bytes()
    n_refused = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            network = ss.load_network(path)
        except ValueError:
            n_refused += 1
        else:  # the bit means nothing, such as one of a date
            assert same(network, arrays)
    assert n_refused > 0.5 * len(whole)


@pytest.mark.parametrize("kind", ["truncated", "longer", "without checksum", "with more"])
def test_a_matlab_element_must_end_with_its_checksum(tmp_path, arrays, kind):
    path = tmp_path / "net.mat"
    scipy.io.savemat(path, arrays)
    whole = path.read_bytes()
    packed = {
        "truncated": zlib.compress(whole[128:-8]),
        "longer": zlib.compress(whole[128:] + bytes(8)),
        "without checksum": zlib.compress(whole[128:])[:-4],
        "with more": 2 * zlib.compress(whole[128:]),
    }
    tag = struct.pack("<II", 15, len(packed[kind]))
    path.write_bytes(whole[:128] + tag + packed[kind])
    with pytest.raises(ValueError, match=r"net\.mat is damaged: .*(length|end with|beyond)"):
        ss.load_network(path)


def zip_with(path, arrays, extra=(), method=zipfile.ZIP_STORED):
    """An .npz whose last entries are repeated or foreign."""
    np.savez(path, **arrays)
    with zipfile.ZipFile(path, "a", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that occur twice
        for name, content in extra:
            archive.writestr(name, content)


def npy(array):
    """The bytes of an .npy file."""
    header = repr({"descr": array.dtype.str, "fortran_order": False, "shape": array.shape})
    header = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + array.tobytes()


def test_a_directory_that_omits_entries_is_refused(tmp_path, arrays):
    path = tmp_path / "net.npz"
    np.savez(path, **arrays)
    whole = path.read_bytes()
    start = whole.rindex(b"PK\x01\x02", 0, whole.rindex(b"b_h.npy"))
    end = whole.rindex(b"PK\x05\x06")
    # The comment of the entry before swallows the entries of both biases.
    before = whole.rindex(b"PK\x01\x02", 0, start)
    damaged = bytearray(whole)
    damaged[before + 32 : before + 34] = struct.pack("<H", end - start)
    path.write_bytes(damaged)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["W_hh.npy", "W_xh.npy", "W_hy.npy"]
    with pytest.raises(ValueError, match=r"net\.npz is damaged.*its directory omits"):
        ss.load_network(path)


def test_names_that_occur_twice_are_refused(tmp_path, arrays):
    path = tmp_path / "net"
    other = npy(arrays["W_hh"] + 1)
    zip_with(tmp_path / "net.npz", arrays, [("W_hh.npy", other)])
    zip_with(tmp_path / "suffix.npz", arrays, [("W_hh", other)])
    text = json.dumps({name: array.tolist() for name, array in arrays.items()})
    (tmp_path / "net.json").write_text(text[:-1] + ', "W_hh": [[1]]}')
    (tmp_path / "nested.json").write_text(text[:-1] + ', "a": {"b": [1.0]}, "a.b": [1.0]}')
    safetensors.numpy.save_file(arrays, path)
    whole = path.read_bytes()
    entry = json.dumps({"b_y": {"dtype": "F64", "shape": [0], "data_offsets": [0, 0]}})
    header = entry[:-1].encode() + b"," + whole[9 : 8 + int.from_bytes(whole[:8], "little")]
    rest = whole[8 + int.from_bytes(whole[:8], "little") :]
    (tmp_path / "net.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + rest)
    for name in ("net.npz", "suffix.npz", "net.json", "nested.json", "net.safetensors"):
        with pytest.raises(
            ValueError, match=rf"{name}.*(W_hh|b_y|a\.b).*(twice|2 times)|{name}.*two entr"
        ):
            ss.load_network(tmp_path / name)


# Files that cost much more than their size


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_methods_are_refused_unread(tmp_path, arrays, method):
    path = tmp_path / "net.npz"
    zip_with(path, arrays, [("huge.npy", npy(np.zeros(10**6)))], method)
    with pytest.raises(ValueError, match=r"net\.npz.*only stored and deflated entries are read"):
        ss.load_network(path)


@pytest.mark.slow
def test_an_entry_that_unpacks_to_more_than_it_declares_is_cut_off(tmp_path, arrays):
    path = tmp_path / "net.npz"
    zip_with(path, arrays, [("x.npy", bytes(10**9))], zipfile.ZIP_DEFLATED)
    whole = path.read_bytes()
    assert whole.count(struct.pack("<I", 10**9)) == 2  # before the entry and in the directory
    path.write_bytes(whole.replace(struct.pack("<I", 10**9), struct.pack("<I", 100)))
    refused_cheaply(path, "damaged")


@pytest.mark.slow
def test_text_arrays_are_not_expanded(tmp_path):
    """Text that would be gigabytes as Python's own strings."""
    path = tmp_path / "net.npz"
    text = np.zeros(MAX_BYTES // 4 - 2**10, "U1")
    np.savez_compressed(path, format=text, entries=text[:1])
    assert path.stat().st_size < 2**20
    refused_cheaply(path, "is not a schurscope-network-1 file")


@pytest.mark.slow
def test_zeros_of_the_largest_size_are_affordable(tmp_path):
    path, n = tmp_path / "net.npz", 3530
    matrix = np.zeros((n, n))
    np.savez_compressed(path, W_hh=matrix, W_xh=matrix[:, :1], W_hy=np.full((1, n), np.nan))
    assert matrix.nbytes > 0.99 * MAX_BYTES
    assert path.stat().st_size < 2**20
    refused_cheaply(path, "W_hy must be finite")


@pytest.mark.slow
def test_small_integers_that_would_become_a_matrix_of_doubles_are_refused(tmp_path):
    path, n = tmp_path / "net.npz", 9900
    matrix = np.zeros((n, n), np.int8)
    np.savez_compressed(path, W_hh=matrix, W_xh=matrix[:, :1], W_hy=matrix[:1])
    refused_cheaply(path, "as float64")


@pytest.mark.slow
def test_large_products_of_a_small_file_are_refused(tmp_path):
    path, n = tmp_path / "net.npz", 20_000
    column, row = np.ones((n, 1)), np.ones((1, n))
    np.savez_compressed(path, m=column, n=column, wi=row, si=row[0, :1], wo=column, so=row[0, :1])
    refused_cheaply(path, "too large for a file of")
    path, n = tmp_path / "net.npz", 3500
    matrix, row = np.zeros((n, n), np.float32), np.zeros((1, n), np.float32)
    entries = {"m": matrix, "n": matrix, "wi": row, "si": row[0, :1], "wo": row.T, "so": row[0, :1]}
    np.savez_compressed(path, **entries)
    refused_cheaply(path, "too large for a file of")


@pytest.mark.slow
def test_cayley_parameters_of_a_small_file_are_refused(tmp_path):
    path, n = tmp_path / "net.npz", 3500
    matrix, column = np.eye(n, dtype=np.float32), np.zeros((n, 1), np.float32)
    arrays = {"W_hh": matrix, "W_xh": column, "W_hy": column.T, "cayley_U": matrix}
    arrays |= {"cayley_pairs": np.zeros((0, 2), np.float32), "cayley_reals": column[:, 0]}
    np.savez_compressed(path, format="schurscope-network-1", entries=sorted(arrays), **arrays)
    refused_cheaply(path, "cannot hold cayley_U")


@pytest.mark.slow
def test_hdf5_chunks_larger_than_their_data_set(tmp_path):
    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        made = file.create_dataset(
            "W_hh", (2, 2), "f8", maxshape=(None, None), chunks=(2**13, 2**13), compression=1
        )
        made[:] = 1
    refused_cheaply(path, "more than max_bytes")


@pytest.mark.slow
def test_hdf5_that_takes_too_long(tmp_path):
    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        made = file.create_dataset("W_hh", (2**22, 2), "f8", chunks=(1, 2))
        made[0] = 1  # millions of chunks that do not exist
        for number in range(100):
            file.create_dataset(f"x{number}", (2**15, 2), "f4", chunks=(1, 1), fillvalue=number)
    refused_cheaply(path, "net.h5")


def torch_file(path, content):
    """A file of torch.save with this object and no storages."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))


def shared(empty, depth):
    """A container that holds another twice, which holds another twice, and so on."""
    found = empty
    for _ in range(depth):
        found = [found, found] if isinstance(empty, list) else {"a": found, "b": found}
    return found


@pytest.mark.slow
@pytest.mark.parametrize("empty", [[], {}, [1.0] * 1000], ids=["lists", "dictionaries", "numbers"])
def test_shared_containers_of_torch_files_are_not_expanded(tmp_path, empty):
    torch_file(tmp_path / "net.pt", {"a": shared(empty, 40)})
    assert (tmp_path / "net.pt").stat().st_size < 10_000
    refused_cheaply(tmp_path / "net.pt", "too many")


@pytest.mark.slow
def test_hashes_of_shared_tuples_are_not_computed(tmp_path):
    """Python computes the hash of a tuple from the hashes of its items, each time anew."""
    pickled = b"\x80\x02}(" + b")" + b"q\x00h\x00\x86" * 60 + b"K\x01u."
    with zipfile.ZipFile(tmp_path / "net.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
    refused_cheaply(tmp_path / "net.pt", "a name is a tuple")


@pytest.mark.slow
@pytest.mark.parametrize("protocol", [2, 4])
def test_pickles_are_as_bounded_as_torch_files(tmp_path, protocol):
    path = tmp_path / "net.pkl"
    path.write_bytes(b"\x80\x02}(" + b")" + b"q\x00h\x00\x86" * 60 + b"K\x01u.")
    refused_cheaply(path, "a name is a tuple")
    path.write_bytes(b"\x80\x02" + b"N" * 500_000 + b".")
    refused_cheaply(path, "operations")
    path.write_bytes(b"\x80\x02X\xff\xff\xff\xff.")  # text of 4 GB
    refused_cheaply(path, "net.pkl")
    path.write_bytes(pickle.dumps({"n" * 900: [{}] * 50_000}, protocol))
    refused_cheaply(path, "net.pkl")


@pytest.mark.slow
def test_indices_of_tensorflow_with_absurd_counts(tmp_path):
    path = tmp_path / "net.index"
    path.write_bytes(table([(b"", message((1, 2**62)))]))
    refused_cheaply(path, "files of data")
    shape = message(*((2, message((1, 2**60))) for _ in range(50_000)))
    entry = message((1, 1), (2, shape), (5, 0))
    path.write_bytes(table([(b"", message((1, 1))), (b"a", entry)]))
    (tmp_path / "net.data-00000-of-00001").write_bytes(b"")
    refused_cheaply(path, "50000 axes")


def test_names_that_occur_twice_in_messagepack(tmp_path):
    path = tmp_path / "net.msgpack"
    path.write_bytes(b"\x82" + 2 * (msgpack.packb("W_hh") + msgpack.packb(1.0)))
    with pytest.raises(ValueError, match=r"net\.msgpack.*'W_hh' occurs twice"):
        ss.load_network(path)


@pytest.mark.slow
def test_containers_that_hold_themselves_are_refused(tmp_path):
    ring = []
    ring.append(ring)
    torch_file(tmp_path / "net.pt", {"a": ring})
    refused_cheaply(tmp_path / "net.pt", "net.pt")
    torch_file(tmp_path / "net.pt", {"a": {"b": 1.0, "c": [[[ring, ring]]]}})
    refused_cheaply(tmp_path / "net.pt", "net.pt")


@pytest.mark.slow
@pytest.mark.parametrize(
    "pickled", [b"N" * 500_000 + b".", b"(" * 500_000 + b"."], ids=["values", "marks"]
)
def test_absurdly_long_pickles_are_refused_soon(tmp_path, pickled):
    with zipfile.ZipFile(tmp_path / "net.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + pickled)
    refused_cheaply(tmp_path / "net.pt", "operations")


@pytest.mark.slow
@pytest.mark.parametrize("inner", ["[]", "{}"])
def test_long_names_in_json_are_not_repeated(tmp_path, inner):
    path = tmp_path / "net.json"
    path.write_text(json.dumps({"n" * 800_000: [json.loads(inner)] * 50_000}))
    refused_cheaply(path, "it has a name of")
    path.write_text(json.dumps({"n" * 990: [json.loads(inner)] * 300_000}))
    refused_cheaply(path, "too many characters in names")
    path.write_text(json.dumps({"/." * 400: {str(n): [1.0] for n in range(50_000)}}))
    refused_cheaply(path, "too many characters in names")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": [%s0]}' % ("0," * 17_000_000), "more than 16000000 entries"),
        ('{"a": [%s0]}' % ("[],{}," * 300_000), "strings, lists and objects"),
        ('{"a": %s0%s}' % ("[" * 90, "]" * 90), "has no W_hh"),  # noqa: UP031
        ('{"a":' * 90 + "0" + "}" * 90, "nested more than 64 levels"),
        ('{"a": [0, %s"%s"]}' % ("0," * 200_000, "x" * 10**6), "too many entries"),  # noqa: UP031
    ],
    ids=["numbers", "containers", "axes", "levels", "text"],
)
def test_absurd_json_is_refused_soon(tmp_path, text, told):
    path = tmp_path / "net.json"
    path.write_text(text)
    refused_cheaply(path, told)


@pytest.mark.slow
def test_absurd_safetensors_headers_are_refused_soon(tmp_path):
    path = tmp_path / "net.safetensors"
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    for header, told in (
        (json.dumps({str(n): entry for n in range(200_000)}), "a header of"),
        (json.dumps({"a": {**entry, "shape": [10**18] * 100_000}}), "has 100000 axes"),
    ):
        path.write_bytes(struct.pack("<Q", len(header)) + header.encode())
        refused_cheaply(path, told)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="files have holes on other systems")
def test_holes_in_a_file_do_not_count(tmp_path):
    size = 10**11
    header = {"a": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}
    text = json.dumps(header).encode()
    heads = {
        "net.safetensors": struct.pack("<Q", len(text)) + text,
        "net.json": b'{"a": [',
        "net.mat": b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + struct.pack("<II", 14, 2**31),
    }
    for name, head in heads.items():
        with open(tmp_path / name, "wb") as stream:
            stream.write(head)
            stream.truncate(len(text) + 8 + size)
        assert (tmp_path / name).stat().st_blocks < 100
        refused_cheaply(tmp_path / name, "it would unpack from")


# What would wait for ever


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_devices_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", "/dev/stdin"):
        for load in (ss.load_network, ss.Network.load, ss.Trials.load):
            code = f"import schurscope as ss; ss.{load.__qualname__}({str(path)!r})"
            run = subprocess.run(
                [sys.executable, "-c", code], input="x", capture_output=True, text=True, timeout=600
            )
            assert f"OSError: {path} is not a regular file but a pipe" in run.stderr


@pytest.fixture
def endless(tmp_path):
    """An HDF5 file that takes its library much longer than any limit."""
    if h5py.version.hdf5_version_tuple < (1, 14):
        pytest.skip("this HDF5 reads chunks that were never written at once")
    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        for number in range(1000):
            file.create_dataset(f"x{number}", (2**14,), "u1", chunks=(1,), fillvalue=number % 256)
    return path


def test_ctrl_c_ends_the_reading_of_hdf5_and_leaves_no_process(endless, monkeypatch):
    started = []
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))

    class Interrupted(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)
            timer.start()

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    try:
        with pytest.raises(KeyboardInterrupt):
            ss.load_network(endless)
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)
    # It was stopped, not waited for until its own limit of more than a second.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - used < 1
    (child,) = started
    with pytest.raises(ChildProcessError):
        os.waitpid(child.pid, os.WNOHANG)


def test_the_limit_on_cpu_time_names_the_way_out(endless):
    with pytest.raises(ValueError, match=r"net\.h5.*takes more than 1\..* s.*give trusted=True"):
        ss.load_network(endless)


def test_trusted_hdf5_is_read_in_this_process(tmp_path, arrays, monkeypatch):
    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    assert same(ss.load_network(path), arrays)
    monkeypatch.setattr(subprocess, "Popen", None)
    assert same(ss.load_network(path, trusted=True), arrays)
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(ValueError, match=r"no Python to read it .* give trusted=True"):
        ss.load_network(path)


def test_a_reader_that_dies_is_told(tmp_path, arrays, monkeypatch):
    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        file["W_hh"] = arrays["W_hh"]
    script = tmp_path / "script.py"
    monkeypatch.setattr("schurscope.importers.formats.hdf5.hdf5_records.__file__", str(script))
    for text, told in (
        ("import os; os.abort()", r"ends the process that reads it \(status -6\)"),
        ("print('x' * 100)", "was damaged by it"),
        ("import sys, os; os.write(1, (5).to_bytes(8, 'little') + b'[1,2]')", "was damaged by it"),
        ("import os; os.write(1, (1 << 30).to_bytes(8, 'little'))", "was damaged by it"),
    ):
        script.write_text(text)
        with pytest.raises(ValueError, match=rf"net\.h5.*{told}"):
            ss.load_network(path)


# Messages


def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path, arrays):
    bad = "\x1b]0;owned\x07\x1b[2J\u202e"
    paths = [tmp_path / f"net.{suffix}" for suffix in ("npz", "json", "safetensors", "h5")]
    entries = {**arrays, bad: arrays["b_h"], f"{bad}.weight": arrays["W_hy"]}
    np.savez(paths[0], **entries)
    paths[1].write_text(json.dumps({name: array.tolist() for name, array in entries.items()}))
    safetensors.numpy.save_file(entries, paths[2])
    with h5py.File(paths[3], "w") as file:
        for name, array in entries.items():
            file[name] = array
    for path in paths:
        with pytest.warns(UserWarning, match=r"\\x1b\]0;owned\\x07") as told:
            ss.load_network(path)
        found = import_network(path)
        texts = [str(warning.message) for warning in told] + [str(found), *found.notes]
        with pytest.raises(ValueError, match=r"\\x1b") as error:
            ss.load_network(path, keys={"W_hy": "nothing"})
        for text in [*texts, str(error.value)]:
            assert all(line.isprintable() for line in text.splitlines())
        # The name that is shown can be given.
        shown = next(name for name in found.ignored if "x1b" in name and "weight" not in name)
        named = import_network(path, keys={"h_0": shown}).network
        np.testing.assert_array_equal(named.h_0, arrays["b_h"])


def test_text_of_code_points_that_do_not_exist(tmp_path, arrays):
    path = tmp_path / "net.npz"
    text = np.full(3, 0x7FFFFFFF, "<u4").view("<U3")
    np.savez(path, x=text, **arrays)
    assert same(ss.load_network(path), arrays)
    np.savez(path, format=text[0], entries=text, **arrays)
    for load in (ss.load_network, ss.Network.load, ss.Trials.load):
        with pytest.raises(ValueError, match=r"net\.npz is not a schurscope-"):
            load(path)
    ss.Network(**{n: arrays[n] for n in ("W_hh", "W_xh", "W_hy")}, cell=ss.Cell("relu")).save(path)
    entries = dict(np.load(path))
    np.savez(path, **{**entries, "cell": text[0]})
    with pytest.raises(ValueError, match=r"net\.npz does not hold a valid network"):
        ss.load_network(path)


@pytest.mark.parametrize(
    "config",
    ['{"class_name": "SimpleRNN", "config": []}', "[]", "3", '{"class_name": [], "config": {}}'],
)
def test_damaged_configurations_of_keras_are_told(tmp_path, arrays, config):
    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        file["W_hh"] = arrays["W_hh"]
        file.attrs["model_config"] = '{"config": {"layers": [%s]}}' % config  # noqa: UP031
    with pytest.raises(ValueError, match=r"net\.h5 "):
        ss.load_network(path)


def test_numbers_beyond_all_floats_are_told(tmp_path, arrays):
    content = {name: array.tolist() for name, array in arrays.items()}
    path = tmp_path / "net.json"
    path.write_text(json.dumps({**content, "leak": 10**400, "x": [10**400], "y": [[1], [2, 3]]}))
    assert same(ss.load_network(path), arrays)
