"""Zip archives without trust: every byte is accounted for, and every checksum is checked."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections import Counter
from typing import BinaryIO

from .limits import check_size, open_file, size_on_disk, unreadable

__all__ = ["read_zip", "zip_names"]

_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_LOCAL_HEADER = struct.Struct("<26xHH")  # lengths of name and extra field
_PIECE = 2**20  # bytes
_DESCRIPTOR_FLAG, _DESCRIPTORS = 0x08, (12, 16, 20, 24)


def read_zip(
    path: str | os.PathLike[str], max_bytes: int, kind: str = "a zip archive"
) -> dict[str, bytes]:
    """The entries of an archive by name.

    Raises
    ------
    OSError
        The file cannot be read, or is no regular file.
    ValueError
        It is no archive, or damaged: a checksum is wrong, a name occurs twice, its directory omits
        bytes of the file; an entry is neither stored nor deflated; it would unpack to more than
        `max_bytes`.
    """
    with open_file(path) as stream:
        try:
            with _checked(stream, max_bytes) as archive:
                return {info.filename: _content(archive, info) for info in archive.infolist()}
        except Exception as error:  # zipfile raises a dozen types on bad bytes
            raise unreadable(path, f"damaged or not {kind} (truncated?)", error) from error


def zip_names(path: str | os.PathLike[str], max_bytes: int) -> list[str]:
    """The names in an archive, whose entries are not read; errors as for `read_zip`."""
    with open_file(path) as stream:
        try:
            with _checked(stream, max_bytes) as archive:
                return archive.namelist()
        except Exception as error:  # as in read_zip
            raise unreadable(path, "damaged or not a zip archive (truncated?)", error) from error


def _checked(stream: BinaryIO, max_bytes: int) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(stream)
    entries = archive.infolist()
    check_size(sum(info.file_size for info in entries), size_on_disk(stream), max_bytes)
    for name, times in Counter(archive.namelist()).items():
        if times > 1:
            raise ValueError(f"the name {name} occurs {times} times")
    for info in entries:
        if info.compress_type not in _METHODS:
            raise ValueError(
                f"{info.filename} has compression method {info.compress_type}; only stored and "
                "deflated entries are read"
            )
    _require_all_bytes(stream, archive)
    return archive


def _require_all_bytes(stream: BinaryIO, archive: zipfile.ZipFile) -> None:
    """ValueError if the directory omits an entry: entries must follow each other without gaps."""
    place = 0
    gaps: tuple[int, ...] = (0,)
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        if info.header_offset - place not in gaps:
            raise ValueError(f"its directory omits what lies before {info.filename}")
        stream.seek(info.header_offset)
        lengths = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
        place = info.header_offset + _LOCAL_HEADER.size + sum(lengths) + info.compress_size
        gaps = _DESCRIPTORS if info.flag_bits & _DESCRIPTOR_FLAG else (0,)
    if archive.start_dir - place not in gaps:
        raise ValueError("its directory omits the last entry")


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as member:
        content = io.BytesIO()
        # Piece by piece, because zipfile joins what it unpacks; no more than the entry declares.
        while piece := member.read(min(_PIECE, info.file_size + 1 - content.tell())):
            content.write(piece)
        if content.tell() != info.file_size:  # at the end, the checksum is compared
            raise ValueError(f"{info.filename} does not have the length that it declares")
    return content.getvalue()
