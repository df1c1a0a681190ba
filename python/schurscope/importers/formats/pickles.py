"""Plain values and NumPy arrays of a pickle, read as data: nothing in it is imported or called.

A pickle is a program for a small stack machine. Here its steps are decoded by the standard
library's `pickletools`, and only those that make numbers, text and containers are carried out. What
would call a function or make an object leaves a placeholder, except for NumPy's arrays, whose
shape, dtype and bytes stand in the file.
"""

from __future__ import annotations

import math
import pickletools
import re
from pathlib import Path
from typing import Any

import numpy as np

from ..._internal.files import MAX_BYTES, Array, check_size
from .checkpoint import Checkpoint, from_tree

__all__ = ["read_pickle"]

_MARK = object()
_MAX_STEPS = 2_000_000
_CONSTANTS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_SINGLES = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_DTYPE = re.compile(r"[|<>=]?(f[248]|[iu][1248]|b1)")


class _Object:
    """In place of an object: what would make it, from what arguments, and its state."""

    def __init__(self, of: object = None, arguments: object = ()) -> None:
        self.of, self.arguments = of, arguments
        self.state: Any = None


def read_pickle(path: Path, max_bytes: int = MAX_BYTES) -> Checkpoint:
    """The arrays, numbers and texts of a pickled dictionary.

    ValueError if it is damaged, larger than `max_bytes`, or holds no such dictionary.
    """
    check_size(path.stat().st_size, 0, max_bytes)
    refused = (
        f"{path} is a pickle, which is never loaded because it can run any code, and whose plain "
        "values are no dictionary of arrays; save arrays instead"
    )
    try:
        tree = _plain(_executed(path.read_bytes()), set())
    except ValueError as error:
        raise ValueError(f"{refused} ({error})") from error
    except (TypeError, IndexError, KeyError, AttributeError, OverflowError, MemoryError) as error:
        raise ValueError(f"{path} is a damaged pickle: {error!r}") from error
    if not isinstance(tree, dict):
        raise ValueError(refused)
    return from_tree(tree, str(path))


def _executed(content: bytes) -> object:
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
        name = opcode.name
        if count == _MAX_STEPS:
            raise ValueError(f"it has more than {_MAX_STEPS} steps")
        if name == "STOP":
            return stack.pop()
        if name in _CONSTANTS:
            stack.append(argument)
        elif name in _SINGLES:
            stack.append(_SINGLES[name])
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name not in ("PROTO", "FRAME"):
            _step(name, argument, stack)
    raise ValueError("it has no end")


def _step(name: str, argument: Any, stack: list[Any]) -> None:
    """Carry out a step that builds a container or would build an object."""
    if name == "MARK":
        stack.append(_MARK)
    elif name.startswith("EMPTY_"):
        stack.append({"EMPTY_DICT": {}, "EMPTY_TUPLE": ()}.get(name, []))
    elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
        count = int(name[-1])
        stack[-count:] = [tuple(stack[-count:])]
    elif name in ("TUPLE", "LIST", "FROZENSET"):
        items = _to_mark(stack)
        stack.append(tuple(items) if name == "TUPLE" else items)
    elif name == "DICT":
        items = _to_mark(stack)
        stack.append(dict(zip(items[::2], items[1::2], strict=True)))
    elif name in ("APPEND", "APPENDS", "ADDITEMS"):
        items = [stack.pop()] if name == "APPEND" else _to_mark(stack)
        if isinstance(stack[-1], list):
            stack[-1].extend(items)
    elif name in ("SETITEM", "SETITEMS"):
        items = [stack.pop(-2), stack.pop()] if name == "SETITEM" else _to_mark(stack)
        if isinstance(stack[-1], dict):
            stack[-1].update(zip(items[::2], items[1::2], strict=True))
    elif name == "POP":
        stack.pop()
    elif name == "POP_MARK":
        _to_mark(stack)
    elif name == "GLOBAL":
        stack.append(_Object("global", tuple(str(argument).split(" ", 1))))
    elif name == "STACK_GLOBAL":
        stack[-2:] = [_Object("global", (stack[-2], stack[-1]))]
    elif name in ("REDUCE", "NEWOBJ"):
        arguments = stack.pop()
        stack[-1] = _made(stack[-1], arguments)
    elif name == "BUILD":
        state = stack.pop()
        if isinstance(stack[-1], _Object):
            stack[-1].state = state
    elif name == "BINPERSID":
        stack[-1] = _Object()
    elif name == "PERSID":
        stack.append(_Object())
    else:
        raise ValueError(f"it has a step {name}")


def _to_mark(stack: list[Any]) -> list[Any]:
    place = len(stack) - 1
    while stack[place] is not _MARK:
        place -= 1
        if place < 0:
            raise ValueError("a mark is missing")
    items = stack[place + 1 :]
    del stack[place:]
    return items


def _made(of: object, arguments: object) -> object:
    """A placeholder, an empty dictionary, or bytes that Python 2 can read."""
    where = _global(of)
    if where == ("collections", "OrderedDict"):
        return {}
    if where == ("__builtin__", "bytes") and arguments == ():
        return b""
    if where == ("_codecs", "encode") and isinstance(arguments, tuple) and arguments:
        return str(arguments[0]).encode("latin-1")
    return _Object(where, arguments)


def _global(value: object) -> tuple[Any, ...]:
    is_global = isinstance(value, _Object) and value.of == "global"
    return value.arguments if is_global else ()  # type: ignore[attr-defined]


def _plain(value: object, seen: set[int]) -> object:
    """Containers as dictionaries and lists, each once, for they may contain themselves."""
    if isinstance(value, (dict, list, tuple)):
        if id(value) in seen:
            return None
        seen.add(id(value))
        if isinstance(value, dict):
            return {str(key): _plain(item, seen) for key, item in value.items()}
        return [_plain(item, seen) for item in value]
    if isinstance(value, _Object):
        return _array(value)
    if isinstance(value, int) and abs(value) > 2**63:
        return None
    return value


def _array(value: _Object) -> Array | _Object:
    """NumPy's array or number in place of the steps that would make it."""
    module, name = value.of if isinstance(value.of, tuple) and len(value.of) == 2 else ("", "")
    if not str(module).startswith("numpy"):
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
    if isinstance(content, str):  # bytes of Python 2
        content = content.encode("latin-1")
    code = _dtype(dtype)
    if not (code and isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)):
        return value
    wanted = math.prod(shape) * code.itemsize
    if not isinstance(content, (bytes, bytearray)) or len(content) != wanted:
        raise ValueError(f"an array of shape {shape} and {code} has not {wanted} bytes")
    return np.ndarray(shape, code, bytes(content), order="F" if is_fortran else "C")


def _dtype(value: object) -> np.dtype[Any] | None:
    """The dtype of real numbers that a placeholder stands for."""
    if not isinstance(value, _Object) or not isinstance(value.arguments, tuple):
        return None
    if value.of != ("numpy", "dtype") or not value.arguments:
        return None
    if not _DTYPE.fullmatch(str(value.arguments[0])):
        return None
    order = value.state[1] if isinstance(value.state, tuple) and len(value.state) > 1 else "="
    return np.dtype(str(value.arguments[0])).newbyteorder(">" if order == ">" else "<")
