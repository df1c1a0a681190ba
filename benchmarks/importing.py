"""Time of ``import schurscope`` in a fresh process, beside the libraries that it needs."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from .environment import users_environment

OURS, NEEDED, NOTHING = "import schurscope", "import numpy, scipy.linalg", ""
WANTED = 0.25  # seconds beyond NumPy and SciPy


def lines(quick: bool) -> list[str]:
    """What to print below the summary."""
    programs = (NOTHING, NEEDED, OURS)
    times: dict[str, list[float]] = {program: [] for program in programs}
    for _ in range(3 if quick else 25):
        for program in programs:
            times[program].append(_seconds(program))
    empty, needed, ours = (statistics.median(times[program]) for program in programs)
    return [
        f"{OURS}: {1e3 * (ours - empty):.0f} ms, where {NEEDED} takes "
        f"{1e3 * (needed - empty):.0f} ms (wanted less than {1e3 * WANTED:.0f} ms more)"
    ]


def _seconds(program: str) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, env=users_environment())
    return time.perf_counter() - begin
