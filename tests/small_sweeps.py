"""Sweeps so small that thousands of jobs take seconds, and slow ones to be killed midway."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pandas as pd

from schurscope import Sweep, SweepTask
from schurscope.sweep import Store, collect, plan, run
from schurscope.sweep.store.index import Entry
from schurscope.trials.tasks import ContextIntegration, Copy, FlipFlop, SineGeneration

TRAINING = {"epochs": 1, "batches_per_epoch": 20, "batch_size": 8, "learning_rate": 5e-3}
SMALL = Sweep(
    tasks=[
        FlipFlop(n_steps=8),
        SineGeneration(n_steps=8),
        ContextIntegration(n_steps=8),
        SweepTask(Copy(3, 2, 4), evaluation=Copy(3, 2, 6), gate=0.6),
    ],
    widths=[8, 10],
    constructions=["orthogonal", "cayley"],
    seeds=2,
    training=TRAINING,
    alphas=[0.8, 0.9],
    ablations=["RR", "CR", "CC"],
    evaluation_trials=32,
)
SLOW = replace(SMALL, tasks=[FlipFlop(n_steps=8)], seeds=3, training={**TRAINING, "epochs": 600})
"""Twelve jobs of some tenths of a second."""

CONFIG = """
widths = [8, 10]
constructions = ["orthogonal", "cayley"]
seeds = 3
alphas = [0.8, 0.9]
ablations = ["RR", "CR", "CC"]
evaluation_trials = 32
training = { epochs = 600, batches_per_epoch = 20, batch_size = 8, learning_rate = 5e-3 }

[[tasks]]
task = "flip-flop"
n_steps = 8
"""
"""The same as SLOW, as a file."""

# A parent that ignores Ctrl-C, such as a shell in the background, must not pass that on.
CODE = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from schurscope.cli import main; main()"
)
MAIN = [sys.executable, "-c", CODE, "sweep"]


def run_here(sweep, root, **options):
    """Run in this process, one job at a time."""
    with ThreadPoolExecutor(1) as executor:
        return run(sweep, root, executor=executor, n_workers=1, **options)


def start(*arguments) -> subprocess.Popen:
    """The command line as from a terminal: a process group of its own that Ctrl-C reaches."""
    return subprocess.Popen(
        [*MAIN, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_until(condition, seconds=600):
    """Poll until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def children(pid) -> list[int]:
    """Worker processes of a process."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [child for child in map(int, text.split()) if b"spawn_main" in _command(child)]


def is_running(pid) -> bool:
    """Whether there is such a process, zombies aside."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def _command(pid) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def records(root) -> list[Path]:
    """Files of finished jobs, seen from outside."""
    return [path for path in Path(root).glob("jobs/*/[!.]*.npz") if "network" not in path.name]


def done(root) -> int:
    """Number of finished jobs."""
    return len(records(root))


def times_indexed(root, *, writers_were_killed: bool = False) -> Counter:
    """Key → number of lines in all logs, of which each is whole.

    A writer that is killed may leave the start of its last line, which is no entry.
    """
    found: Counter = Counter()
    for path in Path(root).glob("index/*.log"):
        *lines, torn = path.read_bytes().split(b"\n")
        assert not torn or writers_were_killed, torn
        found.update(Entry.of_line(line).key for line in lines)
    return found


def assert_complete(sweep, root, expected: pd.DataFrame, *, writers_were_killed=False) -> None:
    """The store has every job once, nothing else, and the rows that it should have."""
    keys = {job.key for job in plan(sweep)}
    indexed = times_indexed(root, writers_were_killed=writers_were_killed)
    assert indexed == dict.fromkeys(keys, 1)
    names = {path.name for path in Path(root).glob("jobs/*/*")}
    assert names == {f"{key}{end}" for key in keys for end in (".npz", "-network.npz")}
    for folder in ("claims", "runners", "failures", "deaths"):
        assert os.listdir(Path(root) / folder) == []
    assert Store(root).contents(verify=True).damaged == {}
    pd.testing.assert_frame_equal(collect(sweep, root).rows, expected, check_exact=True)
