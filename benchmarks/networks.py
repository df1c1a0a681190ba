"""Overhead of a sweep of a thousand networks: ``python -m benchmarks.networks``.

The same jobs run bare, one after another in one process that keeps nothing, and as a sweep into a
store. One worker, in a separate process, is measured by processor time, which other work on the
machine does not affect; two workers by the clock. The parent's peak memory is read for two sizes.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from .environment import ROOT, installed, processors

NEEDED = ("pandas",)
PER_KIND = 20  # four tasks × five widths
FULL, QUICK = 50, 2  # seeds


def lines(quick: bool) -> list[str]:
    """What to print below the summary."""
    if not all(installed(package) for package in NEEDED):
        return ["sweep of networks: skipped, pandas is not installed"]
    seeds = QUICK if quick else FULL
    bare = _measured("bare", seeds)
    half, whole = (_measured("sweep", count) for count in (max(1, seeds // 2), seeds))
    n_jobs = PER_KIND * seeds
    overhead = whole["cpu"] - bare["cpu"]
    more = (whole["cpu"] - half["cpu"]) / (n_jobs - PER_KIND * max(1, seeds // 2))
    wanted = "" if quick else " (wanted less than 10 ms and 5 %)"
    pair = _pair(seeds, wanted) if processors() > 1 else "one processor: no two workers"
    return [
        f"sweep of {n_jobs} networks, {pair}",
        f"sweep of {n_jobs} networks, N_h 16 to 64, one worker: {whole['cpu']:.1f} s of processor "
        f"time, bare {bare['cpu']:.1f} s; overhead {1e3 * overhead / n_jobs:.1f} ms per network, "
        f"{overhead / bare['cpu']:.1%}{wanted}",
        f"sweep of networks: {1e3 * more:.1f} ms for each network of the second half, "
        f"{1e3 * whole['cpu'] / n_jobs:.1f} ms for each of all; peak of the parent "
        f"{half['peak']:.0f} MiB with half of them, {whole['peak']:.0f} MiB with all",
        f"sweep of networks: collecting {n_jobs} takes {1e3 * whole['collect']:.0f} ms, "
        f"{whole['bytes'] / n_jobs:.0f} bytes of index per network with {whole['rows']:.0f} rows",
    ]


def _pair(seeds: int, wanted: str) -> str:
    """Two workers by the clock, their start included, against what the jobs took themselves."""
    found = _measured("pair", seeds)
    overhead, n_jobs = 2 * found["seconds"] - found["compute"], PER_KIND * seeds
    return (
        f"two workers: {found['seconds']:.1f} s, the jobs themselves {found['compute']:.1f} s; "
        f"overhead {1e3 * overhead / n_jobs:.1f} ms per network, "
        f"{overhead / found['compute']:.1%}{wanted}"
    )


def _measured(kind: str, seeds: int) -> dict[str, float]:
    """What `_measure` prints in a process of its own, and the processor time of that process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.networks", kind, str(seeds)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found: dict[str, float] = json.loads(run.stdout)
    # What follows the run is not of it.
    return {**found, "cpu": cpu - found.get("after", 0.0)}


def _measure(kind: str, seeds: int) -> dict[str, float]:
    import schurscope as ss
    from schurscope.sweep import collect, plan, run
    from schurscope.trials.tasks import ContextIntegration, Copy, FlipFlop, SineGeneration

    sweep = ss.Sweep(
        tasks=[FlipFlop(), SineGeneration(), ContextIntegration(), Copy(4, 4, 16)],
        widths=[16, 24, 32, 48, 64],
        seeds=seeds,
        training={"epochs": 4, "batches_per_epoch": 128, "batch_size": 32},
        ablations=["RR", "CR", "CC"],
        evaluation_trials=128,
    )
    if kind == "bare":
        for job in plan(sweep):
            setting, streams = job.setting, job.streams()
            network = ss.init_network(setting.task, job.n_hidden, job.recurrent, streams["init"])
            trained = ss.train(
                network, setting.task, **asdict(setting.training), rng=streams["training"]
            ).network
            trials = setting.evaluation.trials(128, streams["evaluation"], "float32")
            profile = ss.ablate(
                trained,
                trials,
                ablations=setting.ablations,
                measure=setting.measure,
                n_threads=1,
            )
            assert len(profile) == 4
        return {}
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(sweep, folder, n_workers=2 if kind == "pair" else 1)
        assert outcome.ran == PER_KIND * seeds
        if kind == "pair":
            return {"seconds": outcome.seconds, "compute": outcome.compute}
        peak = _peak()
        began, cpu_began = time.perf_counter(), time.process_time()
        rows = collect(sweep, folder).rows
        collected = time.perf_counter() - began
        assert len(rows) == 4 * PER_KIND * seeds
        index = sum(log.stat().st_size for log in Path(folder).glob("index/*.log"))
        return {
            "peak": peak,
            "collect": collected,
            "bytes": index,
            "rows": 4,
            "after": time.process_time() - cpu_began,
        }


def _peak() -> float:
    """Peak of this process, in MiB."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], int(sys.argv[2]))))
