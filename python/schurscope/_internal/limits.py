"""What a file from a stranger may be and cost: regular, and no larger than it claims to be."""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

from .checks import printable

__all__ = [
    "MAX_AXES",
    "MAX_BYTES",
    "check_size",
    "most_bytes",
    "open_file",
    "size_on_disk",
    "unreadable",
]

MAX_BYTES = 10**8
"""Default `max_bytes`, the limit on the unpacked size of a small file.

Reading may copy the arrays four times: to unpack, to widen, to transpose and to keep them.
"""

MAX_AXES = 32
"""Of an array."""


def unreadable(path: object, what: str, error: Exception) -> ValueError:
    """The error for a file that is `what` because of `error`, or larger than the memory."""
    if isinstance(error, MemoryError):
        return ValueError(f"{path} needs more memory than there is")
    return ValueError(f"{path} is {what}: {printable(str(error))}")


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file to read its bytes.

    OSError for a folder, a pipe, a terminal or a device, of which reading might never end.
    """
    stream = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - for the caller
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise OSError(
            f"{os.fspath(path)} is not a regular file but a pipe, a terminal or a device; save its "
            "content to a file and give that"
        )
    return stream


def _without_waiting(path: str, flags: int) -> int:
    # Opening a named pipe would otherwise wait for its writer.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def size_on_disk(stream: BinaryIO) -> int:
    """The size of a file in bytes, holes not counted."""
    found = os.fstat(stream.fileno())
    stored = 512 * getattr(found, "st_blocks", 0)
    return min(found.st_size, stored) if stored else found.st_size


def most_bytes(file_size: int, max_bytes: int) -> int:
    """Bytes to which a file may unpack.

    Four times its size is enough for weights that are compressed and narrower than float32.
    """
    return max(4 * file_size, max_bytes)


def check_size(declared: int, file_size: int, max_bytes: int) -> None:
    """Raise ValueError if a file of `file_size` bytes may not unpack to `declared` bytes."""
    if declared > most_bytes(file_size, max_bytes):
        raise ValueError(
            f"it would unpack from {file_size} to {declared} bytes, more than max_bytes = "
            f"{max_bytes}; if you trust the file, raise max_bytes"
        )
