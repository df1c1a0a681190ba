"""The index of a store: logs with one line per finished job, the source of all tables.

A log has one writer, its runner. Every line carries a checksum, so that a line truncated by a kill
or a full disk is detected.
"""

from __future__ import annotations

import base64
import json
import secrets
import sys
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..._internal.files import atomic_path
from .claims import Runner, is_alive

__all__ = ["Entry", "Log", "checksum", "merge_logs", "read_logs"]

MERGE_AT = 32  # logs of ended runners, so that reading opens few files

_Float64 = npt.NDArray[np.float64]


class Entry(NamedTuple):
    """The index entry of a finished job.

    `rows` holds value, change, removed mass, sensitivity, vacuous and diverged for each cut and
    ablation, (alphas, ablations, 6); `cuts` holds n_R and the gap of each cut, (alphas, 2), in
    gated networks of each gate, (alphas, gates, 2). `sizes`
    and `checksums` (CRC-32) are those of the files of the record, the network and any diagnosis.
    """

    key: str
    sizes: tuple[int, ...]
    checksums: tuple[int, ...]
    finished: float
    seconds: float
    host: str
    loss: float
    rows: _Float64
    cuts: _Float64

    @classmethod
    def of_record(
        cls, arrays: Mapping[str, _Float64], provenance: Mapping[str, Any], *files: Path
    ) -> Entry:
        """The entry of a job, from its record and its files."""
        return cls(
            key=provenance["key"],
            sizes=tuple(file.stat().st_size for file in files),
            checksums=tuple(map(checksum, files)),
            finished=provenance["finished"],
            seconds=sum(provenance["seconds"].values()),
            host=provenance["host"],
            loss=float(arrays["loss"][-1]),
            rows=arrays["rows"],
            cuts=arrays["cuts"],
        )

    def line(self) -> bytes:
        """The entry as a line of a log: checksum, JSON, newline."""
        content = [*self[:-2], _packed(self.rows), _packed(self.cuts)]
        text = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
        return b"%08x %s\n" % (zlib.crc32(text), text)

    def is_same(self, other: Entry | None) -> bool:
        """Whether the other entry is bit-identical."""
        return other is not None and self.line() == other.line()

    @classmethod
    def of_line(cls, line: bytes) -> Entry:
        """The entry of a line; ValueError if the line is damaged."""
        text = line[9:]
        if int(line[:8], 16) != zlib.crc32(text):
            raise ValueError("wrong checksum")
        try:
            key, sizes, checksums, finished, seconds, host, loss, rows, cuts = json.loads(text)
            entry = cls(
                key=str(key),
                sizes=tuple(map(int, sizes)),
                checksums=tuple(map(int, checksums)),
                finished=float(finished),
                seconds=float(seconds),
                host=sys.intern(host),
                loss=float(loss),
                rows=_unpacked(rows),
                cuts=_unpacked(cuts),
            )
        except (LookupError, TypeError, RecursionError, OverflowError) as error:
            raise ValueError(f"not an entry: {error}") from error
        of_cuts = (len(entry.rows), *entry.cuts.shape[1:-1], 2)
        if entry.rows.shape[2:] != (6,) or entry.cuts.shape != of_cuts or len(of_cuts) > 3:
            raise ValueError(f"tables of shapes {entry.rows.shape} and {entry.cuts.shape}")
        if len(entry.sizes) not in (2, 3) or len(entry.checksums) != len(entry.sizes):
            raise ValueError(f"{len(entry.sizes)} sizes and {len(entry.checksums)} checksums")
        return entry


def checksum(file: Path) -> int:
    """The CRC-32 of a file."""
    return zlib.crc32(file.read_bytes())


class Log:
    """A runner's log; no other process writes to it."""

    def __init__(self, root: Path, runner: Runner) -> None:
        self._path = root / "index" / f"{runner.id}.log"

    def append(self, entries: Iterable[Entry]) -> None:
        """Append lines; if that fails, as on a full disk, truncate the log to its former end."""
        lines = b"".join(entry.line() for entry in entries)
        if not lines:
            return
        with open(self._path, "ab", buffering=0) as stream:
            end = stream.tell()
            try:
                if stream.write(lines) != len(lines):
                    raise OSError(f"{self._path} could not be written: the disk is full")
            except OSError:
                stream.truncate(end)
                raise


def read_logs(folder: Path) -> dict[str, Entry]:
    """Key → latest entry of all logs; damaged lines are ignored."""
    while True:
        try:
            return _read_logs(folder)
        except FileNotFoundError:
            continue  # merged by another process meanwhile


def merge_logs(root: Path) -> None:
    """Merge the latest entries in the logs of ended runners into one log, if there are many.

    A reader at any moment finds every entry at least once. If this process dies in between, the
    next merge removes what is there twice.
    """
    ended = [log for log in (root / "index").glob("*.log") if not _is_open(root, log)]
    if len(ended) < MERGE_AT:
        return
    entries: dict[str, Entry] = {}
    merged = []
    for log in sorted(ended):
        try:
            _read_log(log, entries)
        except FileNotFoundError:
            continue  # merged by another process already
        merged.append(log)
    with atomic_path(root / "index" / f"merged-{secrets.token_hex(6)}.log") as temporary:
        temporary.write_bytes(b"".join(entry.line() for entry in entries.values()))
    for log in merged:
        log.unlink(missing_ok=True)


def _read_logs(folder: Path) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for path in sorted(folder.glob("*.log")):
        _read_log(path, entries)
    return entries


def _read_log(path: Path, entries: dict[str, Entry]) -> None:
    """Add the entries of a log that are later than those known."""
    with open(path, "rb") as stream:
        for line in stream:
            try:
                entry = Entry.of_line(line.rstrip(b"\n"))
            except ValueError:
                continue
            known = entries.get(entry.key)
            if known is None or entry.finished >= known.finished:
                entries[entry.key] = entry


def _is_open(root: Path, log: Path) -> bool:
    runner = root / "runners" / log.stem
    return runner.exists() and is_alive(runner)


def _packed(array: _Float64) -> list[Any]:
    """A compact, exact encoding of float64 numbers, NaN and infinity included."""
    content = base64.b64encode(np.ascontiguousarray(array, "<f8").tobytes()).decode()
    return [*array.shape, content]


def _unpacked(packed: list[Any]) -> _Float64:
    *shape, content = packed
    return np.frombuffer(base64.b64decode(content), "<f8").reshape(shape)
