"""MessagePack with arrays, as flax.serialization.to_bytes writes it.

Needs msgpack, imported when used. Source: flax/serialization.py. Extension 1 is an array: its
shape, the name of its dtype and its bytes, packed again; 3 is a NumPy number; arrays of more than
2³⁰ bytes are in chunks.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ..._internal.files import Array, check_size, open_file
from ..._internal.json import MAX_NUMBERS, without_repeats
from ..._internal.limits import MAX_AXES, size_on_disk, unreadable
from .checkpoint import Checkpoint, from_tree

__all__ = ["is_msgpack", "read_msgpack"]

_DTYPE_NAMES = {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
_DTYPE_NAMES |= {"float16", "float32", "float64", "bool"}


def is_msgpack(head: bytes) -> bool:
    """Whether a file may be a map in this format, with text as keys, from its first bytes."""
    start = {0xDE: 3, 0xDF: 5}.get(head[0] if head else 0, 1)
    is_map = bool(head) and (0x81 <= head[0] <= 0x8F or start > 1)
    key = head[start] if len(head) > start else 0
    return is_map and (0xA0 <= key <= 0xBF or key in (0xD9, 0xDA, 0xDB))


def read_msgpack(path: Path, max_bytes: int) -> Checkpoint:
    """The arrays of the file. ValueError if it is damaged, or larger than `max_bytes`."""
    try:
        import msgpack
    except ImportError as error:
        raise ImportError(f'reading {path} needs msgpack: pip install "schurscope[io]"') from error
    with open_file(path) as stream:
        check_size(path.stat().st_size, size_on_disk(stream), max_bytes)
        content = stream.read()
    widened: set[int] = set()

    def extension(code: int, content: bytes) -> object:
        if code not in (1, 3):
            return None
        shape, name, data = msgpack.unpackb(content)
        array = _array(shape, name, data)
        if name == "bfloat16":
            widened.add(id(array))
        return array

    try:
        tree = msgpack.unpackb(
            content,
            ext_hook=extension,
            strict_map_key=False,
            object_pairs_hook=without_repeats,
            max_array_len=MAX_NUMBERS,
            max_map_len=MAX_NUMBERS,
        )
        if not isinstance(tree, dict):
            raise ValueError("it is no dictionary")
        tree = _joined(tree)
    except Exception as error:  # the package's own types, and those of what it may contain
        raise unreadable(path, "damaged or no MessagePack of arrays", error) from error
    result = from_tree(tree, Checkpoint.of_file(path, max_bytes))
    result.narrow |= {n: "bfloat16" for n, a in result.arrays.items() if id(a) in widened}
    return result


def _array(shape: Any, name: str, data: bytes) -> Array:
    if name == "bfloat16":  # the upper half of a float32
        code = np.dtype("<u2")
    elif name in _DTYPE_NAMES:
        code = np.dtype(name).newbyteorder("<")
    else:
        raise ValueError(f"it has an array of {name}")
    shape = tuple(shape)
    if len(shape) > MAX_AXES:
        raise ValueError(f"it has an array of {len(shape)} axes")
    if min(shape, default=0) < 0 or math.prod(shape) * code.itemsize != len(data):
        raise ValueError(f"it has an array {shape} {name} of {len(data)} bytes")
    array = np.ndarray(shape, code, data)
    return (array.astype("<u4") << 16).view("<f4") if name == "bfloat16" else array


def _joined(node: Any) -> Any:
    """The tree with arrays in place of their chunks."""
    if not isinstance(node, dict):
        return node
    if node.get("__msgpack_chunked_array__"):
        shape = [node["shape"][str(i)] for i in range(len(node["shape"]))]
        parts = [node["chunks"][str(i)] for i in range(len(node["chunks"]))]
        return np.concatenate(parts).reshape(shape)
    return {key: _joined(child) for key, child in node.items()}
