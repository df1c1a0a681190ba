"""Containers whose damaged contents have right checksums, so that what parses them is tried."""

from __future__ import annotations

import json
import math
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from random import Random

import numpy as np

from ..tensorflow_files import DTYPES, masked, message, slow_crc32c, table
from .projects import MULTITASK

NUMBERS = (0, 1, 2, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1)


def rebuilt(content: bytes, random: Random) -> bytes | None:
    """A copy with changed contents; None if the format is none of these."""
    if content.startswith(b"PK"):
        return _zip(content, random)
    if content[128:132] == struct.pack("<I", 15):
        return _matlab(content, random)
    if content.startswith(b"\x80"):
        return _pickle(content, random)
    return _json(content, random)


def changed(content: bytes, random: Random) -> bytes:
    """Some bytes changed, removed, repeated, or replaced by extreme numbers."""
    made = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 4, 16))):
        if not made:
            break
        place = random.randrange(len(made))
        end = min(len(made), place + random.choice((1, 4, 16, 256)))
        change = random.randrange(7)
        if change <= 2:
            made[place] ^= 1 << random.randrange(8)
        elif change == 3:
            layout = random.choice("<>") + random.choice("BHIQ")
            size = struct.calcsize(layout)
            # Most formats align their numbers.
            place -= place % size if random.random() < 0.5 else 0
            made[place : place + size] = struct.pack(layout, random.choice(NUMBERS) % 256**size)
        elif change == 4:
            del made[place:end]
        elif change == 5:
            made[place:place] = made[place:end] * random.choice((1, 1, 8))
        else:
            made[place:end] = random.randbytes(end - place)
    return bytes(made)


def _zip(content: bytes, random: Random) -> bytes:
    """One entry changed, or under another name."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    chosen = random.choice(list(entries))
    how = random.random()
    if chosen.endswith(".npy") and how < 0.5:
        entries[chosen] = _of_other_shape(random)
    elif how < 0.1:
        name = random.choice((f"{chosen}\x1b[2J", f"{chosen}/", chosen[::-1], "x" * 2000, "../a"))
        entries[name] = entries.pop(chosen)
    else:
        inner = rebuilt(entries[chosen], random) if how < 0.6 else None
        entries[chosen] = changed(entries[chosen], random) if inner is None else inner
    with zipfile.ZipFile(made := BytesIO(), "w", random.choice((0, 8))) as archive:
        for name, entry in entries.items():
            archive.writestr(name, entry)
    return made.getvalue()


def _of_other_shape(random: Random) -> bytes:
    """An array that another one may multiply or widen to an absurd size."""
    shape = [random.choice((0, 1, 1, 2, 3, 6, 6, 9)) for _ in range(random.choice((0, 1, 2, 2, 3)))]
    if shape and random.random() < 0.7:
        shape[random.randrange(len(shape))] = random.choice((1000, 60_000))
    if math.prod(shape) > 10**6:
        shape = [10**6]
    dtype = random.choice(("f2", "f4", "f8", "f8", ">f8", "i4", "b1", "c8"))
    np.save(made := BytesIO(), np.full(shape, random.choice((0, 1)), dtype))
    return made.getvalue()


def _matlab(content: bytes, random: Random) -> bytes:
    """Some of the compressed elements changed; their Adler-32 is made anew."""
    made, place = content[:128], 128
    while place < len(content):
        length = int.from_bytes(content[place + 4 : place + 8], "little")
        element = zlib.decompress(content[place + 8 : place + 8 + length])
        if random.random() < 0.3:
            element = changed(element, random)
        packed = zlib.compress(element)
        made += struct.pack("<II", 15, len(packed)) + packed
        place += 8 + length
    return made


_OPERATIONS = (
    *(b"(", b"t", b"}", b"]", b")", b"0", b"1", b"2", b"N", b"R", b"b", b"s", b"u", b"a", b"e"),
    *(b"\x85", b"\x86", b"\x87", b"Q", b"\x81", b"\x93", b"\x94", b"h\x00", b"h\x01", b"q\x00"),
    *(b"J\xff\xff\xff\x7f", b"\x8a\x08" + b"\xff" * 7 + b"\x7f", b"G\x7f\xf0" + bytes(6)),
    *(b"X\x01\x00\x00\x000", b"X\x03\x00\x00\x00\x1b[2", b"ctorch\nFloatStorage\n"),
    *(b"ctorch\nHalfStorage\n", b"ctorch\nfloat8_e5m2\n", b"ccollections\nOrderedDict\n"),
    *(b"ctorch._utils\n_rebuild_tensor_v2\n", b"cnumpy\ndtype\n", b"cos\nsystem\n"),
    *(b"cnumpy.core.multiarray\n_reconstruct\n", b"c_codecs\nencode\n"),
)
"""Of pickles: each alone is well formed."""


def _pickle(content: bytes, random: Random) -> bytes | None:
    """Operations removed, repeated, exchanged and put in; what follows the pickle is unchanged."""
    try:
        places = [place for _, _, place in pickletools.genops(content)]
    except ValueError:  # PyTorch's old format starts with a pickle of its own
        return None
    ends = [*places[1:], places[-1] + 1]
    operations = [content[i:j] for i, j in zip(places, ends, strict=True)]
    for _ in range(random.choice((1, 1, 2, 5))):
        place = random.randrange(1, len(operations))
        change = random.randrange(4)
        if change == 0:
            operations[place] = random.choice(_OPERATIONS)
        elif change == 1:
            operations.insert(place, random.choice(_OPERATIONS))
        elif change == 2:
            operations.insert(place, random.choice(operations))
        elif len(operations) > 2:
            del operations[place]
    return b"".join(operations) + content[ends[-1] :]


def _json(content: bytes, random: Random) -> bytes | None:
    """JSON text, or the JSON header of safetensors, with a value replaced by another."""
    start, end = content.find(b"{"), content.rfind(b"}") + 1
    if start not in (0, 8) or not end:
        return None
    values: list[Callable[[], object]] = [
        lambda: random.choice((None, True, -1, 0, 1e308, 10**30, 10**400, "", "F64", "x" * 2000)),
        lambda: random.choice(([], {}, [[]], [1, [2]], [None] * 1000, {"a": {"b": [1.0]}})),
    ]
    try:
        tree = json.loads(content[start:end])
    except ValueError:
        return None
    node = tree
    while isinstance(node, (dict, list)) and node:
        key = random.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if random.random() < 0.4 or not isinstance(node[key], (dict, list)):
            node[key] = random.choice(values)()
            break
        node = node[key]
    text = json.dumps(tree).encode()
    prefix = struct.pack("<Q", len(text)) if start else b""
    return prefix + text + content[end:]


def tensorflow(data: bytes, random: Random) -> dict[str, bytes]:
    """Index and data of a checkpoint: numbers, fields or blocks changed under right CRC-32C."""
    what = random.choice(("numbers", "fields", "blocks", "keys"))
    if what == "numbers":
        other = bytearray(data)
        for _ in range(random.choice((1, 4, 16))):
            other[random.randrange(len(other))] = random.randrange(256)
        data = bytes(other)
    entries, place = [(b"", message((1, 1), (3, message((1, 1)))))], 0
    for name, shape in sorted(MULTITASK.items()):
        length = 4 * math.prod(shape)
        content = data[place : place + length]
        sizes = message(*((2, message((1, n))) for n in shape))
        checksum = (masked(slow_crc32c(content)),)
        fields: list[tuple[int, object]] = [(1, DTYPES["float32"]), (2, sizes), (4, place)]
        fields += [(5, length), (6, checksum)]
        if what == "fields" and random.random() < 0.5:
            _change_field(fields, random)
        entries.append((name.encode(), message(*fields)))
        place += length
    if what == "keys":
        chosen = random.randrange(len(entries))
        name = random.choice((b"", b"\xff", b"x" * 1500, b"\x1b[2J", entries[-1][0]))
        entries[chosen] = (name, entries[chosen][1])

    def damaged(block: bytes) -> bytes:
        return changed(block, random) if what == "blocks" and random.random() < 0.5 else block

    return {"tensorflow": table(entries, damage=damaged), "tensorflow data": data}


def _change_field(fields: list[tuple[int, object]], random: Random) -> None:
    place = random.randrange(len(fields))
    number, value = fields[place]
    change = random.randrange(4)
    if change == 0:
        del fields[place]
    elif change == 1:
        fields.insert(place, (random.choice((1, 2, 3, 4, 5, 6, 7, 9)), value))
    elif isinstance(value, bytes) and change == 2:
        sides = [random.choice((0, 1, 6, *NUMBERS)) for _ in range(random.choice((0, 1, 2, 40)))]
        fields[place] = (number, message(*((2, message((1, n))) for n in sides)))
    elif isinstance(value, bytes):
        fields[place] = (number, changed(value, random))
    else:
        fields[place] = (number, random.choice((0, 1, 2, 14, 17, 19, 23, *NUMBERS)))
