"""Sweeps on Dask: the same tables, also when its workers or its scheduler are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from schurscope.sweep import Store, collect, dask_executor, run
from small_sweeps import SLOW, SMALL, assert_complete, done, run_here, wait_until

# Dask's own loose ends are not the package's.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


def rows_of(sweep, root):
    run_here(sweep, root)
    return collect(sweep, root).rows


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The rows of the slow sweep when nothing happens to it."""
    return rows_of(SLOW, tmp_path_factory.mktemp("slow") / "store")


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and two workers in processes of their own: address, scheduler, workers."""
    file = tmp_path / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask = [sys.executable, "-m", "dask"]
    command = [*dask, "scheduler", "--port", "0", "--no-dashboard", "--host", "127.0.0.1"]
    scheduler = subprocess.Popen([*command, "--scheduler-file", str(file)], **quiet)
    wait_until(file.exists)
    command = [*dask, "worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-dashboard"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen([*command, "--no-nanny"], cwd=tmp_path, env=environment, **quiet)
        for _ in range(2)
    ]
    yield file, scheduler, workers
    for process in (*workers, scheduler):
        process.kill()
        process.wait()


def address(file):
    return json.loads(file.read_text())["address"]


def test_a_local_cluster_gives_the_same_rows(tmp_path):
    expected = rows_of(SMALL, tmp_path / "thread")
    with dask_executor("local", 2) as executor:
        assert executor.capacity() == 2
        outcome = run(SMALL, tmp_path / "dask", executor=executor, capacity=executor.capacity)
    assert outcome.ran == 32
    assert_complete(SMALL, tmp_path / "dask", expected)


def test_a_killed_dask_worker_costs_nothing_but_time(tmp_path, cluster, expected):
    file, _, workers = cluster
    root = tmp_path / "store"

    def kill_one():
        wait_until(lambda: root.exists() and done(root) >= 2)
        os.kill(workers[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    with dask_executor(address(file)) as executor:
        outcome = run(SLOW, root, executor=executor, capacity=executor.capacity)
    killer.join()
    assert workers[0].wait() == -signal.SIGKILL
    assert (outcome.done, outcome.failed) == (12, 0)
    assert_complete(SLOW, root, expected)


def test_a_killed_scheduler_ends_the_run_with_a_message_and_loses_nothing(
    tmp_path, cluster, expected
):
    file, scheduler, _ = cluster
    root = tmp_path / "store"

    def kill_it():
        wait_until(lambda: root.exists() and done(root) >= 2)
        os.kill(scheduler.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_it)
    killer.start()
    with (
        pytest.raises(ConnectionError, match=r"the Dask scheduler is gone.*run again"),
        dask_executor(address(file)) as executor,
    ):
        run(SLOW, root, executor=executor, capacity=executor.capacity)
    killer.join()
    assert 2 <= done(root) < 12
    assert Store(root).failed() == set()
    assert run_here(SLOW, root).done == 12
    assert_complete(SLOW, root, expected)


def test_a_scheduler_that_does_not_answer_is_an_error(monkeypatch):
    monkeypatch.setattr("schurscope.sweep.executors.dask.PATIENCE", "1s")
    with pytest.raises(OSError, match=r"127\.0\.0\.1:1"), dask_executor("tcp://127.0.0.1:1"):
        pass
