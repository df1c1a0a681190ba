"""A sweep's store: damage is detected and repaired, no job runs twice, nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

import schurscope as ss
from schurscope.sweep import Store, StoreError, collect, plan, run
from schurscope.sweep.store.claims import Runner, live_claims
from schurscope.sweep.store.index import Log
from small_sweeps import SMALL, assert_complete, records, run_here, times_indexed


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The small sweep's store and its rows."""
    root = tmp_path_factory.mktemp("sweep") / "store"
    run_here(SMALL, root)
    return root, collect(SMALL, root).rows


def test_damaged_files_are_found_reported_and_done_again(finished, tmp_path):
    root = shutil.copytree(finished[0], tmp_path / "copy")
    store, keys = Store(root), [job.key for job in plan(SMALL)]
    half = store.record_path(keys[0])
    half.write_bytes(half.read_bytes()[:1000])
    store.record_path(keys[1]).unlink()
    store.network_path(keys[2]).write_bytes(b"")
    foreign = store.record_path(keys[3])
    foreign.write_bytes(store.record_path(keys[4]).read_bytes() + b" ")
    table = collect(SMALL, root).jobs
    assert list(table.index[table["state"] == "missing"]) == [0, 1, 2, 3]
    for place, message in enumerate(("damaged", "No such file", "damaged", "record of|damaged")):
        assert pd.Series(table["problem"][place]).str.contains(message).all()
    assert run_here(SMALL, root).ran == 4
    pd.testing.assert_frame_equal(collect(SMALL, root).rows, finished[1], check_exact=True)
    assert store.contents(verify=True).damaged == {}


def test_a_flipped_byte_is_found_when_every_file_is_read(finished, tmp_path):
    root = shutil.copytree(finished[0], tmp_path / "copy")
    store, keys = Store(root), [job.key for job in plan(SMALL)]
    for path in (store.record_path(keys[0]), store.network_path(keys[1])):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    assert store.contents().damaged == {}
    assert set(store.contents(verify=True).damaged) == {keys[0], keys[1]}
    assert run_here(SMALL, root, verify=True).ran == 2
    assert store.contents(verify=True).damaged == {}
    pd.testing.assert_frame_equal(collect(SMALL, root).rows, finished[1], check_exact=True)


@pytest.mark.parametrize("cut", [0, 1, 500])
def test_what_a_log_lost_is_found_from_the_jobs_files(finished, tmp_path, cut):
    root = shutil.copytree(finished[0], tmp_path / "copy")
    for log in root.glob("index/*.log"):
        log.write_bytes(log.read_bytes()[:-cut] if cut else b"")
    pd.testing.assert_frame_equal(collect(SMALL, root).rows, finished[1], check_exact=True)
    assert run_here(SMALL, root).ran == 0
    assert set(Store(root).index()) >= {job.key for job in plan(SMALL)}


def test_a_store_of_another_make_is_refused(finished, tmp_path):
    root = shutil.copytree(finished[0], tmp_path / "copy")
    made = json.loads((root / "store.json").read_text())
    (root / "store.json").write_text(json.dumps({**made, "version": "0.0.1"}))
    with pytest.raises(
        StoreError, match=r"was made by schurscope 0\.0\.1 .* pip install schurscope==0\.0\.1"
    ):
        run_here(SMALL, root)
    (root / "store.json").write_text(json.dumps({**made, "format": "schurscope-sweep-1"}))
    for read in (run_here, collect):
        with pytest.raises(StoreError, match="or run the sweep again into a new folder"):
            read(SMALL, root)
    (root / "store.json").write_text("{")
    with pytest.raises(StoreError, match=r"store\.json is damaged"):
        collect(SMALL, root)
    (root / "store.json").write_text(json.dumps({**made, "level": "baseline"}))
    if ss._core.LEVEL != "baseline":
        with pytest.raises(StoreError, match="set SCHURSCOPE_SIMD=baseline there"):
            run_here(SMALL, root)
        assert Store(root).failed() == set()


def test_a_folder_that_is_no_store_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(StoreError, match=r"not empty: it holds 'thesis\.tex'"):
        run_here(SMALL, tmp_path)
    with pytest.raises(StoreError, match=r"it has no store\.json"):
        collect(SMALL, tmp_path)
    with pytest.raises(StoreError, match="must be a folder"):
        run_here(SMALL, tmp_path / "thesis.tex")
    assert os.listdir(tmp_path) == ["thesis.tex"]


# Claims and logs.


def test_only_one_runner_has_a_job_until_it_gives_it_up_or_dies(tmp_path):
    root = Store.create(tmp_path / "store", "baseline").root
    first, second = Runner(root), Runner(root)
    assert first.claim("a")
    assert not second.claim("a")
    assert second.claim("b")
    assert live_claims(root) == {"a", "b"}
    first.release("a")
    assert second.claim("a")
    os.utime(root / "runners" / second.id, (0, 0))  # no heartbeat for long
    assert live_claims(root) == set()
    third = Runner(root)
    assert third.claim("a")
    assert not first.claim("a")
    assert live_claims(root) == {"a"}
    for runner in (first, second, third):
        runner.close()
    assert os.listdir(root / "claims") == os.listdir(root / "runners") == []


def test_a_runner_of_this_machine_is_dead_when_its_process_is(tmp_path):
    root = Store.create(tmp_path / "store", "baseline").root
    code = f"""
from pathlib import Path
from schurscope.sweep.store.claims import Runner, live_claims
root = Path({str(root)!r})
Runner(root).claim("a")
print(*live_claims(root))
"""
    claimed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert claimed.stdout == "a\n"
    assert live_claims(root) == set()
    assert Runner(root).claim("a")


def test_a_runner_leaves_jobs_that_another_has(finished, tmp_path):
    store = Store.create(tmp_path / "store", ss._core.LEVEL)
    other = Runner(store.root)
    keys = [job.key for job in plan(SMALL)]
    assert all(other.claim(key) for key in keys[:5])
    outcome = run_here(SMALL, store.root)
    assert (outcome.ran, outcome.elsewhere) == (27, 5)
    states = collect(SMALL, store.root).counts()
    assert states == {"done": 27, "failed": 0, "running": 5, "missing": 0}
    other.close()
    assert run_here(SMALL, store.root).ran == 5
    assert_complete(SMALL, store.root, finished[1])


def test_a_runner_takes_over_from_one_that_dies_meanwhile(finished, tmp_path):
    store = Store.create(tmp_path / "store", ss._core.LEVEL)
    other = Runner(store.root)
    keys = [job.key for job in plan(SMALL)]
    assert all(other.claim(key) for key in keys[:5])
    looks = []

    def capacity():
        looks.append(len(records(store.root)))
        if looks[-1] > 10:
            os.utime(store.root / "runners" / other.id, (0, 0))  # no heartbeat for long
        return 1

    with ThreadPoolExecutor(1) as executor:
        outcome = run(SMALL, store.root, executor=executor, capacity=capacity)
    assert looks[0] == 0
    assert (outcome.ran, outcome.elsewhere) == (32, 0)
    other.close()
    assert_complete(SMALL, store.root, finished[1])


def test_logs_of_ended_runners_are_merged_and_lose_nothing(finished, tmp_path, monkeypatch):
    monkeypatch.setattr("schurscope.sweep.store.index.MERGE_AT", 8)
    root = shutil.copytree(finished[0], tmp_path / "copy")
    store = Store(root)
    entries = list(store.index().values())
    for log in root.glob("index/*.log"):
        log.unlink()
    alive = Runner(root)
    Log(root, alive).append(entries[:1])
    for place in range(8):
        runner = Runner(root)
        Log(root, runner).append(entries[1 + place :: 8])
        runner.close()
    store.tidy({})
    assert len(list(root.glob("index/*.log"))) == 2
    assert {key: entry.line() for key, entry in store.index().items()} == {
        entry.key: entry.line() for entry in entries
    }
    assert set(times_indexed(root).values()) == {1}
    alive.close()
