"""Reads a path into a `Checkpoint`; the content identifies the format, never the suffix."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..._internal.files import MAX_BYTES, check_size, read_npz, zip_names
from ..._internal.safetensors import is_safetensors, read_safetensors
from .checkpoint import Checkpoint, from_tree
from .hdf5 import HDF5_MAGIC, read_hdf5, read_keras
from .mat5 import MAT5_MAGIC, read_mat5
from .msgpack import is_msgpack, read_msgpack
from .pickles import read_pickle
from .tensorflow import is_index, read_tensorflow

__all__ = ["from_object", "read_checkpoint"]

_LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""First bytes of files from before torch.save wrote zip archives: its pickled magic number."""


def read_checkpoint(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> Checkpoint:
    """The arrays of a file or of a neuralrnn folder.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The file is empty, damaged, of no known format, or would unpack to more than `max_bytes`.
    ImportError
        The package that reads its format is not installed.
    """
    path = Path(path)
    reader = _read_folder if path.is_dir() else _reader_of(path)
    try:
        return reader(path, max_bytes)
    except RecursionError as error:
        raise ValueError(f"{path} is damaged: it is nested too deeply") from error
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path}: {error}") from error


def _reader_of(path: Path) -> Callable[[Path, int], Checkpoint]:
    with open(path, "rb") as stream:
        head = stream.read(1024)
    if head.startswith(b"PK\x03\x04"):
        return _read_zip
    if HDF5_MAGIC in (head[:8], head[512:520]):  # MATLAB prepends 512 bytes
        return read_hdf5
    if head.startswith(MAT5_MAGIC):
        return read_mat5
    if head.startswith(_LEGACY_TORCH):
        return _read_torch
    if is_safetensors(head):
        return _read_safetensors
    if head.lstrip().startswith(b"{"):
        return _read_json
    if head.startswith(b"\x80"):
        return read_pickle
    if is_msgpack(head):
        return read_msgpack
    if is_index(path):
        return read_tensorflow
    if not head:
        told = "is empty"
    elif head.startswith(b"\x93NUMPY"):
        told = "holds a single array; save a network's arrays together, with numpy.savez"
    else:
        told = (
            "is damaged or of no known format: it is not PyTorch, safetensors, .npz, HDF5 "
            "(.h5, .keras, .mat), MATLAB 5, TensorFlow (.index), MessagePack or JSON"
        )
    raise ValueError(f"{path} {told}")


def _read_zip(path: Path, max_bytes: int) -> Checkpoint:
    names = zip_names(path, max_bytes)
    if "model.weights.h5" in names:
        return read_keras(path, max_bytes)
    if any(name.endswith("/constants.pkl") for name in names):
        raise ValueError(
            f"{path} is a TorchScript program; torch.save the model's state_dict() instead"
        )
    if any(name.endswith("data.pkl") for name in names):
        return _read_torch(path, max_bytes)
    if not any(name.endswith(".npy") for name in names):
        raise ValueError(f"{path} is a zip archive of {', '.join(names[:5])}, not of a network")
    found = Checkpoint(str(path))
    arrays, found.skipped = read_npz(path, max_bytes)
    for name, array in arrays.items():
        found.add(name, array)
    return found


def _read_torch(path: Path, max_bytes: int) -> Checkpoint:
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f"reading {path} needs PyTorch: pip install torch; a .safetensors file does not"
        ) from error
    try:
        with open(path, "rb") as stream:  # given a path, torch.load would go by its suffix
            content = torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling raises whatever the file makes it raise
        if "Unsupported" in str(error):  # global, class or operand
            raise ValueError(
                f"{path} holds pickled objects besides tensors, such as a whole module, which are "
                "never loaded because they can run any code; save model.state_dict() instead"
            ) from error
        raise ValueError(
            f"{path} is damaged (truncated?): {type(error).__name__} while reading it"
        ) from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} must hold a state dict, got {type(content).__name__}")
    # Before copying: a tensor may declare any shape over a storage of a few bytes.
    declared = sum(t.numel() * t.element_size() for t in _tensors(content, torch.Tensor))
    check_size(declared, path.stat().st_size, max_bytes)
    return from_tree(content, str(path))


def _tensors(node: object, kind: type) -> list[Any]:
    if isinstance(node, kind):
        return [node]
    children = node.values() if isinstance(node, Mapping) else node
    if isinstance(children, (str, bytes)) or not hasattr(children, "__iter__"):
        return []
    return [tensor for child in children for tensor in _tensors(child, kind)]


def _read_safetensors(path: Path, _max_bytes: int) -> Checkpoint:
    found = Checkpoint(str(path))
    arrays, _, found.narrow = read_safetensors(path)
    for name, array in arrays.items():
        found.add(name, array)
    return found


def _read_json(path: Path, max_bytes: int) -> Checkpoint:
    check_size(path.stat().st_size, 0, max_bytes)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged or not JSON: {error}") from error
    if "model_type" in content:
        return _read_folder(path.parent, max_bytes)
    return from_tree(content, str(path))


def _read_folder(path: Path, max_bytes: int) -> Checkpoint:
    """A folder written by neuralrnn's save_pretrained."""
    weights = [path / name for name in ("model.safetensors", "model.pt")]
    present = [file for file in weights if file.is_file()]
    if not (path / "config.json").is_file() or not present:
        raise ValueError(
            f"{path} is a folder without config.json and model.safetensors, as neuralrnn saves "
            "them; give a file"
        )
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    if not isinstance(config, dict) or "model_type" not in config:
        raise ValueError(f"{path / 'config.json'} must be the configuration of a neuralrnn model")
    found = read_checkpoint(present[0], max_bytes)
    found.origin, found.config = str(path), config
    return found


def from_object(source: object) -> Checkpoint:
    """The arrays of a PyTorch or Flax module, or of nested dictionaries of arrays.

    A module also gives its activation, and a Flax cell its `residual`. No framework is imported
    here: its objects exist only if the caller has imported it.
    """
    torch, nnx = sys.modules.get("torch"), sys.modules.get("flax.nnx")
    if torch is not None and isinstance(source, torch.nn.Module):
        found = from_tree(source.state_dict(), f"the {type(source).__name__} module")
        _compute_parametrized(found, source)
        kinds = (torch.nn.RNN, torch.nn.RNNCell)
        _state(
            found, "activation", {m.nonlinearity for m in source.modules() if isinstance(m, kinds)}
        )
        return found
    if nnx is not None and isinstance(source, nnx.Module):
        found = from_tree(nnx.state(source, nnx.Param), f"the {type(source).__name__} module")
        cells = [m for _, m in nnx.iter_modules(source) if isinstance(m, nnx.SimpleCell)]
        _state(
            found, "activation", {getattr(cell.activation_fn, "__name__", "?") for cell in cells}
        )
        _state(found, "residual", {cell.residual for cell in cells})
        return found
    if isinstance(source, Mapping):
        return from_tree(source, "the dictionary")
    raise TypeError(
        "source must be a path, a PyTorch or Flax (nnx) module, or a dictionary of arrays, got "
        f"{type(source).__name__}"
    )


def _compute_parametrized(found: Checkpoint, model: Any) -> None:
    """Replace the parameters of torch.nn.utils.parametrize by the weights computed from them."""
    for prefix, module in model.named_modules(remove_duplicate=False):
        path = f"{prefix}." if prefix else ""
        for name in getattr(module, "parametrizations", {}):
            for entry in [
                e for e in found.arrays if e.startswith(f"{path}parametrizations.{name}.")
            ]:
                del found.arrays[entry]
                found.skipped[entry] = f"{path}{name} is computed from it"
            found.add(path + name, getattr(module, name))


def _state(found: Checkpoint, name: str, values: set[Any]) -> None:
    """Record a value that all cells of a module share."""
    if len(values) == 1:
        found.cell[name] = values.pop()
