"""Plain values and NumPy arrays of a pickle, read as data: nothing in it is imported or called.

What would call a function or make an object leaves a placeholder, except for NumPy's arrays, whose
shape, dtype and bytes stand in the file.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from ..._internal.checks import MAX_INT
from ..._internal.files import MAX_BYTES, Array, check_size, open_file
from ..._internal.json import without_repeats
from ..._internal.limits import MAX_AXES, size_on_disk
from .checkpoint import Checkpoint, from_tree
from .interpreter import Placeholder, interpret

__all__ = ["read_pickle"]

_DTYPE = re.compile(r"[|<>=]?(f[248]|[iu][1248]|b1)")


class _Object(Placeholder):
    """In place of an object: the name of what would make it, from what arguments, and its state."""

    def __init__(self, of: str = "", arguments: object = ()) -> None:
        self.of, self.arguments = of, arguments


class _Copies:
    """Bytes of text and of what can change: no more in all than the file has.

    The arrays of a file could otherwise share one text, which each would copy.
    """

    def __init__(self, most: int) -> None:
        self._left = most

    def of(self, value: str | bytearray | bytes) -> bytes:
        """The value as bytes; ValueError for too many copies."""
        if isinstance(value, bytes):
            return value
        self._left -= len(value)
        if self._left < 0:
            raise ValueError("its arrays share their bytes")
        return value.encode("latin-1") if isinstance(value, str) else bytes(value)


class _Global(_Object):
    """In place of a function or a class."""

    def __init__(self, of: str, copies: _Copies) -> None:
        super().__init__(of)
        self._copies = copies

    def __call__(self, *arguments: object) -> object:
        """A placeholder, an empty dictionary, or bytes that Python 2 can read."""
        if self.of == "collections.OrderedDict":
            return {}
        if self.of == "__builtin__.bytes" and not arguments:
            return b""
        if self.of == "_codecs.encode" and arguments and isinstance(arguments[0], str):
            return self._copies.of(arguments[0])
        return _Object(self.of, arguments)


def read_pickle(path: Path, max_bytes: int = MAX_BYTES) -> Checkpoint:
    """The arrays, numbers and texts of a pickled dictionary.

    ValueError if it is damaged, larger than `max_bytes`, or holds no such dictionary.
    """
    refused = (
        f"{path} is a pickle, which is never loaded because it can run any code, and whose plain "
        "values are no dictionary of arrays; save arrays instead"
    )
    with open_file(path) as stream:
        check_size(path.stat().st_size, size_on_disk(stream), max_bytes)
        content = stream.read()
    try:
        copies = _Copies(len(content))
        tree, _ = interpret(content, lambda name: _Global(name, copies), lambda _: _Object())
        tree = _plain(tree, set(), copies)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{refused} ({error})") from error
    if not isinstance(tree, dict):
        raise ValueError(refused)
    return from_tree(tree, Checkpoint.of_file(path, max_bytes))


def _plain(value: object, seen: set[int], copies: _Copies) -> object:
    """Containers as dictionaries and lists, each once, for they may contain themselves."""
    if isinstance(value, (dict, list, tuple)):
        if id(value) in seen:
            return None
        seen.add(id(value))
        if isinstance(value, dict):
            return without_repeats(
                (str(key), _plain(item, seen, copies)) for key, item in value.items()
            )
        return [_plain(item, seen, copies) for item in value]
    if isinstance(value, _Object):
        return _array(value, copies)
    if isinstance(value, int) and abs(value) > 2**63:
        return None
    return value


def _array(value: _Object, copies: _Copies) -> Array | _Object:
    """NumPy's array or number in place of the steps that would make it."""
    module, _, name = value.of.rpartition(".")
    if not module.startswith("numpy"):
        return value
    arguments = value.arguments if isinstance(value.arguments, tuple) else ()
    if name == "_reconstruct" and isinstance(value.state, tuple) and len(value.state) == 5:
        _, shape, dtype, is_fortran, content = value.state
    elif name == "_frombuffer" and len(arguments) == 4:
        content, dtype, shape, order = arguments
        is_fortran = order == "F"
    elif name == "scalar" and len(arguments) == 2:
        (dtype, content), shape, is_fortran = arguments, (), False
    else:
        return value
    code = _dtype(dtype)
    if not (code and isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)):
        return value
    if len(shape) > MAX_AXES or max(shape, default=0) > MAX_INT:
        raise ValueError(f"it has an array of {len(shape)} axes, or a length beyond all arrays")
    wanted = math.prod(shape) * code.itemsize
    # Text stands for bytes of Python 2.
    if not isinstance(content, (str, bytes, bytearray)) or len(content) != wanted:
        raise ValueError(f"an array of shape {shape} and {code} has not {wanted} bytes")
    return np.ndarray(shape, code, copies.of(content), order="F" if is_fortran else "C")


def _dtype(value: object) -> np.dtype[Any] | None:
    """The dtype of real numbers that a placeholder stands for."""
    if not isinstance(value, _Object) or not isinstance(value.arguments, tuple):
        return None
    if value.of != "numpy.dtype" or not value.arguments:
        return None
    if not _DTYPE.fullmatch(str(value.arguments[0])):
        return None
    order = value.state[1] if isinstance(value.state, tuple) and len(value.state) > 1 else "="
    return np.dtype(str(value.arguments[0])).newbyteorder(">" if order == ">" else "<")
