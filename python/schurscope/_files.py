"""Files that are whole or absent: atomic writing, and .npz archives that are never unpickled."""

from __future__ import annotations

import io
import os
import secrets
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path in the folder of `path`, moved onto `path` when the block ends well.

    When the block raises, the temporary file is removed and `path` keeps what it had. The
    temporary name ends like `path`, so that writers which go by the suffix see the right one.
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

    The names are written as well because an archive can lose an entry without a trace.
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
) -> dict[str, npt.NDArray[Any]]:
    """The arrays that `save_npz` wrote; nothing in the file is ever unpickled.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is not an .npz archive, damaged, of another format, or its arrays are not those expected.
    """
    arrays = _read_npz(Path(path))
    found, entries = arrays.pop("format", None), arrays.pop("entries", None)
    if found is None:
        raise ValueError(f"{path} is not a {file_format} file: it has no format entry")
    if found.tolist() != file_format:
        raise ValueError(f"{path} is not a {file_format} file: its format is {found.tolist()!r}")
    if entries is None or entries.tolist() != sorted(arrays):
        raise ValueError(f"{path} is damaged: its list of entries does not match what it holds")
    if missing := [name for name in required if name not in arrays]:
        raise ValueError(f"{path} is not a complete {file_format} file: no {', '.join(missing)}")
    if unknown := [name for name in arrays if name not in required + optional]:
        raise ValueError(f"{path} is not a {file_format} file: unknown {', '.join(unknown)}")
    return arrays


def _read_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    content = io.BytesIO(path.read_bytes())
    try:
        with zipfile.ZipFile(content) as archive:
            # Before anything is parsed: what passes is what was written.
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"the checksum of {damaged} is wrong")
        content.seek(0)
        with np.load(content, allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name]) for name in arrays.files}
    except Exception as error:  # the readers of zip and npy raise a dozen types on bad bytes
        raise ValueError(f"{path} is damaged or not an .npz file: {error}") from error
