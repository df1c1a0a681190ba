"""Atomic writes, and reading of untrusted .npz archives.

Nothing is ever unpickled, and a file may unpack to at most its own size or `MAX_BYTES`, whichever
is larger: a few kilobytes that declare terabytes are refused before any is read.
"""

from __future__ import annotations

import math
import os
import secrets
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_BYTES = 2**30
"""Default `max_bytes`, the limit on the unpacked size of a smaller file: 1 GiB."""

Array = npt.NDArray[Any]


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
    except BaseException:
        temporary.unlink(missing_ok=True)
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
        raise ValueError(f"{path} is not a {file_format} file: it holds {told}")
    found, entries = arrays.pop("format", None), arrays.pop("entries", None)
    if found is None:
        raise ValueError(f"{path} is not a {file_format} file: it has no format entry")
    if found.tolist() != file_format:
        raise ValueError(f"{path} is not a {file_format} file: its format is {found.tolist()!r}")
    if entries is None or entries.tolist() != sorted(arrays):
        raise ValueError(f"{path} is damaged: its list of entries does not match its content")
    if missing := [name for name in required if name not in arrays]:
        raise ValueError(f"{path} is not a complete {file_format} file: no {', '.join(missing)}")
    if unknown := [name for name in arrays if name not in required + optional]:
        raise ValueError(f"{path} is not a {file_format} file: unknown {', '.join(unknown)}")
    return arrays


def read_npz(
    path: str | os.PathLike[str], max_bytes: int = MAX_BYTES
) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays of an .npz archive, and the entries skipped with the reason."""
    arrays: dict[str, Array] = {}
    skipped: dict[str, str] = {}
    with open(path, "rb") as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                check_zip(archive, max_bytes)
                # Before parsing: entries that pass are as written.
                if (damaged := archive.testzip()) is not None:
                    raise ValueError(f"the checksum of {damaged} is wrong")
                for info in archive.infolist():
                    name = info.filename.removesuffix(".npy")
                    found = _read_npy(archive, info)
                    if isinstance(found, str):
                        skipped[name] = found
                    else:
                        arrays[name] = found
        except Exception as error:  # the readers of zip and npy raise a dozen types on bad bytes
            raise ValueError(f"{path} is damaged or not an .npz file: {error}") from error
    return arrays, skipped


def zip_names(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> list[str]:
    """The names in a zip archive; ValueError if it is damaged or would unpack to too much."""
    with open(path, "rb") as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                check_zip(archive, max_bytes)
                return archive.namelist()
        except Exception as error:  # as in read_npz
            raise ValueError(
                f"{path} is damaged or not a zip archive (truncated?): {error}"
            ) from error


def check_zip(archive: zipfile.ZipFile, max_bytes: int) -> None:
    """Raise ValueError if the archive's directory declares more than it may unpack to."""
    size = os.fstat(archive.fp.fileno()).st_size if archive.fp else 0
    check_size(sum(info.file_size for info in archive.infolist()), size, max_bytes)


def check_size(declared: int, file_size: int, max_bytes: int) -> None:
    """Raise ValueError if a file of `file_size` bytes may not unpack to `declared` bytes."""
    if declared > max(file_size, max_bytes):
        raise ValueError(
            f"it would unpack from {file_size} to {declared} bytes, more than max_bytes = "
            f"{max_bytes}; if you trust the file, raise max_bytes"
        )


def _read_npy(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array | str:
    """The array of an entry, or the reason for skipping it."""
    with archive.open(info) as member:
        if member.read(6) != b"\x93NUMPY":
            return "not an array"
        version = tuple(member.read(2))
        if version not in _HEADERS:
            return f"an array file of version {version}"
        shape, is_fortran, dtype = _HEADERS[version](member)
        if dtype.hasobject:
            return "a pickled object, which is never loaded"
        content = member.read()
    if math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"{info.filename} declares {shape} {dtype} but has {len(content)} bytes")
    return np.ndarray(shape, dtype, content, order="F" if is_fortran else "C")


_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
