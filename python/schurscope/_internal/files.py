"""Atomic writes, and reading of untrusted .npz archives.

Nothing is ever unpickled, and a file may unpack to at most four times its size or `max_bytes`,
whichever is larger: a few kilobytes that declare terabytes are refused before any is read.
"""

from __future__ import annotations

import io
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .checks import printable, shown
from .limits import MAX_BYTES, check_size, open_file, unreadable
from .zips import read_zip, zip_names

__all__ = [
    "MAX_BYTES",
    "Array",
    "atomic_path",
    "check_size",
    "load_npz",
    "open_file",
    "own_entries",
    "plain_text",
    "read_npy",
    "read_npz",
    "save_npz",
    "zip_names",
]

Array = npt.NDArray[Any]

_MAX_TEXT = 2**20  # bytes
_CONTENTS = {
    "schurscope-network-1": "a network, for Network.load",
    "schurscope-trials-1": "trials, for Trials.load",
    "schurscope-diagnosis-1": "a diagnosis, for Diagnosis.load",
}


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path in the folder of `path`, renamed to `path` when the block succeeds.

    If the block raises, the temporary file is removed and `path` is unchanged. The temporary name
    ends like `path`, for writers that go by the suffix.
    """
    final = Path(path)
    temporary = final.with_name(f".{secrets.token_hex(6)}-{final.name}")
    try:
        yield temporary
        os.replace(temporary, final)
    except BaseException as error:
        with suppress(OSError):  # the folder is no folder
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (temporary, str(temporary)):
            raise OSError(error.errno, error.strerror, str(final)) from error
        raise


def save_npz(
    path: str | os.PathLike[str], file_format: str, arrays: Mapping[str, npt.NDArray[Any]]
) -> None:
    """Write arrays, their names and the name of the format to exactly `path`, atomically.

    The names are written because an archive can lose an entry without a trace.
    """
    own = {"format": np.array(file_format), "entries": np.array(sorted(arrays))}
    entries: dict[str, Any] = {**own, **arrays}
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, **entries)


def load_npz(
    path: str | os.PathLike[str],
    file_format: str,
    required: tuple[str, ...],
    optional: tuple[str, ...],
    max_bytes: int = MAX_BYTES,
) -> dict[str, Array]:
    """The arrays that `save_npz` wrote; nothing in the file is ever unpickled.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The file is not an .npz archive, damaged, of another format, unpacks to more than
        `max_bytes`, or does not hold the expected arrays.
    """
    return own_entries(path, *read_npz(path, max_bytes), file_format, required, optional)


def own_entries(
    path: str | os.PathLike[str],
    arrays: dict[str, Array],
    skipped: dict[str, str],
    file_format: str,
    required: tuple[str, ...],
    optional: tuple[str, ...],
) -> dict[str, Array]:
    """The arrays of `read_npz`, if `save_npz` wrote them; else ValueError as in `load_npz`."""
    if skipped:
        told = ", ".join(f"{name} ({why})" for name, why in skipped.items())
        raise ValueError(f"{path} is not a {file_format} file: it holds {printable(told)}")
    if "format" not in arrays:
        raise ValueError(f"{path} is not a {file_format} file: it has no format entry")
    found, entries = (plain_text(arrays.pop(name, None)) for name in ("format", "entries"))
    if found != file_format:
        what = _CONTENTS.get(str(found))
        held = f": it holds {what}" if what else ""
        raise ValueError(f"{path} is not a {file_format} file: its format is {shown(found)}{held}")
    if entries != sorted(arrays):
        raise ValueError(f"{path} is damaged: its list of entries does not match its content")
    if missing := [name for name in required if name not in arrays]:
        raise ValueError(f"{path} is not a complete {file_format} file: no {', '.join(missing)}")
    if unknown := [name for name in arrays if name not in required + optional]:
        told = printable(", ".join(unknown))
        raise ValueError(f"{path} is not a {file_format} file: unknown {told}")
    return arrays


def plain_text(array: Array | None) -> Any:
    """The entries of a short array as Python's own objects; None if there are none."""
    try:
        # Of text of no characters, the number of entries is not bounded by the bytes.
        is_short = array is not None and max(array.nbytes, array.size) <= _MAX_TEXT
        return array.tolist() if array is not None and is_short else None
    except (ValueError, SystemError):  # text with code points that do not exist
        return None


def read_npz(
    path: str | os.PathLike[str], max_bytes: int = MAX_BYTES
) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays of an .npz archive, and the entries skipped with the reason.

    Errors as for `read_zip`.
    """
    arrays: dict[str, Array] = {}
    skipped: dict[str, str] = {}
    for entry, content in read_zip(path, max_bytes, "an .npz file").items():
        name = entry.removesuffix(".npy")
        if name in arrays or name in skipped:
            raise ValueError(f"{path} is damaged: the name {printable(name)} occurs twice")
        try:
            found = read_npy(content)
        except Exception as error:  # the header may be any Python literal
            raise unreadable(path, f"damaged in its entry {printable(entry)}", error) from error
        if isinstance(found, str):
            skipped[name] = found
        else:
            arrays[name] = found
    return arrays, skipped


def read_npy(content: bytes) -> Array | str:
    """The array of an .npy file, or the reason for skipping it."""
    stream = io.BytesIO(content)
    if stream.read(6) != b"\x93NUMPY":
        return "not an array"
    version = tuple(stream.read(2))
    if version not in _HEADERS:
        return f"an array file of version {version}"
    shape, is_fortran, dtype = _HEADERS[version](stream)
    if dtype.hasobject:
        return "a pickled object, which is never loaded"
    place, length = stream.tell(), len(content) - stream.tell()
    if math.prod(shape) * dtype.itemsize != length:
        raise ValueError(f"it declares {shape} {dtype} but has {length} bytes")
    array = np.ndarray(shape, dtype, content, place, order="F" if is_fortran else "C")
    return array if array.flags.aligned else array.copy(order="K")


_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
