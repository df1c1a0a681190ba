"""HDF5: weights and models of Keras, and MATLAB's version 7.3. Needs h5py, imported when used."""

from __future__ import annotations

import importlib.util
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from ..._internal.checks import shown
from ..._internal.files import Array, open_file
from ..._internal.json import parse_json
from ..._internal.limits import size_on_disk, unreadable
from ..._internal.zips import read_zip
from . import hdf5_records
from .checkpoint import Checkpoint
from .child import records_of_child
from .hdf5_records import records

__all__ = ["HDF5_MAGIC", "read_hdf5", "read_keras"]

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"

_MAX_CONFIG = 2**23
"""Of a .keras file, in bytes: thousands of layers."""


def read_hdf5(path: Path, max_bytes: int, *, trusted: bool = False) -> Checkpoint:
    """The arrays of a .weights.h5 or .h5 file of Keras, or of a MATLAB 7.3 file.

    A child process reads the file unless it is trusted.
    """
    with open_file(path) as stream:
        is_matlab = stream.read(19) == b"MATLAB 7.3 MAT-file"
        found, config = _read(stream, path, size_on_disk(stream), max_bytes, trusted)
    if is_matlab:
        # MATLAB is column-major, so HDF5 shows its arrays transposed.
        found.arrays = {name: array.T for name, array in found.arrays.items()}
    if config is not None:
        _read_config(found, config)
    return found


def read_keras(path: Path, max_bytes: int, *, trusted: bool = False) -> Checkpoint:
    """The arrays and activations of a .keras file: a zip of config.json and model.weights.h5."""
    entries = read_zip(path, max_bytes, "a .keras file")
    if (config := entries.get("config.json")) is None:
        raise ValueError(f"{path} is damaged: it has no config.json")
    if len(config) > _MAX_CONFIG:
        raise ValueError(f"{path} has a config.json of {len(config)} bytes; it is no network")
    with TemporaryFile() as stream:
        stream.write(entries.pop("model.weights.h5"))
        stream.flush()
        # What reading may cost goes by the size of the file, of which they can be a multiple.
        with open_file(path) as file:
            size = size_on_disk(file)
        found, _ = _read(stream, path, size, max_bytes, trusted)
    _read_config(found, config)
    return found


def _read(
    stream: BinaryIO, path: Path, size: int, max_bytes: int, trusted: bool
) -> tuple[Checkpoint, bytes | None]:
    """The arrays, and Keras's configuration if there is one."""
    if importlib.util.find_spec("h5py") is None:
        raise ImportError(f'reading {path} needs h5py: pip install "schurscope[io]"')
    stream.seek(0)
    found, config = Checkpoint.of_file(path, max_bytes), None
    if trusted:
        items = records(stream, size, max_bytes)
    else:
        items = records_of_child(Path(hdf5_records.__file__), stream, size, max_bytes)
    try:
        with closing(items):
            for header, array in items:
                if "config" in header:
                    config = header["config"].encode()
                elif array is None:
                    found.skip(header["name"], header["reason"])
                else:
                    found.add(header["name"], array)
    except Exception as error:  # HDF5's library has many ways to fail
        raise unreadable(path, "damaged", error) from error
    found.arrays = _with_names(found.arrays)
    return found, config


def _with_names(arrays: dict[str, Array]) -> dict[str, Array]:
    """Name the variables of a layer, which Keras 3 only numbers in their order of creation.

    A recurrent cell has kernel, recurrent_kernel and bias; Dense has kernel and bias.
    """
    named = {}
    for name, array in arrays.items():
        layer, is_numbered, place = name.rpartition("/vars/")
        second = arrays.get(f"{layer}/vars/1")
        order = ["kernel", "bias"]
        if second is not None and second.ndim == 2:
            order = ["kernel", "recurrent_kernel", "bias"]
        index = int(place) if is_numbered and place.isdecimal() else len(order)
        is_parameter = index < len(order) and not layer.startswith("optimizer")
        named_so = f"{layer}/{order[index]}" if is_parameter else name
        if named_so in named:
            raise ValueError(f"it has two entries of the name {shown(named_so)}")
        named[named_so] = array
    return named


def _read_config(found: Checkpoint, text: bytes) -> None:
    """Read the activations of the recurrent and the dense layer; warn of layers not imported."""
    try:
        layers = _Layers()
        layers.read(found, parse_json(text)["config"]["layers"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{found.origin} has a damaged configuration: {shown(error)}") from error
    _state(found, "activation", layers.simple)
    _state(found, "output", layers.dense)
    found.gated += [_facts(kind, config) for kind, config in layers.gated]
    recurrent = [*layers.simple, *(config for _, config in layers.gated)]
    if any(config.get("go_backwards") for config in recurrent):
        raise ValueError(
            f"{found.origin} has a recurrent layer that runs backwards (go_backwards); reverse the "
            "steps of the trials and clear the flag in the model"
        )
    if not all(config.get("return_sequences", True) for config in recurrent):
        found.notes.append("Keras returned the last step's output only; here every step has one")


def _state(found: Checkpoint, name: str, layers: list[dict[str, Any]]) -> None:
    """Record the activation if all layers share it."""
    activations = {_function(layer, "activation", "linear") for layer in layers}
    if len(activations) == 1:
        (activation,) = activations
        found.cell[name] = "identity" if activation == "linear" else activation
    elif activations:
        told = ", ".join(sorted(map(repr, activations)))
        found.warnings.append(f"the layers differ in their activation ({told}); give {name}=")


def _function(config: dict[str, Any], name: str, default: str) -> str:
    """The name of a function; Keras stores a custom one as a dictionary."""
    return str(config.get(name, default))


def _facts(kind: str, config: dict[str, Any]) -> dict[str, str]:
    """What a GRU's or an LSTM's configuration says, as `Checkpoint.gated` has it."""
    reset = "after" if config.get("reset_after", True) else "before"
    return {
        "kind": kind,
        "activation": _function(config, "activation", "tanh"),
        "gates": _function(config, "recurrent_activation", "sigmoid"),
        "reset": reset if kind == "gru" else "",
    }


@dataclass
class _Layers:
    """Configurations of the recurrent and of the dense layers, unwrapped."""

    simple: list[dict[str, Any]] = field(default_factory=list)
    gated: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    dense: list[dict[str, Any]] = field(default_factory=list)

    def read(self, found: Checkpoint, layers: list[dict[str, Any]]) -> None:
        for layer in layers:
            self._add(found, layer["class_name"], layer["config"])

    def _add(self, found: Checkpoint, kind: str, config: dict[str, Any]) -> None:
        if kind in ("RNN", "TimeDistributed"):
            inner = config["cell" if kind == "RNN" else "layer"]
            self._add(found, inner["class_name"], {**config, **inner["config"]})
        elif kind == "StackedRNNCells":
            for inner in config["cells"]:
                self._add(found, inner["class_name"], {**config, **inner["config"]})
        elif kind == "Bidirectional":
            # Its layers lie under names of their own, forward and backward.
            for inner in filter(None, (config["layer"], config.get("backward_layer"))):
                self._add(found, inner["class_name"], {**inner["config"], "go_backwards": False})
        elif kind in ("SimpleRNN", "SimpleRNNCell"):
            self.simple.append(config)
        elif kind in ("GRU", "GRUCell", "LSTM", "LSTMCell"):
            self.gated.append((kind.removesuffix("Cell").lower(), config))
        elif kind == "Dense":
            self.dense.append(config)
        elif kind not in ("InputLayer", "Dropout"):
            found.warnings.append(f"the layer {config.get('name')!r} ({kind}) is not imported")
