"""Reads a path into a `Checkpoint`; the content identifies the format, never the suffix."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..._internal.checks import printable
from ..._internal.files import MAX_BYTES, check_size, open_file, read_npz, zip_names
from ..._internal.json import parse_json
from ..._internal.limits import size_on_disk
from ..._internal.safetensors import is_safetensors, read_safetensors
from .checkpoint import Checkpoint, entry_name, from_tree
from .hdf5 import HDF5_MAGIC, read_hdf5, read_keras
from .mat5 import MAT5_MAGIC, read_mat5
from .msgpack import is_msgpack, read_msgpack
from .pickles import read_pickle
from .pytorch import LEGACY_TORCH, read_legacy_torch, read_torch
from .tensorflow import is_index, read_tensorflow

__all__ = ["from_object", "read_checkpoint", "refusal"]


def read_checkpoint(
    path: str | os.PathLike[str], max_bytes: int = MAX_BYTES, *, trusted: bool = False
) -> Checkpoint:
    """The arrays of a file or of a neuralrnn folder.

    Raises
    ------
    OSError
        The file cannot be read, or is a pipe or a device.
    ValueError
        The file is empty, damaged, of no known format, would unpack to more than `max_bytes`, or
        takes too long to read.
    ImportError
        The package that reads its format is not installed.
    """
    path = Path(path)
    reader = _read_folder if path.is_dir() else _reader_of(path, trusted)
    try:
        return reader(path, max_bytes)
    except (OSError, ImportError):
        raise
    except Exception as error:  # a damaged file can break any step
        raise refusal(str(path), error) from error


def refusal(origin: str, error: Exception) -> ValueError:
    """The documented error for whatever went wrong with a source, on one line."""
    told = printable(str(error))
    if isinstance(error, RecursionError):
        return ValueError(f"{origin} is damaged: it is nested too deeply")
    if isinstance(error, MemoryError):
        return ValueError(f"{origin} needs more memory than there is: {told}")
    if not isinstance(error, ValueError):
        return ValueError(f"{origin} is damaged: {type(error).__name__}: {told}")
    return ValueError(told if printable(origin) in told else f"{origin} cannot be read: {told}")


def _reader_of(path: Path, trusted: bool) -> Callable[[Path, int], Checkpoint]:
    with open_file(path) as stream:
        head = stream.read(1024)
    if head.startswith(b"PK\x03\x04"):
        return partial(_read_zip, trusted=trusted)
    if HDF5_MAGIC in (head[:8], head[512:520]):  # MATLAB prepends 512 bytes
        return partial(read_hdf5, trusted=trusted)
    if head.startswith(MAT5_MAGIC):
        return read_mat5
    if head.startswith(LEGACY_TORCH):
        return read_legacy_torch
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
            "(.h5, .keras, .mat), MATLAB 5, TensorFlow (.index), MessagePack, JSON "
            "or a pickle of protocol 2 or later"
        )
    raise ValueError(f"{path} {told}")


def _read_zip(path: Path, max_bytes: int, *, trusted: bool) -> Checkpoint:
    names = zip_names(path, max_bytes)
    if "model.weights.h5" in names:
        return read_keras(path, max_bytes, trusted=trusted)
    if any(name.endswith("/constants.pkl") for name in names):
        raise ValueError(
            f"{path} is a TorchScript program; torch.save the model's state_dict() instead"
        )
    if any(f"/{name}".endswith("/data.pkl") for name in names):
        return read_torch(path, max_bytes)
    if not any(name.endswith(".npy") for name in names):
        told = printable(", ".join(names[:5]))
        raise ValueError(f"{path} is a zip archive of {told}, not of a network")
    found = Checkpoint.of_file(path, max_bytes)
    arrays, skipped = read_npz(path, max_bytes)
    for name, reason in skipped.items():
        found.skip(name, reason)
    for name, array in arrays.items():
        found.add(name, array)
    return found


def _read_safetensors(path: Path, max_bytes: int) -> Checkpoint:
    found = Checkpoint.of_file(path, max_bytes)
    arrays, _, widened = read_safetensors(path, max_bytes)
    for name, array in arrays.items():
        found.add(name, array)
        if name in widened:
            found.narrow[entry_name(name)] = widened[name]
    return found


def _read_json(path: Path, max_bytes: int) -> Checkpoint:
    content = _json_of(path, max_bytes)
    if "model_type" in content:
        return _read_folder(path.parent, max_bytes)
    return from_tree(content, Checkpoint.of_file(path, max_bytes))


def _json_of(path: Path, max_bytes: int) -> dict[str, Any]:
    with open_file(path) as stream:
        check_size(path.stat().st_size, size_on_disk(stream), max_bytes)
        try:
            content = parse_json(stream.read())
        except ValueError as error:
            told = printable(str(error))
            raise ValueError(f"{path} is damaged or not JSON: {told}") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} must hold a JSON object, of arrays by name or the configuration of a "
            f"neuralrnn model, got {type(content).__name__}"
        )
    return content


def _read_folder(path: Path, max_bytes: int) -> Checkpoint:
    """A folder written by neuralrnn's save_pretrained."""
    weights = [path / name for name in ("model.safetensors", "model.pt")]
    present = [file for file in weights if file.is_file()]
    if not (path / "config.json").is_file() or not present:
        raise ValueError(
            f"{path} is a folder without the config.json and model.safetensors of neuralrnn, and "
            "without a single TensorFlow checkpoint (.index); give a file"
        )
    config = _json_of(path / "config.json", max_bytes)
    if "model_type" not in config:
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
        found = from_tree(source.state_dict(), Checkpoint(f"the {type(source).__name__} module"))
        _compute_parametrized(found, source)
        kinds = (torch.nn.RNN, torch.nn.RNNCell)
        _state(
            found, "activation", {m.nonlinearity for m in source.modules() if isinstance(m, kinds)}
        )
        return found
    if nnx is not None and isinstance(source, nnx.Module):
        found = Checkpoint(f"the {type(source).__name__} module")
        from_tree(nnx.state(source, nnx.Param), found)
        modules = [module for _, module in nnx.iter_modules(source)]
        cells = [m for m in modules if isinstance(m, nnx.SimpleCell)]
        _state(
            found, "activation", {getattr(cell.activation_fn, "__name__", "?") for cell in cells}
        )
        _state(found, "residual", {cell.residual for cell in cells})
        lstms = (nnx.LSTMCell, nnx.OptimizedLSTMCell)
        for kind, types in (("gru", nnx.GRUCell), ("lstm", lstms)):
            for cell in (m for m in modules if isinstance(m, types)):
                names = (getattr(f, "__name__", "?") for f in (cell.activation_fn, cell.gate_fn))
                facts = dict(zip(("activation", "gates"), names, strict=True))
                found.gated.append({"kind": kind, "reset": "after", **facts})
        return found
    if isinstance(source, Mapping):
        return from_tree(source, Checkpoint("the dictionary"))
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
