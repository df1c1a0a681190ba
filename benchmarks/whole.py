"""``schurscope reproduce``, timed as a user runs it: on all processors."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .environment import installed, processors, users_environment

NEEDED = ("click", "rich", "matplotlib", "pandas")


def lines(quick: bool) -> list[str]:
    """What to print below the summary."""
    missing = [package for package in NEEDED if not installed(package)]
    if missing:
        return [f"schurscope reproduce: skipped, {', '.join(missing)} not installed"]
    options = ["--quick"] if quick else ["--seeds", "3"]
    command = [sys.executable, "-c", "from schurscope.cli import main; main()", "reproduce"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "results"
        begin = time.perf_counter()
        subprocess.run(
            [*command, *options, "--out", str(out)],
            check=True,
            capture_output=True,
            env=users_environment(),
        )
        seconds = time.perf_counter() - begin
        assert json.loads((out / "report.json").read_text())
    wanted = "" if quick else " (wanted 75 s on two processors)"
    called = " ".join(["schurscope reproduce", *options])
    return [f"{called}: {seconds:.1f} s on {processors()} processors{wanted}"]
