"""Whole files made to be absurd: the largest that small ones can unpack to, and strange HDF5."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryFile
from typing import IO, Any

import h5py
import numpy as np

from schurscope._internal.limits import MAX_BYTES

_LAYER = {"class_name": "SimpleRNN", "config": {"name": "rnn", "activation": "tanh"}}
KERAS_CONFIG = {"config": {"layers": [_LAYER, {"class_name": "Dense", "config": {"name": "out"}}]}}

_PIECE = bytes(2**20)  # zeros are written in pieces, for the worker's memory is measured


def _shapes(random: Random, itemsize: int, most: int = MAX_BYTES) -> dict[str, tuple[int, ...]]:
    """Parts of a network of about as many bytes as may be."""
    share = random.uniform(0.2, 1.1) if random.random() < 0.4 else random.uniform(0.95, 1)
    n = max(2, int((share * most / itemsize) ** 0.5) - 4)
    return {"W_hh": (n, n), "W_xh": (n, 1), "W_hy": (1, n)}


def _dtype(random: Random) -> np.dtype[Any]:
    return np.dtype(random.choice(("f2", "f2", "f4", "f8", ">f4", "c8", "i1", "i8", "b1")))


def _most(dtype: np.dtype[Any], random: Random) -> int:
    """Halves become float32: the bytes that may be, or more than those."""
    return MAX_BYTES // random.choice((1, 2, 2)) if dtype == np.float16 else MAX_BYTES


def _zeros(n_bytes: int) -> Iterator[bytes]:
    for start in range(0, n_bytes, len(_PIECE)):
        yield _PIECE[: n_bytes - start]


def _npz(path: Path, random: Random) -> None:
    dtype = _dtype(random)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, shape in _shapes(random, dtype.itemsize, _most(dtype, random)).items():
            with archive.open(f"{name}.npy", "w") as entry:
                about = {"descr": dtype.str, "fortran_order": random.random() < 0.5, "shape": shape}
                np.lib.format.write_array_header_1_0(entry, about)
                for piece in _zeros(dtype.itemsize * int(np.prod(shape))):
                    entry.write(piece)


def _mat(path: Path, random: Random) -> None:
    """MATLAB's doubles, stored as bytes or whole."""
    head, elements = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM", b""
    code, itemsize = random.choice(((2, 1), (3, 2), (7, 4), (9, 8)))
    for name, shape in _shapes(random, random.choice((itemsize, 8))).items():
        size = itemsize * shape[0] * shape[1]
        label = name.encode().ljust(8, b"\0")
        start = struct.pack("<IIII", 6, 8, 6, 0) + struct.pack("<IIii", 5, 8, *shape)
        start += struct.pack("<II", 1, len(name)) + label + struct.pack("<II", code, size)
        packer = zlib.compressobj(1)
        packed = packer.compress(struct.pack("<II", 14, len(start) + size + -size % 8) + start)
        packed += b"".join(map(packer.compress, _zeros(size + -size % 8))) + packer.flush()
        elements += struct.pack("<II", 15, len(packed)) + packed
    path.write_bytes(head + elements)


def _torch(path: Path, random: Random) -> None:
    """Tensors of any size over storages of one number, as expand() makes them."""
    itemsizes = {"Half": 2, "BFloat16": 2, "Float": 4, "Double": 8, "ComplexFloat": 8, "Char": 1}
    kind, itemsize = random.choice(list(itemsizes.items()))
    most = MAX_BYTES // 2 if itemsize == 2 and random.random() < 0.7 else MAX_BYTES
    pickled = b"\x80\x02}("
    for key, (name, shape) in enumerate(_shapes(random, itemsize, most).items()):
        label = {"W_hh": "weight_hh_l0", "W_xh": "weight_ih_l0", "W_hy": "out.weight"}[name]
        storage = _text("storage") + b"ctorch\n%bStorage\n" % kind.encode()
        storage = b"(" + storage + _text(str(key)) + _text("cpu") + b"K\x01tQ"
        sides = b"(J%bJ%bt" % tuple(struct.pack("<i", n) for n in shape)
        tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(%bK\x00%b(K\x00K\x00t\x89}tR"
        pickled += _text(label) + tensor % (storage, sides)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled + b"u.")
        for key in range(3):
            archive.writestr(f"archive/data/{key}", bytes(itemsize))


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _hdf5(path: Path | IO[bytes], random: Random, names: dict[str, str] | None = None) -> None:
    """Chunks that are compressed or never written."""
    dtype = _dtype(random)
    with h5py.File(path, "w") as file:
        for name, shape in _shapes(random, dtype.itemsize, _most(dtype, random)).items():
            called = name if names is None else names[name]
            shape = shape if names is None else shape[::-1]
            if name != "W_hh" or random.random() < 0.5:
                file.create_dataset(called, shape, dtype)
                continue
            side = min(shape[0], random.choice((512, 1000, 2048)))
            made = file.create_dataset(
                called, shape, dtype, chunks=(side, side), compression="gzip", shuffle=True
            )
            packed = zlib.compress(bytes(dtype.itemsize * side * side), 1)
            for i in range(0, shape[0], side):
                for j in range(0, shape[1], side):
                    made.id.write_direct_chunk((i, j), packed)


def _keras(path: Path, random: Random) -> None:
    """Weights or configuration that are padded, or a bomb themselves."""
    rnn = "layers/rnn/cell/vars"
    names = {"W_xh": f"{rnn}/0", "W_hh": f"{rnn}/1", "W_hy": "layers/out/vars/0"}
    what = random.choice(("weights", "weights", "padded weights", "entry", "configuration"))
    config = json.dumps(KERAS_CONFIG)
    with TemporaryFile() as weights:
        if what == "weights":
            _hdf5(weights, random, names)
        else:
            with h5py.File(weights, "w") as file:
                for name, shape in {"W_xh": (1, 2), "W_hh": (2, 2), "W_hy": (2, 1)}.items():
                    file[names[name]] = np.ones(shape)
        weights.seek(0)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            padding = 2**23 - 2000 if what == "configuration" else 0
            archive.writestr("config.json", config + " " * padding)
            with archive.open("model.weights.h5", "w") as entry:
                while piece := weights.read(len(_PIECE)):
                    entry.write(piece)
                for piece in _zeros(int(0.97 * MAX_BYTES) if what == "padded weights" else 0):
                    entry.write(piece)
            with archive.open("metadata.json", "w") as entry:
                for piece in _zeros(int(0.97 * MAX_BYTES) if what == "entry" else 2):
                    entry.write(piece)


_STRANGE_TYPES: tuple[Callable[[], Any], ...] = (
    lambda: np.dtype([("r", "f8"), ("i", "f8")]),
    lambda: h5py.string_dtype(),
    lambda: h5py.string_dtype(length=7),
    lambda: h5py.vlen_dtype(np.float32),
    lambda: h5py.enum_dtype({"a": 1, "b": 2}),
    lambda: h5py.ref_dtype,
    lambda: np.dtype("V5"),
    lambda: np.dtype("(3,4)f4"),
    lambda: np.dtype("f2"),
    lambda: np.dtype(">f8"),
    lambda: np.dtype("g"),
    lambda: np.dtype("c16"),
    lambda: np.dtype("i8"),
)
_STRANGE_SHAPES = (None, (), (0,), (3,), (6, 6), (6, 6), (2, 0, 3), (60_000, 1), (1,) * 20)


def _strange_hdf5(path: Path, random: Random) -> None:
    """What the library writes, checksums and all, of any type, shape, filter, link or attribute."""
    libver = random.choice(("earliest", "latest"))
    folder = random.choice(("", "", "net/", "a/b/c/", "net/x\x1b[2J/"))
    with h5py.File(path, "w", libver=libver) as file:
        for name in ("W_hh", "W_xh", "W_hy", "b_h", "b_y"):
            where = folder + name
            shape = {"W_hh": (6, 6), "W_xh": (6, 3), "W_hy": (2, 6), "b_h": (6,), "b_y": (2,)}[name]
            dtype: Any = np.dtype("f8")
            if random.random() < 0.15:
                dtype = random.choice(_STRANGE_TYPES)()
            if random.random() < 0.1:
                shape = random.choice(_STRANGE_SHAPES)
            options: dict[str, Any] = {}
            if shape and 0 not in shape and random.random() < 0.6:
                options["chunks"] = tuple(random.randint(1, min(n, 7)) for n in shape)
                options["maxshape"] = (None,) * len(shape)
                options["fletcher32"] = random.random() < 0.5
                options["shuffle"] = random.random() < 0.5
                options["compression"] = random.choice((None, "gzip", "lzf"))
                if random.random() < 0.2:
                    options["fillvalue"] = random.choice((0, 1, np.nan))
            elif shape and random.random() < 0.1:
                options["external"] = [("/dev/zero", 0, h5py.h5f.UNLIMITED)]
            try:
                file.create_dataset(where, shape, dtype, **options)
            except Exception:  # h5py refuses in many ways
                file[where] = np.ones((6, 6))  # what does not go together
        for _ in range(random.randrange(3)):
            name = random.choice(("W_hh", "net", "loop", "soft", "x" * 1500, "b_h"))
            if name not in file:
                links = (h5py.SoftLink("/W_hh"), h5py.SoftLink("/nowhere"), file["/"])
                file[name] = random.choice((*links, h5py.ExternalLink("/etc/hostname", "/W_hh")))
        config = random.choice(("{}", "[" * 5000, json.dumps(KERAS_CONFIG), b"\xff", 1.0))
        if random.random() < 0.5:
            file.attrs["model_config"] = config


MADE: dict[str, Callable[[Path, Random], None]] = {
    "hdf5 strange": _strange_hdf5,
    "zeros hdf5": _hdf5,
    "zeros keras": _keras,
    "zeros mat": _mat,
    "zeros npz": _npz,
    "zeros torch": _torch,
}
"""Kind → what writes a file of it, from scratch."""
