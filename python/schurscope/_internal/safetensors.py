"""The safetensors format: eight bytes of length, a JSON header, and the bytes of the arrays.

Source: the format's description at github.com/huggingface/safetensors. Implemented here because
that package cannot return bfloat16 as NumPy arrays.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from .files import Array, atomic_path

MAX_HEADER = 100_000_000
"""In bytes; the format's own limit."""

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "<i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "<u1",
    "BOOL": "|b1",
}


def is_safetensors(head: bytes) -> bool:
    """Whether a file may be of this format, from its first bytes."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") >= 2


def read_safetensors(
    path: str | os.PathLike[str],
) -> tuple[dict[str, Array], dict[str, str], dict[str, str]]:
    """Arrays by name, metadata, and the names of bfloat16 arrays, widened to float32.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The file is damaged or of another format: its header is not JSON or longer than the file, or
        its arrays overlap, leave gaps or do not fill their bytes.
    """
    with open(path, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        length = int.from_bytes(stream.read(8), "little")
        if length > min(size - 8, MAX_HEADER):
            raise ValueError(
                f"{path} is damaged or not a safetensors file: its header claims {length} bytes, "
                f"the file has {size}"
            )
        try:
            header = json.loads(stream.read(length))
            metadata = header.pop("__metadata__", {})
            if any(not isinstance(text, str) for text in metadata.values()):
                raise ValueError("its metadata are not text")
            tensors = sorted(header.items(), key=lambda item: item[1]["data_offsets"])
            arrays, widened, place = {}, {}, 0
            for name, entry in tensors:
                begin, end = entry["data_offsets"]
                dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), tuple(entry["shape"])
                if begin != place or end - begin != math.prod(shape) * dtype.itemsize:
                    raise ValueError(f"{name} does not fill its bytes")
                content = stream.read(end - begin) if 0 <= end - begin <= size else b""
                array = np.ndarray(shape, dtype, content)
                if entry["dtype"] == "BF16":  # the upper half of a float32
                    array = (array.astype("<u4") << 16).view("<f4")
                    widened[name] = "bfloat16"
                arrays[name], place = array, end
            if place != size - 8 - length:
                raise ValueError(f"its arrays end at byte {place} of {size - 8 - length}")
        except Exception as error:  # any type, since the header may be any JSON
            told = f"unknown dtype {error}" if isinstance(error, KeyError) else str(error)
            raise ValueError(f"{path} is damaged or not a safetensors file: {told}") from error
    return arrays, metadata, widened


def write_safetensors(
    path: str | os.PathLike[str], arrays: Mapping[str, Array], metadata: Mapping[str, str]
) -> None:
    """Write float32 and float64 arrays and metadata to exactly `path`, atomically."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    place = 0
    for name, array in arrays.items():
        code = "F64" if array.dtype == np.float64 else "F32"
        offsets = [place, place := place + array.nbytes]
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": offsets}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that the arrays are aligned
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            stream.write(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
