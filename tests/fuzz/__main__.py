"""``python -m tests.fuzz --minutes 1 --seed 1``: exit code 1 if there is a fault.

Damages real files of every format, loads each in a process that is watched, and calls the API with
absurd arguments. A fault is a crash, a hang, an error that is not documented or does not name the
file, other numbers in a format with checksums, more than 2 s of CPU time, or more than 1 GB.
"""

from __future__ import annotations

import argparse
import json
import select
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from secrets import randbelow

from .made import MADE

HANG = 600.0  # seconds without an answer; on a loaded machine an honest one takes many
SLOW = {"hdf5": 5, "mat 7.3": 5, "keras": 3}  # a process for each input; parts of the time
SLOW |= dict.fromkeys(MADE, 3)


@dataclass
class Row:
    """What the inputs of one kind gave."""

    inputs: int = 0
    accepted: int = 0
    faults: list[str] = field(default_factory=list)
    cpu: float = 0.0
    memory: int = 0


def main() -> None:
    """Parse the arguments, try the inputs, print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="in all (default: 1)")
    parser.add_argument("--seed", type=int, help="of the inputs (default: random, printed)")
    parser.add_argument("--only", action="append", help="a kind of input; may be repeated")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--keep", type=Path, help="folder for the files at fault")
    given = parser.parse_args()
    seed = randbelow(2**31) if given.seed is None else given.seed
    with tempfile.TemporaryDirectory() as folder:
        originals, kept = Path(folder) / "originals", given.keep or Path(folder) / "kept"
        originals.mkdir()
        kept.mkdir(parents=True, exist_ok=True)
        # Elsewhere, because the frameworks that write files take memory that children inherit.
        subprocess.run([sys.executable, "-m", f"{__package__}.files", originals], check=True)
        kinds = given.only or [*sorted(path.name for path in originals.iterdir()), *MADE, "API"]
        print(f"seed {seed}, {given.minutes:g} min for {len(kinds)} kinds of input", flush=True)
        shares = [SLOW.get(kind, 1) for kind in kinds]
        rows = {}
        for kind, share in zip(kinds, shares, strict=True):
            seconds = 60 * given.minutes * share / sum(shares)
            rows[kind] = _try(kind, seed, given.first, seconds, originals, kept.resolve())
    print(f"{'kind':<20} {'inputs':>7} {'loaded':>7} {'faults':>7} {'longest':>9} {'largest':>9}")
    for kind, row in rows.items():
        print(
            f"{kind:<20} {row.inputs:>7} {row.accepted:>7} {len(row.faults):>7} "
            f"{row.cpu:>7.2f} s {row.memory / 1e6:>6.0f} MB"
        )
    faults = [f"{kind}: {fault}" for kind, row in rows.items() for fault in row.faults]
    for fault in faults[:50]:
        print(fault)
    total = sum(row.inputs for row in rows.values())
    sys.exit(f"{len(faults)} faults in {total} inputs, seed {seed}" if faults else 0)


def _try(kind: str, seed: int, first: int, seconds: float, originals: Path, kept: Path) -> Row:
    """Run workers until the time is over; each crash or hang is a fault and starts another."""
    row, number, end = Row(), first, time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 or row.inputs == 0:
        arguments = [kind, seed, number, max(left, 0.1), originals, kept]
        worker = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.worker", *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert worker.stdout is not None
        is_over = False
        while not is_over:
            ready, _, _ = select.select([worker.stdout], [], [], HANG)
            line = worker.stdout.readline() if ready else ""
            if not line:
                worker.kill() if not ready else None
                status = worker.wait()
                if status != 0 or not ready:
                    told = "no answer" if not ready else f"the process ended with {status}"
                    row.faults.append(f"input {number}: {told}")
                    number += 1
                is_over = True
                continue
            answer = json.loads(line)
            if "start" in answer:
                continue
            number = answer["number"] + 1
            row.inputs += 1
            row.accepted += answer["outcome"] == "accepted"
            row.cpu, row.memory = max(row.cpu, answer["cpu"]), max(row.memory, answer["memory"])
            if answer["fault"]:
                row.faults.append(f"input {answer['number']}: {answer['fault']}")
        worker.stdout.close()
        if status == 0:
            break
    return row


if __name__ == "__main__":
    main()
