"""A whole diagnosis as a user runs it, on all processors: ``python -m benchmarks.diagnosis 64``.

Each runs in a separate process, whose memory nothing else has used.
"""

from __future__ import annotations

import subprocess
import sys
import time

from . import memory
from .environment import ROOT, processors, users_environment

# Hidden units, trials, and the seconds wanted on two processors.
SIZES = ((64, 1024, 6), (256, 1024, 60))
SIZES_QUICK = ((32, 128, 0),)


def lines(quick: bool) -> list[str]:
    """What to print below the summary."""
    return [_line(*size) for size in (SIZES_QUICK if quick else SIZES)]


def _line(n_hidden: int, n_trials: int, wanted: int) -> str:
    output = subprocess.run(
        [sys.executable, "-m", "benchmarks.diagnosis", str(n_hidden), str(n_trials)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        env=users_environment(),
    ).stdout
    seconds, processor, peak = map(float, output.split())
    of_memory = f", at most {peak:.0f} MiB" if peak else ""
    target = f" (wanted {wanted} s on two processors, 1000 MiB)" if wanted else ""
    return (
        f"diagnosis, N_h {n_hidden}, {n_trials} trials of 50 steps: {seconds:.1f} s on "
        f"{processors()} processors, {processor:.1f} s of processor time{of_memory}{target}"
    )


def _diagnosed(n_hidden: int, n_trials: int) -> str:
    """Seconds, seconds of processor time, and the process's peak memory in MiB, 0 if unknown."""
    import numpy as np

    import schurscope as ss

    from .atlas import trained

    network = trained(n_hidden)
    trials = ss.tasks.FlipFlop(n_steps=50).trials(n_trials, rng=2, dtype=np.float32)
    if memory.CLEAR.exists():
        memory.CLEAR.write_text("5")  # the peak is counted from now on
    begin, begin_processor = time.perf_counter(), time.process_time()
    diagnosis = ss.diagnose(network, trials)
    seconds, processor = time.perf_counter() - begin, time.process_time() - begin_processor
    peak = memory.peak() if memory.CLEAR.exists() else 0.0
    assert diagnosis.removable is not None
    assert diagnosis.removable.interval[1] <= diagnosis.settings["tolerance"]
    return f"{seconds} {processor} {peak}"


if __name__ == "__main__":
    print(_diagnosed(*map(int, sys.argv[1:])))
