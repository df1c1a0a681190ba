"""HDF5: weights and models of Keras, and MATLAB's version 7.3. Needs h5py, imported when used."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import IO, Any

from ..._internal.files import Array, check_size
from .checkpoint import Checkpoint

__all__ = ["HDF5_MAGIC", "read_hdf5", "read_keras"]

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def read_hdf5(path: Path, max_bytes: int) -> Checkpoint:
    """The arrays of a .weights.h5 or .h5 file of Keras, or of a MATLAB 7.3 file."""
    with open(path, "rb") as stream:
        is_matlab = stream.read(19) == b"MATLAB 7.3 MAT-file"
        found, attributes = _read(stream, str(path), max_bytes)
    if is_matlab:
        # MATLAB is column-major, so HDF5 shows its arrays transposed.
        found.arrays = {name: array.T for name, array in found.arrays.items()}
    if "model_config" in attributes:
        _read_config(found, attributes["model_config"])
    return found


def read_keras(path: Path, max_bytes: int) -> Checkpoint:
    """The arrays and activations of a .keras file: a zip of config.json and model.weights.h5."""
    try:
        with zipfile.ZipFile(path) as archive:
            weights, config = archive.read("model.weights.h5"), archive.read("config.json")
    except Exception as error:  # as in read_npz
        raise ValueError(f"{path} is damaged: {error}") from error
    found, _ = _read(io.BytesIO(weights), str(path), max_bytes)
    _read_config(found, config)
    return found


def _read(stream: IO[bytes], origin: str, max_bytes: int) -> tuple[Checkpoint, dict[str, Any]]:
    try:
        import h5py
    except ImportError as error:
        raise ImportError(f'reading {origin} needs h5py: pip install "schurscope[io]"') from error
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    found = Checkpoint(origin)
    try:
        with h5py.File(stream, "r") as file:
            datasets: dict[str, Any] = {}

            def keep(name: str, item: Any) -> None:
                if isinstance(item, h5py.Dataset):
                    datasets[str(name)] = item  # h5py gives some names as bytes

            file.visititems(keep)  # does not follow links to other files
            check_size(sum(int(item.nbytes) for item in datasets.values()), size, max_bytes)
            for name, item in datasets.items():
                if item.external or item.is_virtual:
                    found.skipped[name] = "stored in another file"
                elif item.dtype.hasobject:
                    found.skipped[name] = "text or references, not an array of numbers"
                elif item.shape is not None:
                    found.add(name, item[()] if item.ndim else item[()].reshape(()))
            attributes = {key: value for key, value in file.attrs.items() if isinstance(value, str)}
    except Exception as error:  # HDF5's library has many ways to fail
        raise ValueError(f"{origin} is damaged: {error}") from error
    found.arrays = _with_names(found.arrays)
    return found, attributes


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
        named[f"{layer}/{order[index]}" if is_parameter else name] = array
    return named


def _read_config(found: Checkpoint, text: str | bytes) -> None:
    """Read the activations of the recurrent and the dense layer; warn of layers not imported."""
    try:
        recurrent, dense = _layers(found, json.loads(text)["config"]["layers"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{found.origin} has a damaged configuration: {error!r}") from error
    _state(found, "activation", recurrent)
    _state(found, "output", dense)
    if any(config.get("go_backwards") for config in recurrent):
        raise ValueError(
            f"{found.origin} has a recurrent layer that runs backwards (go_backwards); reverse the "
            "steps of the trials and clear the flag in the model"
        )
    if not all(config.get("return_sequences", True) for config in recurrent):
        found.notes.append("Keras returned the last step's output only; here every step has one")


def _state(found: Checkpoint, name: str, layers: list[dict[str, Any]]) -> None:
    """Record the activation if all layers share it."""
    # Keras stores a custom function as a dictionary.
    activations = {str(layer.get("activation", "linear")) for layer in layers}
    if len(activations) == 1:
        (activation,) = activations
        found.cell[name] = "identity" if activation == "linear" else activation
    elif activations:
        told = ", ".join(sorted(map(repr, activations)))
        found.warnings.append(f"the layers differ in their activation ({told}); give {name}=")


def _layers(
    found: Checkpoint, layers: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Configurations of the recurrent and of the dense layers, unwrapped."""
    recurrent: list[dict[str, Any]] = []
    dense: list[dict[str, Any]] = []
    for layer in layers:
        kind, config = layer["class_name"], layer["config"]
        while kind in ("RNN", "TimeDistributed"):
            inner = config["cell" if kind == "RNN" else "layer"]
            kind, config = inner["class_name"], {**config, **inner["config"]}
        if kind in ("SimpleRNN", "SimpleRNNCell"):
            recurrent.append(config)
        elif kind == "Dense":
            dense.append(config)
        elif kind not in ("InputLayer", "Dropout"):
            found.warnings.append(f"the layer {config.get('name')!r} ({kind}) is not imported")
    return recurrent, dense
