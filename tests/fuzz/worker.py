"""Tries inputs of one kind in this process and reports each on a line of standard output."""

from __future__ import annotations

import json
import re
import resource
import shutil
import signal
import sys
import time
import warnings
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import schurscope as ss

from .calls import call
from .files import CHECKED, damaged
from .made import MADE
from .projects import WITHOUT_LEAK

SECONDS, BYTES = 2.0, 1_000_000_000
"""That an input may cost; files here are far smaller than a megabyte."""

_LIMIT = 4 * 2**30  # of address space, so that a fault does not fill the machine
_LOOP = 20.0  # seconds of CPU time of this process, after which SIGPROF ends it
FOLDERS = {
    "neuralrnn": {"neuralrnn json": "config.json", "neuralrnn": "model.safetensors"},
    "tensorflow": {
        "tensorflow": "net.index",
        "tensorflow data": "net.data-00000-of-00001",
        "tensorflow json": "hp.json",
    },
    "smc_rnns": {"smc_rnns": "net_state_dict.pkl", "smc_rnns pickle": "net_params.pkl"},
}
"""Start of a kind → the files that make one network, and their names; the first is loaded."""

_ERRORS = (ValueError, TypeError, OSError)


def main() -> None:
    """Arguments: kind, seed, first input, seconds, folder of real files, folder for faults."""
    kind, seed, first, seconds, originals, kept = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (_LIMIT, _LIMIT))
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    files = {path.name: path.read_bytes() for path in sorted(Path(originals).iterdir())}
    end = time.monotonic() + float(seconds)
    number = int(first)
    print(json.dumps({"start": True}), flush=True)
    while time.monotonic() < end:
        random = Random(zlib.crc32(f"{seed} {kind} {number}".encode()))
        if kind == "API":
            outcome, fault, used = _measured(partial(_try_call, random))
        else:
            outcome, fault, used = _try_file(kind, files, random, Path(kept), number)
        if used > SECONDS:
            fault = f"{used:.1f} s of CPU time; {fault}"
        if (memory := _memory()) > BYTES and kind != "API":
            fault = f"{memory / 1e6:.0f} MB; {fault}"
        line = {"number": number, "outcome": outcome, "fault": fault, "cpu": used, "memory": memory}
        print(json.dumps(line), flush=True)
        number += 1


def _measured(tried: Callable[[], tuple[str, str]]) -> tuple[str, str, float]:
    """Outcome, fault and seconds of CPU time."""
    # Forget the most memory so far: a child starts with that of its parent.
    Path("/proc/self/clear_refs").write_text("5")
    before = _cpu()
    signal.setitimer(signal.ITIMER_PROF, _LOOP)
    outcome, fault = tried()
    signal.setitimer(signal.ITIMER_PROF, 0)
    return outcome, fault, _cpu() - before


def _try_call(random: Random) -> tuple[str, str]:
    name, run = call(random)
    try:
        run()
    except (*_ERRORS, MemoryError) as error:  # a size of 10**12 is asked for in earnest
        return "refused", "" if str(error) else f"{name}: {type(error).__name__} says nothing"
    except Exception as error:
        return "fault", f"{name}: {type(error).__name__}: {error}"[:300]
    return "accepted", ""


def _try_file(
    kind: str, files: dict[str, bytes], random: Random, kept: Path, number: int
) -> tuple[str, str, float]:
    path = kept / f"{kind.replace(' ', '-')}-{number}"
    if kind in MADE:
        MADE[kind](path, random)
        if path.stat().st_size > 10**6:
            raise AssertionError(f"{path} is too large for the limits")
        outcome, fault, used = _measured(lambda: _outcome(ss.load_network, path, str(path)))
        if not fault:
            _remove(path)
        return outcome, fault, used
    found, has_old_checksums = damaged(kind, files, random)
    load: Callable[[Path], Any] = ss.load_network
    if kind == "trials npz":
        load = ss.Trials.load
    elif kind in WITHOUT_LEAK:
        load = partial(ss.load_network, leak=0.5)
    loaded = _write(path, {**files, **found}, kind)
    outcome, fault, used = _measured(lambda: _outcome(load, loaded, str(path)))
    # Nothing tells that a MATLAB file had more arrays.
    is_shorter = kind == "mat deflated" and len(found[kind]) < len(files[kind])
    if outcome == "accepted" and has_old_checksums and kind in CHECKED and not is_shorter:
        original = path.with_suffix(".original")
        if _numbers(load(_write(original, files, kind))) != _numbers(load(loaded)):
            fault = "other numbers than the undamaged file"
        _remove(original)
    if not fault:
        _remove(path)
    return outcome, fault, used


def _write(path: Path, files: dict[str, bytes], kind: str) -> Path:
    """Write the file of this kind, or the folder of it and its company; return what to load."""
    for start, names in FOLDERS.items():
        if kind.startswith(start):
            path.mkdir()
            for name, written in names.items():
                (path / written).write_bytes(files[name])
            return path / next(iter(names.values()))
    path.write_bytes(files[kind])
    return path


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _outcome(load: Callable[[Path], Any], path: Path, named: str) -> tuple[str, str]:
    """What loading gives; an error must name the file or the folder of it."""
    try:
        load(path)
    except _ERRORS as error:
        told = str(error)
        if "more memory than there is" in told:
            return "refused", f"tries to fill the memory: {told}"[:300]
        if named not in told:
            return "refused", f"does not name the file: {told}"[:300]
        return "refused", "" if told.isprintable() else f"unprintable: {told!r}"[:300]
    except Exception as error:
        return "fault", f"{type(error).__name__}: {error}"[:300]
    return "accepted", ""


def _numbers(loaded: Any) -> dict[str, Any]:
    found = {name: getattr(loaded, name) for name in vars(loaded)}
    return {k: v.tobytes() if isinstance(v, np.ndarray) else repr(v) for k, v in found.items()}


def _cpu() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def _memory() -> int:
    """The most that this process and its largest child ever took, in bytes."""
    # ru_maxrss of this process is at least that of the process that started it.
    own = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text("ascii"))
    assert own is not None
    return 1024 * (int(own[1]) + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


if __name__ == "__main__":
    main()
