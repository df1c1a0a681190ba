"""Numeric arrays of MATLAB level 5 files, which MATLAB's `save` writes up to version 7.

Source: MathWorks, MAT-File Format, chapter 1. Implemented here because SciPy's reader (1.17)
crashes with a segmentation fault on some damaged files. Only compressed elements have a checksum.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..._internal.files import Array, check_size, open_file
from ..._internal.limits import size_on_disk, unreadable
from .checkpoint import Checkpoint, entry_name

__all__ = ["MAT5_MAGIC", "read_mat5"]

MAT5_MAGIC = b"MATLAB 5.0 MAT-file"

_MATRIX, _COMPRESSED = 14, 15
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8"}
_STORED[13] = "u8"
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8"}
_CLASSES[15] = "u8"
_STRUCT = 2
_OTHERS = {1: "cell", 2: "struct array", 3: "object", 4: "char", 5: "sparse", 16: "function"}
_OTHERS[17] = "object"
_FLAGS = 6
_COMPLEX = 0x0800


def read_mat5(path: Path, max_bytes: int) -> Checkpoint:
    """The real arrays of a file and of its structs, as ``net.W``; all else is listed as skipped.

    ValueError if it is damaged or would unpack to more than `max_bytes`.
    """
    found = Checkpoint.of_file(path, max_bytes)
    try:
        with open_file(path) as stream:
            check_size(path.stat().st_size, size_on_disk(stream), max_bytes)
            content = stream.read()
        order = "<" if content[126:128] == b"IM" else ">"
        left, widened = max(len(content), max_bytes), 0
        for kind, data in _elements(memoryview(content)[128:], order):
            if kind == _COMPRESSED:
                kind, data = _inflated(data, order, len(content), left)
            left -= len(data)
            if kind != _MATRIX:
                raise ValueError(f"it has an element of type {kind} where arrays are")
            if len(data):
                for name, array, dtype in _matrices(data, order):
                    if isinstance(array, str):
                        found.skip(name, array)
                    else:  # MATLAB stores doubles that are small integers as bytes
                        widened += array.size * np.dtype(dtype).itemsize
                        check_size(widened, len(content), max_bytes)
                        found.add(name, array.astype(dtype))
    except Exception as error:  # struct, zlib and NumPy raise their own types
        raise unreadable(path, "damaged", error) from error
    return found


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Type and data of each element; they start at multiples of 8 bytes."""
    place = 0
    while place < len(data):
        kind, length, start = _tag(data[place : place + 8], order)
        if place + start + length > len(data):
            raise ValueError(f"an element claims {length} bytes beyond its end")
        yield kind, data[place + start : place + start + length]
        place += start + length
        if kind != _COMPRESSED:
            place += -place % 8


def _tag(tag: memoryview, order: str) -> tuple[int, int, int]:
    """Type, length and offset of the data: 8 bytes, or 4 for at most 4 bytes of data."""
    if len(tag) < 8:
        raise ValueError("it ends inside an element")
    first, second = (int(word) for word in np.frombuffer(tag, f"{order}u4"))
    if first >> 16:
        return first & 0xFFFF, min(first >> 16, 4), 4
    return first, second, 8


def _inflated(
    data: memoryview, order: str, file_size: int, max_bytes: int
) -> tuple[int, memoryview]:
    """The single element inside a compressed one, no longer than its tag declares."""
    stream = zlib.decompressobj()
    kind, length, _ = _tag(memoryview(stream.decompress(data, 8)), order)
    check_size(length, file_size, max_bytes)
    content = stream.decompress(stream.unconsumed_tail, length) if length else b""
    if len(content) != length or stream.decompress(stream.unconsumed_tail, 1):
        raise ValueError("a compressed element does not have the length that it claims")
    if not stream.eof or stream.unused_data:  # at the end the checksum is compared
        raise ValueError("a compressed element does not end with its checksum")
    return kind, memoryview(content)


def _matrices(
    data: memoryview, order: str, given: str | None = None
) -> Iterator[tuple[str, Array | str, str]]:
    """Names with arrays and their dtypes when not stored as smaller ones, or with a reason.

    The reason is why a value is not an array of real numbers.

    A struct yields its fields, whose matrices are unnamed: `given` is their name.
    """
    elements = _elements(data, order)
    flags_kind, content = next(elements)
    flags = np.frombuffer(content, f"{order}u4")
    if flags_kind != _FLAGS or flags.size != 2:
        raise ValueError("an array does not start with its flags")
    shape = tuple(int(size) for size in np.frombuffer(next(elements)[1], f"{order}i4"))
    name = bytes(next(elements)[1]).decode("latin-1")
    name = entry_name(name if given is None else given)
    kind = int(flags[0]) & 0xFF
    if kind == _STRUCT and math.prod(shape) == 1:
        (width,) = np.frombuffer(next(elements)[1], f"{order}i4")
        names = bytes(next(elements)[1])
        for start, (_, field) in zip(range(0, len(names), width), elements, strict=True):
            if len(field):
                label = names[start : start + width].partition(b"\0")[0].decode("latin-1")
                yield from _matrices(field, order, f"{name}.{label}")
        return
    if kind not in _CLASSES:
        if kind not in _OTHERS:
            raise ValueError(f"{name} is of the unknown class {kind}")
        yield name, f"a MATLAB {_OTHERS[kind]}, not an array of numbers", ""
        return
    if int(flags[0]) & _COMPLEX:
        yield name, "complex numbers", ""
        return
    stored, values = next(elements)
    array = np.frombuffer(values, f"{order}{_STORED[stored]}")
    if math.prod(shape) != array.size or min(shape, default=0) < 0:
        raise ValueError(f"{name} declares {shape} but has {array.size} numbers")
    yield name, array.reshape(shape, order="F"), _CLASSES[kind]
