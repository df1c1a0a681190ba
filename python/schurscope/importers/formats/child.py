"""Parsers that may hang, crash or fill the memory, run as a script in a child process."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..._internal.checks import shown
from ..._internal.limits import MAX_AXES, MAX_BYTES, most_bytes

__all__ = ["records_of_child"]

SECONDS, BYTES_PER_SECOND = 1.2, 2e7
"""Of CPU time for a file, and more for each byte."""

MEMORY = 2**28
"""Beyond the largest array, in bytes."""

_MAX_HEADER = 2**26
_DTYPE = re.compile(r"[<>|][iubfc]\d{1,2}")


def records_of_child(
    script: Path, stream: BinaryIO, size: int, max_bytes: int
) -> Generator[tuple[dict[str, Any], Any], None, None]:
    """The records that `script` writes when given a file of `size` bytes as its standard input.

    ValueError if it reports an error, takes too much time or memory, or dies. The child never
    outlives the iteration, however that ends.
    """
    limit = most_bytes(size, max_bytes)
    seconds = SECONDS + (size + max(0, max_bytes - MAX_BYTES)) / BYTES_PER_SECOND
    if not sys.executable or getattr(sys, "frozen", False):
        raise ValueError("there is no Python to read it in a process of its own; give trusted=True")
    arguments = json.dumps([sys.path, size, max_bytes, seconds, limit + MEMORY])
    child = subprocess.Popen(
        [sys.executable, "-IS", str(script), arguments],
        stdin=stream,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )
    # A child that waits takes no CPU time.
    timer = threading.Timer(30 + 20 * seconds, child.kill)
    timer.daemon = True
    timer.start()
    try:
        assert child.stdout is not None
        with closing(child.stdout):
            yield from _records(child.stdout, limit)
    except EOFError:
        raise ValueError(_reason(child.wait(), seconds)) from None
    finally:
        timer.cancel()
        child.kill()
        child.wait()


def _records(output: Any, limit: int) -> Generator[tuple[dict[str, Any], Any], None, None]:
    """What the child writes, which is as trustworthy as the file."""
    while True:
        length = int.from_bytes(_exactly(output, 8), "little")
        if length > _MAX_HEADER:
            raise ValueError("its reader was damaged by it")
        header = json.loads(_exactly(output, length))
        if not isinstance(header, dict):
            raise ValueError("its reader was damaged by it")
        if "error" in header:
            raise ValueError(header["error"])
        if "end" in header:
            return
        if "dtype" not in header:
            yield header, None
            continue
        shape = tuple(map(int, header["shape"]))
        if not _DTYPE.fullmatch(header["dtype"]) or len(shape) > MAX_AXES:
            raise ValueError(f"it has an array of the dtype {shown(header['dtype'])}")
        dtype = np.dtype(header["dtype"])
        limit -= (nbytes := math.prod(shape) * dtype.itemsize)
        if limit < 0 or min(shape, default=0) < 0:
            raise ValueError("its arrays are larger than they claim to be")
        yield header, np.ndarray(shape, dtype, _exactly(output, nbytes))


def _exactly(output: Any, length: int) -> bytes:
    content: bytes = output.read(length)
    if len(content) < length:
        raise EOFError
    return content


def _reason(status: int, seconds: float) -> str:
    """Why a child ended early, and what to do."""
    trusted = "if you trust the file, give trusted=True"
    if status == -getattr(signal, "SIGPROF", 0):
        return f"reading it takes more than {seconds:.3g} s; it is damaged, or {trusted}"
    if status == -getattr(signal, "SIGKILL", 0):
        return f"reading it takes too long or too much memory; it is damaged, or {trusted}"
    return (
        f"reading it ends the process that reads it (status {status}); it is damaged, or {trusted}"
    )
