"""Sweeps: files of a run, and reading them back."""

from __future__ import annotations

import csv
import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import schurscope as ss
from schurscope import Cell, SweepTask, ablate, init_network, train
from schurscope.ablation.profile import AblationProfile
from schurscope.sweep import Store, collect, load_result, plan, run, save_table
from schurscope.trials.tasks import FlipFlop, SineGeneration
from small_sweeps import SMALL, TRAINING, assert_complete, run_here

COLUMNS = [
    "task",
    "N_h",
    "recurrent",
    "seed",
    "alpha",
    "ablation",
    "measure",
    "value",
    "change",
    "removed_mass",
    "sensitivity",
    "vacuous",
    "diverged",
    "n_R",
    "gap",
    "baseline",
    "passed",
    "loss",
    "key",
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The small sweep's store, run in this process by one thread, and its rows."""
    root = tmp_path_factory.mktemp("sweep") / "store"
    outcome = run_here(SMALL, root)
    assert (outcome.total, outcome.done, outcome.ran, outcome.failed) == (32, 32, 32, 0)
    return root, collect(SMALL, root).rows


def test_rows_are_what_training_and_ablating_by_hand_give(finished):
    _, rows = finished
    assert len(rows) == 32 * 2 * 4
    assert list(rows.columns) == COLUMNS
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


def test_networks_have_the_cell_that_is_asked_for(tmp_path):
    cell = Cell("softplus", "current", leak=0.5, noise=0.1)
    sweep = replace(SMALL, tasks=SMALL.tasks[:1], widths=[8], seeds=1, cell=cell)
    run_here(sweep, tmp_path)
    job = plan(sweep)[0]
    result = load_result(Store(tmp_path), job.key)
    assert result.network.cell == cell
    trials = job.setting.evaluation.trials(32, job.streams()["evaluation"], np.float32)
    for profile in result.profiles:
        fresh = ablate(
            result.network,
            trials,
            alpha=profile.alpha,
            ablations=SMALL.ablations,
            rng=job.streams()["noise"],
        )
        np.testing.assert_array_equal(profile.per_trial, fresh.per_trial)
        assert profile.settings == fresh.settings


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


def commit_of_package():
    """The checked-out commit if the package runs from its own repository, else nothing."""
    root = Path(__file__).parents[1]
    if not ((root / ".git").exists() and Path(ss.__file__).is_relative_to(root)):
        return ""
    head = ["git", "-C", str(root), "rev-parse", "HEAD"]
    return subprocess.run(head, capture_output=True, check=True, text=True).stdout.strip()


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
    assert provenance["commit"] == commit_of_package()
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


def test_tables_come_back_from_files(finished, tmp_path):
    rows = finished[1]
    save_table(rows, tmp_path / "rows.parquet")
    read = pd.read_parquet(tmp_path / "rows.parquet")
    assert list(read.columns) == COLUMNS
    for name in COLUMNS:
        np.testing.assert_array_equal(read[name].to_numpy(), rows[name].to_numpy())
    save_table(rows, tmp_path / "rows.csv")
    with open(tmp_path / "rows.csv", newline="", encoding="utf-8") as stream:
        written = list(csv.DictReader(stream))
    for name in COLUMNS:
        texts = ["" if value != value else str(value) for value in rows[name].tolist()]
        assert [line[name] for line in written] == texts
    with pytest.raises(ValueError, match=r"must end in \.parquet or \.csv"):
        save_table(rows, tmp_path / "rows.xls")
    assert sorted(os.listdir(tmp_path)) == ["rows.csv", "rows.parquet"]


def test_a_store_without_results_gives_empty_tables(tmp_path):
    Store.create(tmp_path, ss._core.LEVEL)
    found = collect(SMALL, tmp_path)
    assert found.counts() == {"done": 0, "failed": 0, "running": 0, "missing": 32}
    assert found.rows.empty
    assert list(found.rows.columns) == COLUMNS
    assert set(found.to_xarray().sizes.values()) == {0}


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
    assert failure["configuration"]["setting"]["training"]["learning_rate"] == 1e38
    again = run_here(sweep, tmp_path)
    assert (again.ran, again.failed) == (0, 2)
    assert Store(tmp_path).failure(table["key"][0]) == failure
    run_here(sweep, tmp_path, retry_failed=True)
    assert Store(tmp_path).failure(table["key"][0])["finished"] > failure["finished"]
    assert len(collect(sweep, tmp_path).rows) == 2 * 2 * 4
