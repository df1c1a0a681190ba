"""TensorFlow's checkpoints, without TensorFlow: NAME.index and NAME.data-00000-of-00001.

The index is a LevelDB table of protocol buffers, BundleEntryProto, which place each variable in the
data. Sources: tensorflow/core/util/tensor_bundle, tensor_bundle.proto and types.proto; LevelDB,
doc/table_format.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..._internal.checks import shown
from ..._internal.files import Array, check_size, open_file
from ..._internal.limits import MAX_AXES, size_on_disk
from .checkpoint import Checkpoint, entry_name

__all__ = ["crc32c", "index_of", "is_index", "read_tensorflow"]

_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_FOOTER = 48
_MOST_ENTRIES, _LONGEST_KEY = 100_000, 1000
_MOST_SHARDS = 1000
_DTYPES = {1: "f4", 2: "f8", 3: "i4", 4: "u1", 5: "i2", 6: "i1", 9: "i8", 10: "b1", 17: "u2"}
_DTYPES |= {19: "f2", 22: "u4", 23: "u8"}
_BFLOAT16 = 14
_OTHERS = {7: "text", 8: "complex numbers", 18: "complex numbers"}
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
"""The end of the names that TensorFlow 2 gives."""


def index_of(path: Path) -> Path:
    """The index of the checkpoint that a path means: its name, its data, or the folder of one."""
    if found := re.fullmatch(r"(.+)\.data-\d{5}-of-\d{5}", path.name):
        return path.with_name(f"{found[1]}.index")
    if path.is_dir():
        indices = sorted(path.glob("*.index"))
        return indices[0] if len(indices) == 1 else path
    named = path.with_name(f"{path.name}.index")
    return named if not path.exists() and named.is_file() else path


def is_index(path: Path) -> bool:
    """Whether a file ends as a LevelDB table does."""
    with open_file(path) as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - len(_MAGIC)))
        return size >= _FOOTER and stream.read() == _MAGIC


def read_tensorflow(path: Path, max_bytes: int) -> Checkpoint:
    """The variables that an index places, under the names that TensorFlow gives.

    ValueError if it is damaged, its data are missing, or it would unpack to more than `max_bytes`.
    """
    with open_file(path) as stream:
        check_size(path.stat().st_size, size_on_disk(stream), max_bytes)
        content = stream.read()
    found = Checkpoint.of_file(path, max_bytes)
    try:
        entries: dict[bytes, bytes] = {}
        for key, value in _table(content):
            if key in entries:
                raise ValueError(f"it has two entries of the name {shown(key)}")
            entries[key] = value
        header = dict(_fields(entries.pop(b"")))
        n_shards, order = _integer(header.get(1, 1)), "<>"[_integer(header.get(2, 0))]
        if not 1 <= n_shards <= _MOST_SHARDS:
            raise ValueError(f"it has {shown(n_shards)} files of data")
        stem = path.name.removesuffix(".index")
        shards = [path.with_name(f"{stem}.data-{i:05}-of-{n_shards:05}") for i in range(n_shards)]
        places = {name.decode(): _place(bytes(entry)) for name, entry in entries.items()}
        sizes = [_size(shard, max_bytes) for shard in shards]
        if sum(place.size for place in places.values()) > sum(sizes):
            raise ValueError("its variables are larger than its data (truncated?)")
        for name, place in places.items():
            if place.offset + place.size > sizes[place.shard]:
                raise ValueError(f"{shown(name)} lies beyond the data (truncated?)")
            _add(found, name.removesuffix(_VALUE), place, shards, order)
    except FileNotFoundError as error:
        raise ValueError(f"{path} needs its data, {error.filename}, which is missing") from error
    except (KeyError, IndexError, UnicodeDecodeError, OverflowError) as error:
        raise ValueError(f"{path} is damaged: {error!r}") from error
    except ValueError as error:
        raise ValueError(f"{path} is damaged or no checkpoint: {error}") from error
    return found


def _size(shard: Path, max_bytes: int) -> int:
    """The size of a file of data, of which holes must not be read."""
    with open_file(shard) as stream:
        size = shard.stat().st_size
        check_size(size, size_on_disk(stream), max_bytes)
    return size


class _Place:
    """A BundleEntryProto: what a variable is, and where it lies."""

    def __init__(self) -> None:
        self.dtype = self.shard = self.offset = self.size = self.crc = 0
        self.shape: list[int] = []
        self.is_sliced = False


def _place(entry: bytes) -> _Place:
    place = _Place()
    names = {1: "dtype", 3: "shard", 4: "offset", 5: "size", 6: "crc"}
    for number, value in _fields(entry):
        if number in names:
            setattr(place, names[number], _integer(value))
        elif number == 2:  # TensorShapeProto, of Dim
            dims = [dict(_fields(_bytes(dim))) for n, dim in _fields(_bytes(value)) if n == 2]
            place.shape = [_integer(dim.get(1, 0)) for dim in dims]
        elif number == 7:
            place.is_sliced = True
    return place


def _add(found: Checkpoint, name: str, place: _Place, shards: list[Path], order: str) -> None:
    if place.is_sliced:
        found.skip(name, "a variable in slices")
        return
    is_bfloat16 = place.dtype == _BFLOAT16
    if place.dtype not in _DTYPES and not is_bfloat16:
        found.skip(name, _OTHERS.get(place.dtype, f"of TensorFlow's type {place.dtype}"))
        return
    dtype = np.dtype(order + ("u2" if is_bfloat16 else _DTYPES[place.dtype]))
    if len(place.shape) > MAX_AXES:
        raise ValueError(f"{name} has {len(place.shape)} axes")
    with open_file(shards[place.shard]) as stream:
        stream.seek(place.offset)
        data = stream.read(place.size)
    if math.prod(place.shape) * dtype.itemsize != place.size or len(data) != place.size:
        raise ValueError(f"{name} {tuple(place.shape)} {dtype} has {len(data)} bytes (truncated?)")
    if _unmasked(place.crc) != crc32c(data):
        raise ValueError(f"the checksum of {name} differs")
    array = np.ndarray(place.shape, dtype, data)
    if is_bfloat16:  # the upper half of a float32
        array = (array.astype("<u4") << 16).view("<f4")
        found.narrow[entry_name(name)] = "bfloat16"
    found.add(name, array.astype(array.dtype.newbyteorder("=")))


# LevelDB's table


def _table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values, in order. The footer places the index of the blocks.

    Blocks that overlap and keys that repeat each other could be far larger than the file.
    """
    footer = content[-_FOOTER:]
    place = _varint(footer, _varint(footer, 0)[1])[1]
    left, count = len(content), 0
    for _, handle in _block(content, footer[place:]):
        left -= _varint(handle, _varint(handle, 0)[1])[0]
        if left < 0:
            raise ValueError("its blocks overlap")
        for key, value in _block(content, handle):
            count += 1
            if count > _MOST_ENTRIES or len(key) > _LONGEST_KEY:
                raise ValueError(f"it has {count} keys, the last of {len(key)} bytes")
            yield key, value


def _block(content: bytes, handle: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Entries of a block; each key repeats the start of the one before."""
    start, place = _varint(handle, 0)
    size, _ = _varint(handle, place)
    block, trailer = content[start : start + size], content[start + size : start + size + 5]
    if len(block) != size or len(trailer) != 5 or size < 4:
        raise ValueError("a block ends beyond the file")
    if trailer[0]:
        raise ValueError("its index is compressed, which TensorFlow does not do")
    if _unmasked(int.from_bytes(trailer[1:], "little")) != crc32c(block + trailer[:1]):
        raise ValueError("the checksum of its index differs")
    end = size - 4 - 4 * int.from_bytes(block[-4:], "little")
    key, place = b"", 0
    while place < end:
        shared, place = _varint(block, place)
        unshared, place = _varint(block, place)
        length, place = _varint(block, place)
        key = key[:shared] + block[place : place + unshared]
        place += unshared
        yield key, block[place : place + length]
        place += length


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """An integer of 7 bits a byte, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("an integer has more than 10 bytes")


# Protocol buffers


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of the fields: integers, or the bytes of what has a length."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, place = _varint(message, place)
            yield number, value
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
            yield number, int.from_bytes(message[place : place + length], "little")
            place += length
        elif kind == 2:
            length, place = _varint(message, place)
            if place + length > len(message):
                raise ValueError("a field ends beyond its message")
            yield number, message[place : place + length]
            place += length
        else:
            raise ValueError(f"a field is of kind {kind}")


def _integer(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise ValueError("a field is no integer")
    return value


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a field is no message")
    return value


# Checksums


def _unmasked(crc: int) -> int:
    """The checksum that LevelDB stores rotated and with a constant added."""
    rotated = (crc - 0xA282EAD8) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


def _crc_table() -> Array:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return table


_TABLE = _crc_table()
_ENTRIES: list[int] = _TABLE.tolist()
_SHORT = 256  # bytes, for which arrays do not pay
_MOST_LANES = 4096


def crc32c(data: bytes) -> int:
    """CRC-32C, Castagnoli's; many lanes at once, as Python is slow byte by byte.

    The remainder is linear: that of a long message is the remainder of its start, moved on by the
    length of its end, xor the remainder of the end.
    """
    if len(data) < _SHORT:
        state = 0xFFFFFFFF
        for byte in data:
            state = _ENTRIES[(state ^ byte) & 0xFF] ^ state >> 8
        return state ^ 0xFFFFFFFF
    # As if the register had started with ones.
    padded = bytes(byte ^ 0xFF for byte in data[:4]) + data[4:]
    n_lanes = min(math.isqrt(len(padded)), _MOST_LANES)
    steps = -(-len(padded) // n_lanes)
    lanes = np.zeros((n_lanes, steps), np.uint8)
    lanes.reshape(-1)[n_lanes * steps - len(padded) :] = np.frombuffer(padded, np.uint8)
    ends = np.zeros(n_lanes, np.uint32)
    moved = np.uint32(1) << np.arange(32, dtype=np.uint32)  # each bit, after `steps` zeros
    for column in lanes.T:
        ends = _TABLE[(ends ^ column) & 0xFF] ^ (ends >> 8)
        moved = _TABLE[moved & 0xFF] ^ (moved >> 8)
    state = 0
    for end in ends.tolist():
        state = end ^ int(
            np.bitwise_xor.reduce(moved[[state >> bit & 1 == 1 for bit in range(32)]])
        )
    return state ^ 0xFFFFFFFF
