"""Small real files of every format, and how to damage them."""

from __future__ import annotations

import json
import pickle
import sys
import zipfile
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
from .made import KERAS_CONFIG
from .projects import MULTITASK, write_projects
from .rebuilt import changed, rebuilt, tensorflow

CHECKED = {"npz", "npz deflated", "network npz", "trials npz", "torch", "keras", "mat deflated"}
CHECKED |= {"tensorflow", "tensorflow data"}
"""Formats in which a checksum covers every number."""

_SHAPES = {"W_hh": (6, 6), "W_xh": (6, 3), "W_hy": (2, 6), "b_h": (6,), "b_y": (2,), "h_0": (6,)}
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
        archive.writestr("config.json", json.dumps(KERAS_CONFIG))
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


def damaged(kind: str, files: dict[str, bytes], random: Random) -> tuple[dict[str, bytes], bool]:
    """The files that differ from the real ones, and whether all checksums are still those."""
    content = files[kind]
    if random.random() < 0.5:
        if kind in ("tensorflow", "tensorflow data"):
            return tensorflow(files["tensorflow data"], random), False
        inner = rebuilt(content, random)
        if inner is not None:
            return {kind: inner}, False
    if random.random() < 0.1:
        other = random.choice(list(files.values()))
        start, end = random.randrange(len(content)), random.randrange(len(other))
        return {kind: content[:start] + other[end:]}, False
    return {kind: changed(content, random)}, True


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
