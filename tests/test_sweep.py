"""Sweeps: what a configuration may be, which jobs it means, what a run leaves and reads back."""

from __future__ import annotations

import json
import os
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import schurscope as ss
from schurscope import Sweep, SweepTask, ablate, init_network, train
from schurscope.profile import AblationProfile
from schurscope.sweep import (
    Store,
    StoreError,
    SweepError,
    collect,
    load_result,
    plan,
    run,
    save_table,
    shard,
)
from schurscope.sweep.claims import Runner, live_claims
from schurscope.sweep.store import MERGE_AT, Log
from schurscope.tasks import Copy, FlipFlop, SineGeneration
from small_sweeps import CONFIG, SLOW, SMALL, TRAINING, assert_complete, times_indexed

TASK = '[[tasks]]\ntask = "flip-flop"\n'


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The small sweep's store, run in this process by one thread, and its rows."""
    root = tmp_path_factory.mktemp("sweep") / "store"
    with ThreadPoolExecutor(1) as executor:
        outcome = run(SMALL, root, executor=executor, n_workers=1)
    assert (outcome.total, outcome.done, outcome.ran, outcome.failed) == (32, 32, 32, 0)
    return root, collect(SMALL, root).rows


def run_here(sweep, root, **options):
    with ThreadPoolExecutor(1) as executor:
        return run(sweep, root, executor=executor, n_workers=1, **options)


# Configurations.


def test_a_file_says_what_the_dataclass_says(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(CONFIG)
    assert Sweep.load(path) == SLOW
    path.write_text(
        """
        widths = [32]
        seeds = [3, 5]
        training.epochs = 2
        [[tasks]]
        task = "copy"
        label = "long"
        horizon = 16
        evaluation.horizon = 128
        training = { optimizer = "adamw" }
        gate = 0.95
        [[tasks]]
        task = "sine"
        """
    )
    assert Sweep.load(path) == Sweep(
        tasks=[
            SweepTask(
                Copy(horizon=16),
                Copy(horizon=128),
                training={"optimizer": "adamw"},
                gate=0.95,
                label="long",
            ),
            SineGeneration(),
        ],
        widths=[32],
        seeds=[3, 5],
        training={"epochs": 2},
    )


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("widhts = [8]\n" + TASK, 1, "no 'widhts'.*did you mean 'widths'"),
        ("\nwidths = [8,\n  -16]\n" + TASK, 2, "widths must be at least 1, got -16"),
        ("widths = []\n" + TASK, 1, "widths must hold at least one entry"),
        ("widths = 8\n" + TASK, 1, "widths must be a list, got 8"),
        ("widths = [8, 8]\n" + TASK, 1, "widths must be distinct, got 8 twice"),
        ("widths = [8.5]\n" + TASK, 1, "widths must be an integer"),
        ("widths = [8]\nseeds = 0\n" + TASK, 2, "seeds must be at least 1"),
        ("widths = [8]\nalphas = [1.5]\n" + TASK, 2, r"alphas must be in \(0, 1\]"),
        ("widths = [8]\nablations = ['RC']\n" + TASK, 2, "ablations must be one of.*'RC'"),
        ("widths = [8]\ndtype = 'half'\n" + TASK, 2, "dtype must be float32 or float64"),
        ("widths = [7]\nconstructions = ['normal']\n" + TASK, 1, "widths must be even.*got 7"),
        ("widths = [8]\n[training]\nepochs = 0\n" + TASK, 3, "epochs must be at least 1"),
        ("widths = [8]\n[training]\nepoch = 9\n" + TASK, 3, "did you mean 'epochs'"),
        ("widths = [8]\n[[tasks]]\ntask = 'flipflop'\n", 3, "did you mean 'flip-flop'"),
        ("widths = [8]\n[[tasks]]\nn_steps = 3\n", 2, "a task needs its name"),
        ("widths = [8]\n" + TASK + "n_stps = 3\n", 4, "did you mean 'n_steps'"),
        ("widths = [8]\n" + TASK + "\nn_steps = -3\n", 5, "n_steps must be at least 1, got -3"),
        ("widths = [8]\n" + TASK + "measure = 'fuv'\n", 4, "did you mean 'fvu'"),
        ("widths = [8]\n" + TASK + "gate = 'x'\n", 4, "gate must be a real number"),
        ("widths = [8]\n" + TASK + "evaluation = 3\n", 4, "evaluation must be a table"),
        ("widths = [8]\n" + TASK + "evaluation.n_steps = 0\n", 4, "n_steps must be at least 1"),
        (
            "widths = [8]\n" + TASK + "evaluation.n_channels = 4\n",
            4,
            "evaluation must have n_inputs",
        ),
        ("widths = [8]\n" + TASK + TASK, 4, "distinct labels, got 'flip-flop' twice"),
        ("widths = [8]\ntasks = [3]\n", 2, "tasks must be tables"),
        ("widths = [8]\ntasks = []\n", 2, "tasks must hold at least one entry"),
        ("widths = [8\n" + TASK, 2, "not a TOML file.*line 2"),
    ],
)
def test_a_bad_file_is_an_error_that_names_the_line(tmp_path, text, line, message):
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"sweep\.toml.*{message}") as error:
        Sweep.load(path)
    assert f"line {line}" in str(error.value)


def test_what_a_file_lacks_is_named(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text("widths = [8]\n")
    with pytest.raises(ValueError, match=r"sweep\.toml: a sweep needs 'tasks'"):
        Sweep.load(path)


def test_a_task_of_ones_own_is_refused():
    with pytest.raises(SweepError, match="task must be one of the tasks ContextIntegration, Copy"):
        Sweep(tasks=[object()], widths=[8])


# Plans.


def test_a_plan_holds_every_combination_once():
    jobs = plan(SMALL)
    assert len(jobs) == 4 * 2 * 2 * 2
    kinds = {(job.setting.label, job.n_hidden, job.recurrent, job.seed) for job in jobs}
    assert len(kinds) == len({job.key for job in jobs}) == len(jobs)
    assert len({job.spawn_key for job in jobs}) == len(jobs)
    assert pickle.loads(pickle.dumps(jobs[3])).key == jobs[3].key


def test_a_key_changes_with_all_that_decides_numbers_and_with_nothing_else():
    flip_flop = FlipFlop(n_steps=8)
    base = replace(SMALL, tasks=[flip_flop])
    key = plan(base)[0].key
    others = [
        replace(base, tasks=[FlipFlop(n_steps=9)]),
        replace(base, tasks=[SweepTask(flip_flop, evaluation=FlipFlop(n_steps=9))]),
        replace(base, tasks=[SweepTask(flip_flop, training={"epochs": 2})]),
        replace(base, tasks=[SweepTask(Copy(2, 2, 2), measure="fvu")]),
        replace(base, widths=[9]),
        replace(base, constructions=["default"]),
        replace(base, seeds=[7]),
        replace(base, training={**TRAINING, "clip": 1.0}),
        replace(base, alphas=[0.8]),
        replace(base, ablations=["RR", "CR"]),
        replace(base, evaluation_trials=33),
        replace(base, dtype="float64"),
        replace(base, entropy=1),
    ]
    keys = {plan(other)[0].key for other in others}
    assert len(keys) == len(others)
    assert key not in keys
    assert plan(base, level="baseline")[0].key != key
    same = SweepTask(flip_flop, label="another name", gate=0.5)
    assert plan(replace(base, tasks=[same]))[0].key == key
    assert plan(replace(base, training={**TRAINING, "weight_decay": 0.0}))[0].key == key


def test_a_larger_sweep_has_the_smaller_ones_jobs_and_streams():
    short = SweepTask(SineGeneration(5), label="short")
    larger = replace(SMALL, tasks=[short, *SMALL.tasks], widths=[6, 8, 10], seeds=[9, 1, 0])
    streams = {job.key: job.spawn_key for job in plan(larger)}
    assert {job.key: job.spawn_key for job in plan(SMALL)}.items() <= streams.items()


def test_networks_that_differ_in_training_or_cut_start_alike_and_see_the_same_trials():
    first, second = plan(SMALL)[0], plan(replace(SMALL, training={}, alphas=[0.5]))[0]
    assert first.key != second.key
    for name, stream in first.streams().items():
        assert stream.random() == second.streams()[name].random()


def test_streams_are_separate():
    draws = [stream.random() for job in plan(SMALL) for stream in job.streams().values()]
    assert len(set(draws)) == 3 * 32


def test_shards_part_a_plan():
    jobs = plan(SMALL)
    shards = [shard(jobs, index, 3) for index in range(3)]
    assert sorted(job.key for part in shards for job in part) == sorted(job.key for job in jobs)
    costs = [sum(job.cost for job in part) for part in shards]
    assert max(costs) < 1.25 * min(costs)
    with pytest.raises(ValueError, match="index must be less than count = 3, got 3"):
        shard(jobs, 3, 3)


# Results.


def test_rows_are_what_training_and_ablating_by_hand_give(finished):
    _, rows = finished
    assert len(rows) == 32 * 2 * 4
    for job in plan(SMALL)[::5]:
        streams, setting = job.streams(), job.setting
        network = init_network(setting.task, job.n_hidden, job.recurrent, streams["init"])
        trained = train(network, setting.task, **TRAINING, rng=streams["training"])
        trials = setting.evaluation.trials(32, streams["evaluation"], np.float32)
        mine = rows[rows["key"] == job.key]
        assert set(mine["task"]) == {setting.task.name}
        for alpha in SMALL.alphas:
            profile = ablate(
                trained.network,
                trials,
                alpha=alpha,
                ablations=["RR", "CR", "CC"],
                measure="replay_accuracy" if setting.task.name == "copy" else "fvu",
            )
            part = mine[mine["alpha"] == alpha]
            assert list(part["ablation"]) == list(profile.names)
            names = ("value", "change", "removed_mass", "sensitivity", "vacuous", "diverged")
            for name in names:
                np.testing.assert_array_equal(part[name], getattr(profile, name))
            assert set(part["n_R"]) == {profile.sectors.n_R}
            assert set(part["gap"]) == {profile.sectors.gap}
            assert set(part["baseline"]) == {profile.value[0]}
            assert set(part["loss"]) == {trained.loss[-1]}


def test_the_gate_marks_networks_and_drops_none(finished):
    _, rows = finished
    copy = rows["task"] == "copy"
    np.testing.assert_array_equal(rows["passed"][copy], rows["baseline"][copy] >= 0.6)
    np.testing.assert_array_equal(rows["passed"][~copy], rows["baseline"][~copy] <= 0.1)
    assert set(rows["passed"]) == {True, False}
    stricter = replace(SMALL, tasks=[*SMALL.tasks[:3], replace(SMALL.tasks[3], gate=1.1)])
    marked = collect(stricter, finished[0]).rows
    assert not marked["passed"][copy].any()
    pd.testing.assert_frame_equal(marked.drop(columns="passed"), rows.drop(columns="passed"))


def test_a_job_keeps_network_profiles_loss_and_provenance(finished):
    job = plan(SMALL)[9]
    result = load_result(Store(finished[0]), job.key)
    trials = job.setting.evaluation.trials(32, job.streams()["evaluation"], np.float32)
    for alpha, kept in zip(SMALL.alphas, result.profiles, strict=True):
        fresh = ablate(result.network, trials, alpha=alpha, ablations=SMALL.ablations)
        assert isinstance(kept, AblationProfile)
        for name in ("value", "change", "sensitivity", "per_trial", "per_step", "vacuous"):
            np.testing.assert_array_equal(getattr(kept, name), getattr(fresh, name))
        assert kept.settings == fresh.settings
        np.testing.assert_array_equal(kept.interval().change, fresh.interval().change)
        assert str(kept) == str(fresh)
    assert result.loss.shape == (20,)
    np.testing.assert_array_equal(result.moduli, np.abs(result.profiles[0].schur.eigenvalues))
    provenance = result.provenance
    assert provenance["configuration"] == job.configuration()
    assert provenance["entropy"] == {"root": 0, "spawn_key": list(job.spawn_key)}
    assert provenance["versions"]["schurscope"] == ss.__version__
    assert provenance["versions"]["numpy"] == np.__version__
    assert (provenance["level"], provenance["threads"]) == (ss._core.LEVEL, 1)
    for name in ("cpu", "host"):
        assert provenance[name]
    assert isinstance(provenance["commit"], str)
    assert min(provenance["seconds"].values()) > 0
    assert abs(provenance["finished"] - time.time()) < 600


def test_the_dataset_has_the_numbers_of_the_rows(finished):
    found = collect(SMALL, finished[0])
    dataset = found.to_xarray()
    assert dataset.sizes == {
        "task": 4,
        "recurrent": 2,
        "N_h": 2,
        "seed": 2,
        "alpha": 2,
        "ablation": 4,
    }
    for row in found.rows.iloc[::17].itertuples():
        place = {axis: getattr(row, axis) for axis in dataset.sizes}
        for name in ("value", "change", "removed_mass", "sensitivity", "vacuous"):
            number = dataset[name].sel(place).item()
            np.testing.assert_equal(number, getattr(row, name))
        del place["ablation"]
        assert dataset["n_R"].sel(place).item() == row.n_R
        del place["alpha"]
        assert dataset["baseline"].sel(place).item() == row.baseline


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_tables_come_back_from_files(finished, tmp_path, suffix):
    rows = finished[1]
    path = tmp_path / f"rows.{suffix}"
    save_table(rows, path)
    read = pd.read_parquet(path) if suffix == "parquet" else pd.read_csv(path)
    assert list(read.columns) == list(rows.columns)
    for name in rows.columns:
        np.testing.assert_array_equal(read[name].to_numpy(), rows[name].to_numpy())
    with pytest.raises(ValueError, match=r"must end in \.parquet or \.csv"):
        save_table(rows, tmp_path / "rows.xls")
    assert os.listdir(tmp_path) == [path.name]


# Runs.


def test_a_second_run_does_nothing_and_a_grown_sweep_the_new_jobs_only(finished):
    root, rows = finished
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*.npz")}
    assert run_here(SMALL, root).ran == 0
    grown = replace(SMALL, widths=[8, 10, 12])
    outcome = run_here(grown, root)
    assert (outcome.total, outcome.done, outcome.ran) == (48, 48, 16)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    pd.testing.assert_frame_equal(collect(SMALL, root).rows, rows, check_exact=True)


def test_processes_give_what_one_thread_gives(finished, tmp_path):
    outcome = run(SMALL, tmp_path / "store", n_workers=2)
    assert outcome.ran == 32
    assert_complete(SMALL, tmp_path / "store", finished[1])


def test_shards_into_one_store_give_the_whole(finished, tmp_path):
    for index in (1, 0):
        outcome = run_here(SMALL, tmp_path / "store", part=(index, 2))
        assert outcome.ran == outcome.total == 16
    assert_complete(SMALL, tmp_path / "store", finished[1])


def test_a_run_stops_when_told_and_goes_on(finished, tmp_path):
    first = run_here(SMALL, tmp_path, stop_after=1e-9)
    assert first.ran == 0
    second = run_here(SMALL, tmp_path)
    assert second.ran == 32
    assert_complete(SMALL, tmp_path, finished[1])


def test_failures_are_recorded_and_left_alone(tmp_path):
    bad = SweepTask(FlipFlop(n_steps=8), training={"learning_rate": 1e38}, label="bad")
    sweep = replace(SMALL, tasks=[bad, SineGeneration(n_steps=8)], widths=[8], seeds=1)
    outcome = run_here(sweep, tmp_path)
    assert (outcome.done, outcome.failed) == (2, 2)
    table = collect(sweep, tmp_path).jobs
    assert list(table["state"]) == ["failed", "failed", "done", "done"]
    assert table["problem"].str.contains("FloatingPointError.*lower learning_rate").sum() == 2
    assert not table["passed"][:2].any()
    failure = Store(tmp_path).failure(table["key"][0])
    assert "Traceback (most recent call last)" in failure["traceback"]
    assert failure["configuration"]["training"]["learning_rate"] == 1e38
    again = run_here(sweep, tmp_path)
    assert (again.ran, again.failed) == (0, 2)
    assert Store(tmp_path).failure(table["key"][0]) == failure
    run_here(sweep, tmp_path, retry_failed=True)
    assert Store(tmp_path).failure(table["key"][0])["finished"] > failure["finished"]
    assert len(collect(sweep, tmp_path).rows) == 2 * 2 * 4


# Damage.


def copy_of(root, tmp_path):
    import shutil

    return shutil.copytree(root, tmp_path / "copy")


def test_damaged_files_are_found_reported_and_done_again(finished, tmp_path):
    root = copy_of(finished[0], tmp_path)
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
    root = copy_of(finished[0], tmp_path)
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
    root = copy_of(finished[0], tmp_path)
    for log in root.glob("index/*.log"):
        log.write_bytes(log.read_bytes()[:-cut] if cut else b"")
    pd.testing.assert_frame_equal(collect(SMALL, root).rows, finished[1], check_exact=True)
    assert run_here(SMALL, root).ran == 0
    assert set(Store(root).index()) >= {job.key for job in plan(SMALL)}


def test_a_store_of_another_make_is_refused(finished, tmp_path):
    root = copy_of(finished[0], tmp_path)
    made = json.loads((root / "store.json").read_text())
    (root / "store.json").write_text(json.dumps({**made, "version": "0.0.1"}))
    with pytest.raises(StoreError, match=r"was made by schurscope 0\.0\.1 .* install that version"):
        run_here(SMALL, root)
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
    if (child := os.fork()) == 0:
        Runner(root).claim("a")
        os._exit(0)
    os.waitpid(child, 0)
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


def test_logs_of_ended_runners_are_merged_and_lose_nothing(finished, tmp_path):
    root = copy_of(finished[0], tmp_path)
    store = Store(root)
    entries = list(store.index().values())
    for log in root.glob("index/*.log"):
        log.unlink()
    alive = Runner(root)
    Log(store, alive).append(entries[:1])
    for place in range(1, MERGE_AT + 1):
        runner = Runner(root)
        Log(store, runner).append(entries[place::MERGE_AT])
        runner.close()
    store.tidy({})
    assert len(list(root.glob("index/*.log"))) == 2
    assert {key: entry.line() for key, entry in store.index().items()} == {
        entry.key: entry.line() for entry in entries
    }
    assert set(times_indexed(root).values()) == {1}
    alive.close()
