"""A folder of finished jobs, safe with many concurrent writers and fast to read.

    store.json                format, package version, instruction-set level; also in every record
    jobs/ab/KEY.npz           one finished job: losses, per-trial sums, provenance
    jobs/ab/KEY-network.npz   its trained network, a file of `Network.save`
    jobs/ab/KEY-diagnosis.npz its diagnosis or cut curve, if the sweep asks for one
    index/RUNNER.log          one line per finished job: the source of all tables
    failures/KEY.json         a failed job, with its traceback
    deaths/KEY.json           number of times the job's worker has died
    runners/, claims/         live runners and the jobs they have claimed

Every file except the logs is written atomically. A log has one writer and a checksum per line; an
entry that a killed writer left out is rebuilt from the job's record, which is written first.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from ..._internal.checks import shown
from ..._internal.files import load_npz
from ..._internal.json import write_json
from ..._version import __version__
from ...diagnosis.result import load_part
from ...networks.network import Network
from ..plan import FORMAT, Job
from .claims import is_alive, live_claims
from .index import Entry, checksum, merge_logs, read_logs

__all__ = ["Contents", "Store", "StoreError"]

RECORD_FORMAT = "schurscope-sweep-job-2"
ARRAYS = ("rows", "cuts", "loss", "moduli", "per_trial", "per_step")
OPTIONAL = ("gate_masses", "weight", "mean", "sums", "squares", "counted", "channels")
OLD = 86400.0  # seconds after which a temporary file belongs to no living process

_FOLDERS = ("jobs", "index", "failures", "deaths", "runners", "claims")
_SUFFIXES = _RECORD, _NETWORK, _DIAGNOSIS = ".npz", "-network.npz", "-diagnosis.npz"


class StoreError(OSError):
    """The store or the worker's machine is unusable; no job is blamed or marked as failed."""


@dataclass(frozen=True)
class Contents:
    """The contents of a store.

    Attributes
    ----------
    entries : dict
        Key → entry of every finished job with valid files.
    unindexed : tuple of str
        Keys of those that no log lists.
    damaged : dict
        Key → description of the damage to a finished job's files.
    """

    entries: dict[str, Entry]
    unindexed: tuple[str, ...]
    damaged: dict[str, str]


class Store:
    """An existing store; `create` makes a new one.

    Attributes
    ----------
    root : Path
        Absolute path of the folder.
    level : str
        Instruction-set level on which all its networks are trained.

    Raises
    ------
    StoreError
        There is no store, or another version of the package created it.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root).resolve()
        _refuse_file(root)
        made = _read_made(self.root)
        if made is None:
            raise StoreError(
                f"{root} is not a sweep's store: it has no store.json that can be read, and no job"
            )
        if (made["format"], made["version"]) != (FORMAT, __version__):
            raise StoreError(
                f"{root} was made by schurscope {made['version']} (format {made['format']}), this "
                f"is {__version__} (format {FORMAT}): to read or resume it, pip install "
                f"schurscope=={made['version']}; or run the sweep again into a new folder"
            )
        self.level = made["level"]

    @classmethod
    def create(cls, root: str | os.PathLike[str], level: str) -> Store:
        """The store in `root`, created if the folder is empty or absent.

        A lost or damaged store.json is written anew from a job's record.
        """
        folder = Path(root)
        _refuse_file(root)
        folder.mkdir(parents=True, exist_ok=True)
        made = _read_made(folder)
        if made is None:
            names = {item for item in os.listdir(folder) if not item.startswith(".")}
            if strangers := sorted(names - {*_FOLDERS, "store.json"}):
                raise StoreError(
                    f"{root} is not a sweep's store, and not empty: it holds {shown(strangers[0])}"
                )
            made = {"format": FORMAT, "version": __version__, "level": level}
        if _made_in(folder) != made:
            write_json(folder / "store.json", made)
        for name in _FOLDERS:
            (folder / name).mkdir(exist_ok=True)
        return cls(root)

    # Finished jobs.

    def record_path(self, key: str) -> Path:
        """Path of a job's record."""
        return self._path(key, _RECORD)

    def network_path(self, key: str) -> Path:
        """Path of a job's trained network."""
        return self._path(key, _NETWORK)

    def diagnosis_path(self, key: str) -> Path:
        """Path of a job's diagnosis or cut curve."""
        return self._path(key, _DIAGNOSIS)

    def has(self, key: str) -> bool:
        """Whether the job has a record."""
        return self.record_path(key).exists()

    def read_record(self, key: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """The arrays and the provenance of a finished job.

        OSError if the file cannot be read; ValueError if it is damaged.
        """
        path = self.record_path(key)
        arrays = load_npz(path, RECORD_FORMAT, (*ARRAYS, "provenance"), OPTIONAL)
        provenance = _provenance(path, arrays)
        if provenance["key"] != key:
            raise ValueError(f"{path} is damaged: it is the record of {provenance['key']}")
        return arrays, provenance

    def entry(self, key: str) -> Entry:
        """A job's index entry, rebuilt from its files; errors as in `read_record`."""
        arrays, provenance = self.read_record(key)
        Network.load(self.network_path(key))
        files = [self.record_path(key), self.network_path(key)]
        if provenance["configuration"]["setting"].get("diagnose", False):
            load_part(self.diagnosis_path(key))
            files.append(self.diagnosis_path(key))
        return Entry.of_record(arrays, provenance, *files)

    def contents(self, *, verify: bool = False) -> Contents:
        """The contents of the store: its index, checked against the bytes of the files.

        With `verify`, also unpack every file and compare its numbers.
        """
        indexed, files = self.index(), self._files()
        entries: dict[str, Entry] = {}
        unindexed: list[str] = []
        damaged: dict[str, str] = {}
        for key in {**indexed, **files}:
            entry, sizes = indexed.get(key), files.get(key, (-1, -1))
            if entry is None and sizes[0] < 0:
                continue  # its other files are written, its record not yet
            try:
                if not verify and entry is not None and self._is_intact(entry, sizes):
                    entries[key] = entry
                    continue
                entries[key] = found = self.entry(key)
            except (OSError, ValueError, KeyError) as error:
                damaged[key] = str(error)
                continue
            if not found.is_same(entry):
                unindexed.append(key)
        return Contents(entries, tuple(unindexed), damaged)

    def _is_intact(self, entry: Entry, sizes: tuple[int, ...]) -> bool:
        """Whether a job's files, of these sizes, are those that were indexed."""
        files = [self._path(entry.key, suffix) for suffix in _SUFFIXES[: len(sizes)]]
        return entry.sizes == sizes and entry.checksums == tuple(map(checksum, files))

    def discard(self, key: str) -> None:
        """Remove the damaged files of a job."""
        for suffix in _SUFFIXES:
            self._path(key, suffix).unlink(missing_ok=True)

    def index(self) -> dict[str, Entry]:
        """Key → entry of every job in the logs; damaged lines are ignored."""
        return read_logs(self.root / "index")

    def _path(self, key: str, suffix: str) -> Path:
        return self.root / "jobs" / key[:2] / (key + suffix)

    def _files(self) -> dict[str, tuple[int, ...]]:
        """Key → sizes of record, network (-1 if absent) and any diagnosis."""
        found: dict[str, dict[str, int]] = {}
        for folder in filter(Path.is_dir, (self.root / "jobs").iterdir()):
            with os.scandir(folder) as items:
                for item in items:
                    key, dash, kind = item.name.partition("-")
                    if key.startswith("."):
                        continue
                    suffix = dash + kind or _RECORD
                    found.setdefault(key.removesuffix(_RECORD), {})[suffix] = item.stat().st_size
        return {
            key: (
                sizes.get(_RECORD, -1),
                sizes.get(_NETWORK, -1),
                *([sizes[_DIAGNOSIS]] if _DIAGNOSIS in sizes else ()),
            )
            for key, sizes in found.items()
        }

    # Failed jobs.

    def fail(self, job: Job, error: str, traceback: str) -> None:
        """Record the job as failed."""
        content = {
            "key": job.key,
            "configuration": job.configuration(),
            "error": error,
            "traceback": traceback,
            "finished": time.time(),
        }
        write_json(self.root / "failures" / f"{job.key}.json", content)
        (self.root / "deaths" / f"{job.key}.json").unlink(missing_ok=True)

    def has_failed(self, key: str) -> bool:
        """Whether the job is recorded as failed."""
        return (self.root / "failures" / f"{key}.json").exists()

    def failed(self) -> set[str]:
        """Keys of the failed jobs."""
        names = os.listdir(self.root / "failures")
        return {name.removesuffix(".json") for name in names if not name.startswith(".")}

    def failure(self, key: str) -> dict[str, Any]:
        """The record of a failed job: error, traceback, configuration, finished."""
        path = self.root / "failures" / f"{key}.json"
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return content

    def forget_failures(self, keys: Iterable[str]) -> None:
        """Forget these jobs' failures, so that they can be retried."""
        for key in keys:
            (self.root / "failures" / f"{key}.json").unlink(missing_ok=True)

    def count_death(self, key: str, times: int) -> int:
        """Add to the deaths of the job's workers; returns their total."""
        path = self.root / "deaths" / f"{key}.json"
        deaths = times
        if path.exists():
            deaths += int(json.loads(path.read_text(encoding="utf-8"))["deaths"])
        write_json(path, {"deaths": deaths, "last": time.time()})
        return deaths

    # Running jobs.

    def running(self) -> set[str]:
        """Keys of the jobs claimed by live runners."""
        return live_claims(self.root)

    def tidy(self, done: Mapping[str, Any]) -> None:
        """Clean up after dead runners: stale claims on finished jobs, temporary files, old logs."""
        for link in (self.root / "claims").iterdir():
            if link.name.partition(".")[0] in done and not is_alive(link):
                link.unlink(missing_ok=True)
        for file in (self.root / "runners").iterdir():
            if not is_alive(file):
                file.unlink(missing_ok=True)
        for temporary in self.root.glob("jobs/*/.*"):
            if time.time() - temporary.stat().st_mtime > OLD:
                temporary.unlink(missing_ok=True)
        merge_logs(self.root)


def _made_in(root: Path) -> dict[str, str] | None:
    """The content of store.json; None if it is lost or damaged."""
    try:
        made = json.loads((root / "store.json").read_text(encoding="utf-8"))
        return {name: str(made[name]) for name in ("format", "version", "level")}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _refuse_file(root: str | os.PathLike[str]) -> None:
    if (folder := Path(root)).exists() and not folder.is_dir():
        raise StoreError(f"the store must be a folder, got the file {folder}")


def _read_made(root: Path) -> dict[str, str] | None:
    """The content of store.json, from the first readable record if it is lost or damaged.

    None if there is no record either: then no job has finished.
    """
    if (made := _made_in(root)) is not None:
        return made
    for path in sorted(root.glob(f"jobs/*/*{_RECORD}")):
        if path.name.endswith((_NETWORK, _DIAGNOSIS)):
            continue
        try:
            arrays = load_npz(path, RECORD_FORMAT, (*ARRAYS, "provenance"), OPTIONAL)
            provenance = _provenance(path, arrays)
            setting = provenance["configuration"]["setting"]
            return {name: str(setting[name]) for name in ("format", "version", "level")}
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _provenance(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """The provenance among the arrays of a record, removed from them."""
    content = json.loads(arrays.pop("provenance").item())
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: its provenance is no object")
    return content
