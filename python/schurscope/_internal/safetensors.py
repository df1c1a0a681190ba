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

from .checks import shown
from .files import MAX_BYTES, Array, atomic_path
from .json import parse_json
from .limits import MAX_AXES, check_size, open_file, size_on_disk, unreadable

MAX_HEADER = 2**23
"""In bytes: tens of thousands of arrays. The format's own limit is 100 MB."""


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
    path: str | os.PathLike[str], max_bytes: int = MAX_BYTES
) -> tuple[dict[str, Array], dict[str, str], dict[str, str]]:
    """Arrays by name, metadata, and the names of bfloat16 arrays, widened to float32.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The file is damaged or of another format: its header is not JSON or longer than the file,
        names an array twice, or its arrays overlap, leave gaps or do not fill their bytes. The
        format has no checksums: other bytes in the arrays are other numbers.
    """
    with open_file(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        length = int.from_bytes(stream.read(8), "little")
        if length > size - 8:
            raise ValueError(
                f"{path} is damaged or not a safetensors file: its header claims {length} bytes, "
                f"the file has {size}"
            )
        if length > MAX_HEADER:
            raise ValueError(
                f"{path} has a header of {length} bytes, more than {MAX_HEADER}: it is damaged, or "
                "no network"
            )
        try:
            check_size(size, size_on_disk(stream), max_bytes)
            header = parse_json(stream.read(length))
            metadata = header.pop("__metadata__", {})
            if any(not isinstance(text, str) for text in metadata.values()):
                raise ValueError("its metadata are not text")
            tensors = sorted(header.items(), key=lambda item: item[1]["data_offsets"])
            arrays, widened, place = {}, {}, 0
            for name, entry in tensors:
                begin, end = entry["data_offsets"]
                if entry["dtype"] not in _DTYPES:
                    raise ValueError(f"unknown dtype {shown(entry['dtype'])}")
                dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), tuple(entry["shape"])
                if len(shape) > MAX_AXES:
                    raise ValueError(f"{name} has {len(shape)} axes")
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
            raise unreadable(path, "damaged or not a safetensors file", error) from error
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
