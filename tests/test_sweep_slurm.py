"""Sweeps on a real one-node Slurm: an array of shards, cancelled jobs, and dask-jobqueue."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from schurscope.sweep import DaskExecutor, Store, collect, run
from small_sweeps import CONFIG, MAIN, SLOW, assert_complete, done, run_here, wait_until

pytestmark = pytest.mark.slow

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch")
SCRIPT = Path(__file__).with_name("slurm_node.sh")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """A Slurm of one node; the environment of its clients."""
    if lacking := [name for name in NEEDED if shutil.which(name) is None]:
        pytest.skip(f"no {', '.join(lacking)}: install Debian's slurm-wlm and munge")
    if os.geteuid() != 0:
        pytest.skip("only root can start Slurm's daemons")
    folder = tmp_path_factory.mktemp("slurm")
    os.chmod(folder.parent, 0o755)  # munge distrusts sockets that others cannot reach
    subprocess.run([SCRIPT, "start", folder], check=True, timeout=600)
    yield {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    subprocess.run([SCRIPT, "stop", folder], check=True)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The rows of the slow sweep when nothing happens to it."""
    root = tmp_path_factory.mktemp("slow") / "store"
    run_here(SLOW, root)
    return collect(SLOW, root).rows


def submit(slurm, folder):
    """The array of the documentation; its number."""
    (folder / "sweep.toml").write_text(CONFIG)
    script = folder / "job.sh"
    command = " ".join(f"'{word}'" for word in MAIN)
    script.write_text(
        "#!/bin/bash\n"
        "#SBATCH --array=0-2 --ntasks=1 --cpus-per-task=1 --time=00:05:00\n"
        f"{command} run {folder}/sweep.toml --store {folder}/store "
        '--shard "$SLURM_ARRAY_TASK_ID/3" --workers "$SLURM_CPUS_PER_TASK" --stop-after 4m\n'
    )
    command = ["sbatch", "--parsable", f"--output={folder}/%a.out", script]
    answer = subprocess.run(
        command, env=slurm, check=True, capture_output=True, text=True, cwd=folder
    )
    return answer.stdout.strip()


def is_over(slurm):
    queue = subprocess.run(
        ["squeue", "--noheader"], env=slurm, check=True, capture_output=True, text=True
    )
    return not queue.stdout.strip()


def test_an_array_of_shards_gives_the_whole(slurm, tmp_path, expected):
    submit(slurm, tmp_path)
    wait_until(lambda: is_over(slurm))
    outputs = [(tmp_path / f"{index}.out").read_text() for index in range(3)]
    assert all("4 of 4 jobs are in" in output for output in outputs), outputs
    assert_complete(SLOW, tmp_path / "store", expected)


def test_a_cancelled_array_ends_its_jobs_and_is_finished_by_the_same_command(
    slurm, tmp_path, expected
):
    number = submit(slurm, tmp_path)
    wait_until(lambda: done(tmp_path / "store") >= 2)
    # As at the end of the time limit: SIGTERM to all processes, and after a while SIGKILL.
    subprocess.run(["scancel", number], env=slurm, check=True)
    wait_until(lambda: is_over(slurm))
    assert 2 <= done(tmp_path / "store") < 12
    for folder in ("failures", "deaths"):
        assert os.listdir(tmp_path / "store" / folder) == []
    submit(slurm, tmp_path)
    wait_until(lambda: is_over(slurm))
    assert_complete(SLOW, tmp_path / "store", expected)


@pytest.mark.filterwarnings("default")  # Dask's own loose ends are not the package's
def test_dask_jobqueue_gives_the_same(slurm, tmp_path, expected, monkeypatch):
    jobqueue = pytest.importorskip("dask_jobqueue")
    from dask.distributed import Client

    monkeypatch.setenv("SLURM_CONF", slurm["SLURM_CONF"])
    monkeypatch.chdir(tmp_path)
    cluster = jobqueue.SLURMCluster(
        cores=1,
        processes=1,
        memory="1GB",
        walltime="00:05:00",
        worker_extra_args=["--lifetime", "4m", "--lifetime-stagger", "10s"],
        job_directives_skip=["--mem"],
        python=sys.executable,
        scheduler_options={"dashboard_address": None},
    )
    with cluster, Client(cluster) as client:
        cluster.scale(jobs=2)
        client.wait_for_workers(1, timeout=600)
        executor = DaskExecutor(client)
        outcome = run(SLOW, tmp_path / "store", executor=executor, capacity=executor.capacity)
    assert outcome.ran == 12
    assert Store(tmp_path / "store").failed() == set()
    assert_complete(SLOW, tmp_path / "store", expected)
    wait_until(lambda: is_over(slurm))
