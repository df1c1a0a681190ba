"""Small real files of every format, and how to damage them."""

from __future__ import annotations

import json
import math
import pickle
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from random import Random

import h5py
import msgpack
import numpy as np
import safetensors.numpy
import scipy.io

import schurscope as ss

from ..tensorflow_files import write
from .projects import MULTITASK, write_projects

CHECKED = {"npz", "npz deflated", "network npz", "trials npz", "torch", "keras", "mat deflated"}
CHECKED |= {"tensorflow", "tensorflow data"}
"""Formats in which a checksum covers every number."""

_SHAPES = {"W_hh": (6, 6), "W_xh": (6, 3), "W_hy": (2, 6), "b_h": (6,), "b_y": (2,), "h_0": (6,)}
_LAYER = {"class_name": "SimpleRNN", "config": {"name": "rnn", "activation": "tanh"}}
_CONFIG = {"config": {"layers": [_LAYER, {"class_name": "Dense", "config": {"name": "out"}}]}}
_CTRNN = {"model_type": "ctrnn", "alpha": 0.2, "activation": "relu"}


def write_all(folder: Path) -> None:
    """Write a file of each format under its name."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal(shape) for name, shape in _SHAPES.items()}
    network = ss.Network(**arrays, cell=ss.Cell("relu"))
    np.savez(folder / "npz.npz", **arrays)
    np.savez_compressed(folder / "deflated.npz", **arrays)
    network.save(folder / "network npz")
    network.save(folder / "network.safetensors")
    ss.tasks.FlipFlop(n_steps=4).trials(3, rng=1).save(folder / "trials npz")
    safetensors.numpy.save_file(arrays, folder / "safetensors")
    scipy.io.savemat(folder / "plain.mat", {"net": arrays, "note": "text"})
    scipy.io.savemat(folder / "deflated.mat", arrays, do_compression=True)
    (folder / "json").write_text(json.dumps({name: a.tolist() for name, a in arrays.items()}))
    with h5py.File(folder / "hdf5", "w") as file:
        for name, array in arrays.items():
            file.create_dataset(f"net/{name}", data=array, compression="gzip", shuffle=True)
    with h5py.File(folder / "mat 7.3", "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file[name] = array.T
    with open(folder / "mat 7.3", "r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    with h5py.File(weights := BytesIO(), "w") as file:
        for place, name in enumerate(("W_xh", "W_hh", "b_h")):
            file[f"layers/rnn/cell/vars/{place}"] = arrays[name].T
        file["layers/out/vars/0"] = arrays["W_hy"].T
    with zipfile.ZipFile(folder / "keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps(_CONFIG))
        archive.writestr("model.weights.h5", weights.getvalue())
    renamed = {"npz.npz": "npz", "deflated.npz": "npz deflated", "plain.mat": "mat"}
    renamed |= {"deflated.mat": "mat deflated", "network.safetensors": "network safetensors"}
    for written, name in renamed.items():
        (folder / written).rename(folder / name)
    (folder / "pickle").write_bytes(pickle.dumps({"net": arrays, "dt": 0.1}, protocol=4))
    variables = {name: rng.standard_normal(shape, "f4") for name, shape in MULTITASK.items()}
    index = write(folder, variables)
    index.rename(folder / "tensorflow")
    (folder / "model.ckpt.data-00000-of-00001").rename(folder / "tensorflow data")
    write_projects(folder, rng)
    _write_msgpack(folder, arrays)
    _write_torch(folder, arrays)
    _write_neuralrnn(folder, arrays)


def _write_msgpack(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    """As Flax writes it: an array is an extension of its shape, dtype and bytes."""

    def extension(array: np.ndarray) -> object:
        content = (array.shape, array.dtype.name, array.tobytes())
        return msgpack.ExtType(1, msgpack.packb(content))

    (folder / "msgpack").write_bytes(msgpack.packb({"params": arrays}, default=extension))


def _write_torch(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    try:
        import torch
    except ImportError:
        print("without torch: no .pt files", file=sys.stderr)
        return
    tensors = {name: torch.tensor(array) for name, array in arrays.items()}
    for name, is_zip in (("torch", True), ("torch legacy", False)):
        torch.save(
            {"epoch": 3, "model": tensors}, folder / name, _use_new_zipfile_serialization=is_zip
        )


def _write_neuralrnn(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    """Its configuration; the weights lie beside, undamaged."""
    names = {"h2h.weight": "W_hh", "input2h.weight": "W_xh", "readout_layer.weight": "W_hy"}
    weights = {name: arrays[part].astype(np.float32) for name, part in names.items()}
    (folder / "neuralrnn").write_bytes(safetensors.numpy.save(weights))
    (folder / "neuralrnn json").write_text(json.dumps(_CTRNN))


def damaged(content: bytes, others: list[bytes], random: Random) -> tuple[bytes, bool]:
    """A damaged copy, and whether all checksums in it are still those of the original."""
    if random.random() < 0.5:
        inner = random.choice((_in_zip, _in_matlab, _in_header))(content, random)
        if inner is not None:
            return inner, False
    if random.random() < 0.1:
        other = random.choice(others)
        return content[: random.randrange(len(content))] + other[
            random.randrange(len(other)) :
        ], False
    return _changed(content, random), True


def _changed(content: bytes, random: Random) -> bytes:
    made = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 4, 16))):
        if not made:
            break
        place = random.randrange(len(made))
        end = min(len(made), place + random.choice((1, 4, 16, 256)))
        change = random.randrange(7)
        if change <= 2:
            made[place] ^= 1 << random.randrange(8)
        elif change == 3:
            number = random.choice((0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1))
            layout = random.choice("<>") + random.choice("BHIQ")
            size = struct.calcsize(layout)
            made[place : place + size] = struct.pack(layout, number % 256**size)
        elif change == 4:
            del made[place:end]
        elif change == 5:
            made[place:place] = made[place:end] * random.choice((1, 1, 8))
        else:
            made[place:end] = random.randbytes(end - place)
    return bytes(made)


def _in_zip(content: bytes, random: Random) -> bytes | None:
    """A zip with one entry changed and right checksums, so that what parses the entry is tried."""
    if not content.startswith(b"PK"):
        return None
    with zipfile.ZipFile(BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    chosen = random.choice(list(entries))
    if chosen.endswith(".npy") and random.random() < 0.5:
        entries[chosen] = _of_other_shape(random)
    else:
        entries[chosen] = _changed(entries[chosen], random)
    with zipfile.ZipFile(made := BytesIO(), "w", random.choice((0, 8))) as archive:
        for name, entry in entries.items():
            archive.writestr(name, entry)
    return made.getvalue()


def _of_other_shape(random: Random) -> bytes:
    """An array that another one may multiply or widen to an absurd size."""
    shape = [random.choice((0, 1, 1, 2, 3, 6, 6, 9)) for _ in range(random.choice((0, 1, 2, 2, 3)))]
    if shape and random.random() < 0.7:
        shape[random.randrange(len(shape))] = random.choice((1000, 60_000))
    if math.prod(shape) > 10**6:
        shape = [10**6]
    dtype = random.choice(("f4", "f8", "f8", "i4", "b1"))
    np.save(made := BytesIO(), np.full(shape, random.choice((0, 1)), dtype))
    return made.getvalue()


def _in_matlab(content: bytes, random: Random) -> bytes | None:
    """A compressed MATLAB file of changed elements with right checksums."""
    if content[128:132] != struct.pack("<I", 15):
        return None
    made, place = content[:128], 128
    while place < len(content):
        length = int.from_bytes(content[place + 4 : place + 8], "little")
        element = zlib.decompress(content[place + 8 : place + 8 + length])
        if random.random() < 0.3:
            element = _changed(element, random)
        packed = zlib.compress(element)
        made += struct.pack("<II", 15, len(packed)) + packed
        place += 8 + length
    return made


def _in_header(content: bytes, random: Random) -> bytes | None:
    """JSON text, or the JSON header of safetensors, with a value replaced by another."""
    start, end = content.find(b"{"), content.rfind(b"}") + 1
    if start not in (0, 8) or not end:
        return None
    values: list[Callable[[], object]] = [
        lambda: random.choice((None, True, -1, 0, 1e308, 10**30, 10**400, "", "F64", "x" * 2000)),
        lambda: random.choice(([], {}, [[]], [1, [2]], [None] * 1000, {"a": {"b": [1.0]}})),
    ]
    try:
        tree = json.loads(content[start:end])
    except ValueError:
        return None
    node = tree
    while isinstance(node, (dict, list)) and node:
        key = random.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if random.random() < 0.4 or not isinstance(node[key], (dict, list)):
            node[key] = random.choice(values)()
            break
        node = node[key]
    text = json.dumps(tree).encode()
    prefix = struct.pack("<Q", len(text)) if start else b""
    return prefix + text + content[end:]


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
