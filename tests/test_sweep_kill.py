"""Killed sweeps: whichever process dies, the resumed sweep gives the same results."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from random import Random

import pandas as pd
import pytest

from schurscope import SweepTask
from schurscope.sweep import Store, StoreError, collect, plan, run
from schurscope.sweep.executors.pool import ProcessPool
from schurscope.trials.tasks import FlipFlop
from small_sweeps import (
    CONFIG,
    MAIN,
    SLOW,
    assert_complete,
    children,
    done,
    is_running,
    records,
    run_here,
    wait_until,
)
from small_sweeps import start as start_sweep

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc"),
]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The rows of the slow sweep when nothing happens to it."""
    root = tmp_path_factory.mktemp("slow") / "store"
    run_here(SLOW, root)
    return collect(SLOW, root).rows


@pytest.fixture
def start():
    """Starts the command line; what still runs when the test ends, well or not, is killed."""
    started = []

    def start(*arguments):
        started.append(start_sweep(*arguments))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(CONFIG)
    return path


def finish(process):
    """Output of a process that ends."""
    return process.communicate(timeout=600)[0]


def test_a_killed_worker_costs_nothing_but_time(tmp_path, expected):
    root, pids = tmp_path / "store", []

    def kill_one():
        wait_until(lambda: root.exists() and done(root) >= 2)
        wait_until(lambda: children(os.getpid()))
        pids.append(children(os.getpid())[0])
        os.kill(pids[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    outcome = run(SLOW, root, n_workers=2)
    killer.join()
    assert pids
    assert (outcome.done, outcome.failed) == (12, 0)
    for file in (root / "deaths").iterdir():
        file.unlink()  # the death of the one job that the worker was at is on record
    assert_complete(SLOW, root, expected)


def test_a_job_that_kills_its_worker_three_times_has_failed_and_no_other(tmp_path):
    # The longest job comes first and alone, so the claims tell when it runs.
    fatal = SweepTask(FlipFlop(n_steps=9), training={"epochs": 9000}, label="fatal")
    sweep = replace(SLOW, tasks=[fatal, *SLOW.tasks], widths=[8], constructions=["orthogonal"])
    sweep = replace(sweep, seeds=1)
    root = tmp_path / "store"
    victim, other = (job.key for job in plan(sweep))
    over = threading.Event()
    killed = set()

    def kill_its_worker():
        while not over.wait(0.01):
            at_work = Store(root).running() if (root / "claims").exists() else set()
            fresh = set(children(os.getpid())) - killed
            if at_work == {victim} and fresh and all(map(has_started, fresh)):
                over.wait(0.3)  # let it be in the middle
                for pid in fresh:
                    os.kill(pid, signal.SIGKILL)
                killed.update(fresh)

    killer = threading.Thread(target=kill_its_worker)
    killer.start()
    try:
        outcome = run(sweep, root, n_workers=1)
    finally:
        over.set()
        killer.join()
    assert len(killed) == 3
    assert (outcome.done, outcome.failed) == (1, 1)
    assert Store(root).failed() == {victim}
    assert Store(root).index().keys() == {other}
    assert "worker died 3 times" in Store(root).failure(victim)["error"]
    assert run_here(sweep, root).ran == 0
    assert run_here(sweep, root, retry_failed=True).ran == 1
    assert collect(sweep, root).counts()["done"] == 2
    for folder in ("failures", "deaths", "claims"):
        assert os.listdir(root / folder) == []


def has_started(pid):
    """Whether a worker is through with its start, whose last act is to watch its parent."""
    try:
        return "Threads:\t1\n" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_a_killed_parent_takes_its_workers_along_and_the_sweep_goes_on(
    start, tmp_path, config, expected
):
    root = tmp_path / "store"
    process = start("run", config, "--store", root, "--workers", 2)
    wait_until(lambda: root.exists() and done(root) >= 3)
    workers = children(process.pid)
    assert len(workers) == 2
    process.kill()
    finish(process)
    wait_until(lambda: not any(map(is_running, workers)))
    kept = times(root)
    assert 3 <= len(kept) < 12
    output = subprocess.run(
        [*MAIN, "status", config, "--store", root], capture_output=True, text=True
    )
    assert re.fullmatch(r"\d+ of 12 jobs done, 0 running, 0 failed, \d+ missing\n", output.stdout)
    for leftover in root.glob("jobs/*/.*"):
        leftover.unlink()  # half-written temporary files, which go by themselves after a day
    outcome = run_here(SLOW, root)
    assert 0 < outcome.ran < 12
    assert kept.items() <= times(root).items()
    assert_complete(SLOW, root, expected)


def test_twenty_kills_at_random_times_change_no_number(start, tmp_path, config, expected):
    """Parent, worker or all die; what the store holds then is right, and the end is complete."""
    random = Random(secrets.randbelow(2**32))
    stores = 0
    root = tmp_path / "store 0"
    for _ in range(20):
        process = start("run", config, "--store", root, "--workers", 2)
        time.sleep(random.uniform(0.2, 2.5))
        victim = random.choice([process.pid, *children(process.pid)])
        whole = random.random() < 0.3
        (os.killpg if whole else os.kill)(process.pid if whole else victim, signal.SIGKILL)
        if not whole and victim != process.pid:
            time.sleep(random.uniform(0, 1))  # the parent goes on
        workers = children(process.pid)
        process.kill()
        finish(process)
        wait_until(lambda: not any(map(is_running, workers)))  # noqa: B023 - called at once
        if (root / "jobs").exists():
            found = collect(SLOW, root, verify=True)
            assert not found.jobs["problem"].str.contains("damaged").any()
            wanted = expected[expected["key"].isin(found.rows["key"])].reset_index(drop=True)
            same = [found.rows.astype({"key": str}), wanted.astype({"key": str})]
            pd.testing.assert_frame_equal(*same, check_exact=True, check_categorical=False)
            if len(found.rows) == len(expected):
                stores += 1
                root = tmp_path / f"store {stores}"
    for number in range(stores + 1):
        root = tmp_path / f"store {number}"
        run_here(SLOW, root)
        for leftover in [*root.glob("jobs/*/.*"), *root.glob("deaths/*")]:
            leftover.unlink()  # temporary files, and the count of dead workers
        assert_complete(SLOW, root, expected, writers_were_killed=True)


def times(root):
    """Record of a finished job → when it was written."""
    return {path: path.stat().st_mtime_ns for path in records(root)}


@pytest.mark.parametrize(
    ("where", "number"),
    [
        (["--workers", 2], signal.SIGINT),
        (["--workers", 2], signal.SIGTERM),
        (["--dask", "local", "--workers", 2], signal.SIGINT),
    ],
)
def test_an_interrupted_run_ends_its_jobs_and_leaves_the_rest(
    start, tmp_path, config, expected, where, number
):
    root = tmp_path / "store"
    process = start("run", config, "--store", root, *where)
    wait_until(lambda: root.exists() and done(root) >= 2)
    os.killpg(process.pid, number)  # workers and all, as a terminal does
    output = finish(process)
    assert process.returncode == 130
    assert "interrupted" in output
    assert "Traceback" not in output
    for folder in ("claims", "runners", "deaths"):
        assert os.listdir(root / folder) == []
    assert not list(root.glob("jobs/*/.*"))
    assert Store(root).index().keys() == Store(root).contents(verify=True).entries.keys()
    assert 2 <= done(root) < 12
    run_here(SLOW, root)
    assert_complete(SLOW, root, expected)


def test_a_second_signal_ends_jobs_at_once(start, tmp_path):
    config, root = tmp_path / "sweep.toml", tmp_path / "store"
    config.write_text(CONFIG.replace("epochs = 600", "epochs = 1000000"))
    process = start("run", config, "--store", root, "--workers", 2)
    wait_until(lambda: (root / "claims").exists() and len(os.listdir(root / "claims")) == 2)
    workers = children(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    # Progress lines may come before and after it, depending on how fast the machine is.
    assert any("stopping: waiting for running batches" in line for line in process.stdout)
    os.killpg(process.pid, signal.SIGINT)
    output = finish(process)
    assert process.returncode == 130
    assert "interrupted" in output
    assert not any(map(is_running, workers))
    for folder in ("claims", "runners", "deaths", "failures"):
        assert os.listdir(root / folder) == []
    assert done(root) == 0


def test_two_parents_share_a_store_and_do_no_job_twice(start, tmp_path, config, expected):
    root = tmp_path / "store"
    both = [start("run", config, "--store", root, "--workers", 1) for _ in range(2)]
    outputs = [finish(process) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    ran = [int(re.search(r"(\d+) done in", output)[1]) for output in outputs]
    assert sum(ran) == 12
    assert_complete(SLOW, root, expected)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of a quarter of a megabyte, and a function that sets its size."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if (made := subprocess.run(mount, capture_output=True, text=True)).returncode:
        pytest.skip(f"cannot mount a small disk: {made.stderr.strip()}")

    def resize(size):
        subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)

    yield disk, resize
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_stops_the_sweep_and_fails_no_job(small_disk, expected):
    disk, resize = small_disk
    root = disk / "store"
    with pytest.raises(StoreError, match=r"cannot be written to.*No space left"):
        run_here(SLOW, root)
    assert 0 < done(root) < 12
    assert Store(root).failed() == set()
    assert not list(root.glob("jobs/*/.*"))
    resize("16m")
    assert run_here(SLOW, root).done == 12
    assert_complete(SLOW, root, expected)


def test_workers_that_cannot_start_blame_no_job(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import schurscope as ss\n"
        "sweep = ss.Sweep(tasks=[ss.tasks.FlipFlop()], widths=[8], seeds=1)\n"
        f"ss.sweep.run(sweep, {str(tmp_path / 'store')!r}, n_workers=1)\n"
    )
    failed = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=600)
    assert failed.returncode == 1
    assert 'must do its work under if __name__ == "__main__":' in failed.stderr
    assert Store(tmp_path / "store").failed() == set()


def test_a_pool_fails_the_calls_of_the_worker_that_died_and_no_others():
    pool = ProcessPool(2)
    try:
        pids = children(os.getpid())
        assert len(pids) == 2
        naps = [pool.submit(time.sleep, 2) for _ in range(2)]
        os.kill(pids[0], signal.SIGKILL)
        broken = [isinstance(nap.exception(30), BrokenProcessPool) for nap in naps]
        assert sorted(broken) == [False, True]
        again = {pool.submit(os.getpid).result(30) for _ in range(2)}
        assert pids[0] not in again
    finally:
        pool.kill()
    assert children(os.getpid()) == []
