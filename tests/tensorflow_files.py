"""Writes TensorFlow's checkpoints, from the description of their format."""

from __future__ import annotations

DTYPES = {"float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int64": 9, "bool": 10}
DTYPES |= {"float16": 19, "uint16": 17}


def slow_crc32c(data):
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def masked(crc):
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


def varint(n):
    digits = []
    while n >= 128:
        digits.append(n % 128 + 128)
        n //= 128
    return bytes([*digits, n])


def message(*fields):
    """A protocol buffer of (number, integer, bytes, or checksum as a 1-tuple)."""
    out = b""
    for number, value in fields:
        if isinstance(value, bytes):
            out += varint(number * 8 + 2) + varint(len(value)) + value
        elif isinstance(value, tuple):
            out += varint(number * 8 + 5) + value[0].to_bytes(4, "little")
        else:
            out += varint(number * 8) + varint(value)
    return out


def block(entries, restart=3):
    """A block of a table: keys share the start of the one before, but for every `restart`-th."""
    out, starts, before = b"", [], b""
    for i, (key, value) in enumerate(entries):
        shared = 0
        if i % restart == 0:
            starts.append(len(out))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value))
        out += key[shared:] + value
        before = key
    starts = starts or [0]
    return out + b"".join(n.to_bytes(4, "little") for n in [*starts, len(starts)])


def table(entries, per_block=4, damage=lambda content: content):
    out, handles = b"", []

    def put(content):
        nonlocal out
        content = damage(content)
        handle = varint(len(out)) + varint(len(content))
        crc = masked(slow_crc32c(content + b"\0"))
        out += content + b"\0" + crc.to_bytes(4, "little")
        return handle

    for i in range(0, len(entries), per_block):
        part = entries[i : i + per_block]
        handles.append((part[-1][0] + b"x", put(block(part))))
    footer = put(block([])) + put(block(handles, 1))
    return out + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def write(folder, arrays, change=lambda _, fields: fields):
    """NAME.index and NAME.data of the arrays."""
    data, entries = b"", [(b"", message((1, 1), (3, message((1, 1)))))]
    for name, array in sorted(arrays.items()):
        content = array.tobytes()
        shape = message(*((2, message((1, n))) for n in array.shape))
        fields = [(1, DTYPES.get(str(array.dtype), 7)), (2, shape), (4, len(data))]
        fields += [(5, len(content)), (6, (masked(slow_crc32c(content)),))]
        entries.append((name.encode(), message(*change(name, fields))))
        data += content
    (folder / "model.ckpt.data-00000-of-00001").write_bytes(data)
    (folder / "model.ckpt.index").write_bytes(table(entries))
    return folder / "model.ckpt.index"
