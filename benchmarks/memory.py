"""Growth of the peak memory while running ablations: ``python -m benchmarks.memory 496``.

Runs in a separate process, because retained memory would hide the next growth.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from .environment import ROOT

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def lines(quick: bool) -> list[str]:
    """What to print below the summary."""
    if not CLEAR.exists():
        return ["memory of ablations: skipped, this system does not report its peak"]
    numbers = (8, 64) if quick else (8, 496)
    few, many = (
        subprocess.run(
            [sys.executable, "-m", "benchmarks.memory", str(n)],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        for n in numbers
    )
    return [
        f"memory of ablations, float32, N_h 64, 512 trials: peak grows by {few[0]} MiB with "
        f"{numbers[0]} ablations and by {many[0]} MiB with {numbers[1]}, of which "
        f"{many[1]} MiB are the result"
    ]


def _peak_growth(n_ablations: int) -> str:
    """Growth of the peak during the run, and the size of the profile's arrays, in MiB."""
    from .problems import AblationProblem

    problem = AblationProblem.make(64, n_ablations, "float32", n_trials=512, n_steps=50)
    CLEAR.write_text("5")  # the peak is counted from now on
    before = peak()
    profile = problem.ablate(1)
    grown = peak() - before
    result = (profile.per_trial.nbytes + profile.per_step.nbytes) / 2**20
    return f"{grown:.1f} {result:.1f}"


def peak() -> float:
    """Largest resident size since the start or the last clearing, in MiB."""
    found = re.search(r"VmHWM:\s*(\d+) kB", STATUS.read_text())
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    print(_peak_growth(int(sys.argv[1])))
