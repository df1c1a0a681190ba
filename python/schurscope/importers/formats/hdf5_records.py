"""What an HDF5 file holds, record by record; as a script, in a process of its own.

The script reads the file from its standard input and writes the records to its standard output. It
imports nothing of this package, so that it starts quickly.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import sys
from collections.abc import Generator
from typing import Any, BinaryIO

__all__ = ["records"]


def records(
    stream: BinaryIO, size: int, max_bytes: int
) -> Generator[tuple[dict[str, Any], Any], None, None]:
    """Headers and contents: arrays, reasons for skipping a data set, Keras's configuration.

    A header has the name and either a `reason` or the `dtype` and `shape` of the array, which is
    the content; or it has only a `config`. ValueError if the data sets would take more than
    `max_bytes` and four times the `size` of the file, whole chunks counted.
    """
    import h5py
    import numpy as np

    with h5py.File(stream, "r") as file:
        datasets: dict[str, Any] = {}

        def keep(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                datasets[str(name)] = item  # h5py gives some names as bytes

        file.visititems(keep)  # does not follow links to other files
        declared = sum(map(_cost, datasets.values()))
        if declared > max(4 * size, max_bytes):
            raise ValueError(
                f"it would unpack from {size} to {declared} bytes, more than max_bytes = "
                f"{max_bytes}; if you trust the file, raise max_bytes"
            )
        for name, item in datasets.items():
            if item.external or item.is_virtual:
                yield {"name": name, "reason": "stored in another file"}, None
            elif item.dtype.hasobject:
                yield {"name": name, "reason": "text or references, not an array of numbers"}, None
            elif item.dtype.kind not in "iubfc":
                reason = f"{item.dtype}"[:100] + ", not an array of numbers"
                yield {"name": name, "reason": reason}, None
            elif item.shape is not None:
                array = np.ascontiguousarray(item[()]).reshape(item.shape)
                yield {"name": name, "dtype": array.dtype.str, "shape": array.shape}, array
        if isinstance(config := file.attrs.get("model_config"), (str, bytes)):
            text = config if isinstance(config, str) else config.decode()
            yield {"config": text}, None


def _cost(item: Any) -> int:
    """Bytes of a data set in memory, or of its chunks, of which HDF5 unpacks whole ones."""
    if not item.shape or not item.chunks:
        return int(item.nbytes)
    sides = zip(item.shape, item.chunks, strict=True)
    return int(item.dtype.itemsize * math.prod(-(-size // side) * side for size, side in sides))


def _limit(cpu_seconds: float, memory: int) -> None:
    """End this process when it takes more, from now on."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # not on every system
        import resource

        # A signal without a handler ends the process even inside HDF5's library.
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[0])
        most = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _main() -> None:
    path, size, max_bytes, cpu_seconds, memory = json.loads(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.path[:] = path
    import h5py  # noqa: F401 - before the limits, which are for the file

    output = os.fdopen(os.dup(1), "wb")

    def write(header: dict[str, Any], content: Any = None) -> None:
        text = json.dumps(header).encode()
        output.write(len(text).to_bytes(8, "little") + text)
        if content is not None and content.nbytes:
            output.write(memoryview(content).cast("B"))

    try:
        _limit(cpu_seconds, memory)
        with open(0, "rb") as stream:
            for header, content in records(stream, size, max_bytes):
                write(header, content)
        write({"end": True})
    except Exception as error:  # HDF5's library has many ways to fail
        told = str(error) or type(error).__name__
        if "memory" in told.lower():
            told += "; if you trust the file, trusted=True reads it without limits"
        write({"error": told})
    output.flush()
    os._exit(0)  # without closing what the library may have broken


if __name__ == "__main__":
    _main()
