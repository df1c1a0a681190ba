"""A sweep's store: damage is detected and repaired, no job runs twice, nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

import schurscope as ss
from schurscope.sweep import Store, StoreError, collect, plan, run
from schurscope.sweep.store.claims import Runner, live_claims
from schurscope.sweep.store.index import Entry, Log, merge_logs
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


def test_a_flipped_byte_is_found_without_unpacking_files(finished, tmp_path):
    root = shutil.copytree(finished[0], tmp_path / "copy")
    store, keys = Store(root), [job.key for job in plan(SMALL)]
    for path in (store.record_path(keys[0]), store.network_path(keys[1])):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    assert set(store.contents().damaged) == {keys[0], keys[1]}
    assert set(store.contents(verify=True).damaged) == {keys[0], keys[1]}
    table = collect(SMALL, root).jobs
    assert list(table.index[table["state"] == "missing"]) == [0, 1]
    assert "damaged" in table["problem"][0]
    assert run_here(SMALL, root).ran == 2
    assert store.contents(verify=True).damaged == {}
    pd.testing.assert_frame_equal(collect(SMALL, root).rows, finished[1], check_exact=True)


@pytest.mark.parametrize("cut", [0, 1, 500])
def test_what_a_log_lost_is_found_from_the_jobs_files(finished, tmp_path, cut):
    root = shutil.copytree(finished[0], tmp_path / "copy")
    for log in root.glob("index/*.log"):
        log.write_bytes(log.read_bytes()[:-cut] if cut else b"")
    pd.testing.assert_frame_equal(collect(SMALL, root).rows, finished[1], check_exact=True)
    assert run_here(SMALL, root).ran == 0
    if cut == 1:  # the line is whole, only its end is lost
        assert set(Store(root).index()) == {job.key for job in plan(SMALL)}
    else:  # lines are written again into another log, beside the start of the one that was lost
        assert_complete(SMALL, root, finished[1], writers_were_killed=True)


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
    (root / "store.json").write_text(json.dumps({**made, "level": "baseline"}))
    if ss._core.LEVEL != "baseline":
        with pytest.raises(StoreError, match="set SCHURSCOPE_SIMD=baseline there"):
            run_here(SMALL, root)
        assert Store(root).failed() == set()


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"format": 1}'])
def test_a_lost_store_json_is_written_again_from_the_jobs(finished, tmp_path, content):
    root = shutil.copytree(finished[0], tmp_path / "copy")
    made = (root / "store.json").read_bytes()
    (root / "store.json").unlink()
    if content is not None:
        (root / "store.json").write_text(content)
    first = Store(root).record_path(min(job.key for job in plan(SMALL)))
    first.write_bytes(b"damaged as well")
    found = collect(SMALL, root)
    assert found.counts()["done"] == 31
    assert not (root / "store.json").exists() or (root / "store.json").read_text() == content
    assert run_here(SMALL, root).ran == 1
    assert (root / "store.json").read_bytes() == made
    pd.testing.assert_frame_equal(collect(SMALL, root).rows, finished[1], check_exact=True)


def test_a_store_without_jobs_needs_no_store_json(tmp_path):
    root = Store.create(tmp_path / "store", ss._core.LEVEL).root
    (root / "store.json").write_text("{")
    with pytest.raises(StoreError, match=r"no store\.json that can be read, and no job"):
        collect(SMALL, root)
    assert Store.create(root, "baseline").level == "baseline"


# Lines whose checksum is right, although no runner wrote them.
@pytest.mark.parametrize(
    "change",
    [
        lambda _: [],
        lambda _: {},
        lambda line: line[:4],
        lambda line: [*line[:1], [], *line[2:]],
        lambda line: [*line[:3], None, *line[4:]],
        lambda line: [*line[:7], [], line[8]],
        lambda line: [*line[:7], line[8], line[7]],
    ],
)
def test_a_line_of_other_content_is_no_entry(finished, tmp_path, change):
    root = shutil.copytree(finished[0], tmp_path / "copy")
    (log,) = root.glob("index/*.log")
    lines = log.read_bytes().splitlines()
    text = json.dumps(change(json.loads(lines[0][9:]))).encode()
    lines[0] = b"%08x %s" % (zlib.crc32(text), text)
    log.write_bytes(b"\n".join(lines) + b"\n")
    assert len(Store(root).index()) == 31
    pd.testing.assert_frame_equal(collect(SMALL, root).rows, finished[1], check_exact=True)


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


def test_a_runner_whose_jobs_another_took_over_says_so(tmp_path, monkeypatch):
    store = Store.create(tmp_path / "store", "baseline")
    runner = Runner(store.root)
    os.utime(store.root / "runners" / runner.id, (0, 0))  # as if the machine had been suspended
    store.tidy({})
    assert os.listdir(store.root / "runners") == []
    with pytest.raises(OSError, match=r"another runner of .* took over .* start the run again"):
        runner.claim("a")
    monkeypatch.setattr("schurscope.sweep.store.claims.BEAT", -1)
    with pytest.raises(OSError, match="took over the jobs of this one"):
        runner.beat()
    runner.close()


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


def test_a_merge_that_is_killed_leaves_entries_twice_until_the_next(
    finished, tmp_path, monkeypatch
):
    """After it has written the merged log, and before it has removed the others."""
    monkeypatch.setattr("schurscope.sweep.store.index.MERGE_AT", 2)
    root = shutil.copytree(finished[0], tmp_path / "copy")
    store = Store(root)
    (log,) = root.glob("index/*.log")
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:-1]) + lines[-1][:100])  # its writer was killed, too
    runner = Runner(root)
    Log(root, runner).append([Entry.of_line(lines[-1].rstrip())])
    runner.close()

    def killed(_path, **_):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.unlink", killed)
        with pytest.raises(SystemExit):
            merge_logs(root)
    assert set(times_indexed(root, writers_were_killed=True).values()) == {2}
    assert len(store.index()) == len(lines)
    pd.testing.assert_frame_equal(collect(SMALL, root).rows, finished[1], check_exact=True)
    merge_logs(root)
    assert_complete(SMALL, root, finished[1])


def test_of_two_entries_of_a_job_a_merge_keeps_the_later(finished, tmp_path, monkeypatch):
    """As when a runner goes on that was taken for dead: both do the job, the later file stays."""
    monkeypatch.setattr("schurscope.sweep.store.index.MERGE_AT", 2)
    root = shutil.copytree(finished[0], tmp_path / "copy")
    entries = Store(root).index()
    runner = Runner(root)
    earlier = [entry._replace(finished=entry.finished - 1, host="x") for entry in entries.values()]
    Log(root, runner).append(earlier)
    runner.close()
    assert set(times_indexed(root).values()) == {2}
    merge_logs(root)
    assert_complete(SMALL, root, finished[1])
    assert {entry.host for entry in Store(root).index().values()} != {"x"}
