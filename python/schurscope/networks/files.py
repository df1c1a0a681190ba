"""The package's own network files, .npz or .safetensors, bit-exact."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .._internal.checks import printable, shown
from .._internal.files import (
    MAX_BYTES,
    Array,
    load_npz,
    open_file,
    plain_text,
    save_npz,
    zip_names,
)
from .._internal.json import parse_json
from .._internal.safetensors import is_safetensors, read_safetensors, write_safetensors
from .cayley import Cayley
from .cell import Cell

NETWORK_FORMAT = "schurscope-network-1"

_REQUIRED = ("W_hh", "W_xh", "W_hy")
_OPTIONAL = ("b_h", "b_y", "h_0", "b_hn", "c_0")
_CAYLEY = ("U", "pairs", "reals")
_MAX_CAYLEY = 2**23  # bytes of U that a file of any size may have


class _Network(Protocol):
    @property
    def cell(self) -> Cell: ...

    @property
    def cayley(self) -> Cayley | None: ...


def write_network(path: str | os.PathLike[str], network: _Network) -> None:
    """See `Network.save`. The default cell is not written, so that such files keep the old format.

    Other cells are JSON text, which preserves every bit of Python's floats; leaks of the units are
    an entry of their own.
    """
    arrays: dict[str, Array] = {
        name: array
        for name in _REQUIRED + _OPTIONAL
        if (array := getattr(network, name)) is not None
    }
    if network.cayley is not None:
        arrays |= {f"cayley_{name}": getattr(network.cayley, name) for name in _CAYLEY}
    cell = asdict(network.cell)
    if isinstance(cell["leak"], np.ndarray):
        arrays["cell_leak"] = cell.pop("leak")
    if cell["readout"] == Cell.readout:
        del cell["readout"]  # which versions before 0.2 do not know
    if network.cell.gates:
        cell = {name: cell[name] for name in ("kind", "reset", "output", "noise")}
    else:
        del cell["kind"], cell["reset"]
    texts = {} if network.cell == Cell() else {"cell": json.dumps(cell)}
    if Path(path).suffix == ".safetensors":
        metadata = {"format": NETWORK_FORMAT, "entries": json.dumps(sorted(arrays)), **texts}
        write_safetensors(path, arrays, metadata)
    else:
        arrays |= {name: np.array(text) for name, text in texts.items()}
        save_npz(path, NETWORK_FORMAT, arrays)


def is_network_file(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> bool:
    """Whether a file declares the format of `write_network`; False for folders."""
    if Path(path).is_dir():
        return False
    with open_file(path) as stream:
        head = stream.read(1024)
    if is_safetensors(head):
        return NETWORK_FORMAT.encode() in head
    is_zip = head.startswith(b"PK\x03\x04")
    return is_zip and {"format.npy", "entries.npy"} <= set(zip_names(path, max_bytes))


def read_network(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """The arguments of the `Network` in a file of `write_network`; see `Network.load`."""
    cayley_names = tuple(f"cayley_{name}" for name in _CAYLEY)
    with open_file(path) as stream:
        head = stream.read(16)
    parts: dict[str, Any]
    if is_safetensors(head):
        parts = _read_safetensors(path, max_bytes)
    else:
        if head and not is_network_file(path, max_bytes):
            raise ValueError(
                f"{path} is damaged or not a {NETWORK_FORMAT} file; schurscope.load_network reads "
                "networks trained elsewhere"
            )
        optional = (*_OPTIONAL, *cayley_names, "cell", "cell_leak")
        parts = dict(load_npz(path, NETWORK_FORMAT, _REQUIRED, optional, max_bytes))
        if "cell" in parts:
            parts["cell"] = plain_text(parts["cell"])
    if "cayley_U" in parts:  # W_hh is computed from it, which takes long
        size = Path(path).stat().st_size
        if parts["cayley_U"].nbytes > max(size, _MAX_CAYLEY):
            raise ValueError(
                f"{path} is damaged: {size} bytes cannot hold cayley_U {parts['cayley_U'].shape}, "
                "which Network.save does not compress"
            )
    parameters = [parts.pop(name) for name in cayley_names if name in parts]
    if 0 < len(parameters) < len(cayley_names):
        raise ValueError(f"{path} must hold all of {', '.join(cayley_names)}, or none")
    try:
        if parameters:
            parts["cayley"] = Cayley(*parameters)
        if "cell" in parts:
            leaks = {"leak": parts.pop("cell_leak")} if "cell_leak" in parts else {}
            parts["cell"] = Cell(**parse_json(str(parts["cell"]).encode()), **leaks)
    except (TypeError, ValueError, RecursionError) as error:
        told = printable(str(error))
        raise ValueError(f"{path} does not hold a valid network: {told}") from error
    return parts


def _read_safetensors(path: str | os.PathLike[str], max_bytes: int) -> dict[str, Any]:
    arrays, metadata, _ = read_safetensors(path, max_bytes)
    if metadata.get("format") != NETWORK_FORMAT:
        given = shown(metadata.get("format"))
        raise ValueError(
            f"{path} is not a {NETWORK_FORMAT} file: its format is {given}; "
            "schurscope.load_network reads networks trained elsewhere"
        )
    if metadata.get("entries") != json.dumps(sorted(arrays)):
        raise ValueError(f"{path} is damaged: its list of entries does not match its content")
    return arrays | ({"cell": metadata["cell"]} if "cell" in metadata else {})
