"""The paper's experiments: what a run leaves, what a rerun reuses, how it compares."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from rich.console import Console

from schurscope import Network, ablate
from schurscope.reproduce import EXPERIMENTS, PAPER, quick, reproduce
from schurscope.reproduce.jobs import Job, load_job
from schurscope.reproduce.runner import run_jobs
from schurscope.reproduce.summary import statistics, verdict

QUICK = {experiment.name: quick(experiment) for experiment in EXPERIMENTS}


def run(out, *groups, **options):
    """What a run prints, its outcome and its rows."""
    console = Console(file=io.StringIO(), width=120)
    outcome, rows = reproduce(
        groups or ("copy", "neuroscience"), out=out, console=console, **options
    )
    return console.file.getvalue(), outcome, rows


def table(path):
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("quick") / "results"
    return out, *run(out, is_quick=True)


@pytest.fixture
def quick_copy(quick_run, tmp_path):
    """A folder of its own with the quick run's results."""
    return Path(shutil.copytree(quick_run[0], tmp_path / "results"))


def test_a_run_leaves_tables_figures_networks_and_a_report(quick_run):
    out, _, outcome, rows = quick_run
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["mode"] == "quick"
    assert set(report["groups"]) == {"copy", "neuroscience"}
    for path in report["files"]:
        assert (out / path).stat().st_size > 0
    tables = {path.name for path in (out / "tables").iterdir()}
    assert tables == {
        "copy_seeds.csv",
        "copy_summary.csv",
        "copy_accuracy_per_lag.csv",
        "neuroscience_seeds.csv",
        "neuroscience_summary.csv",
    }
    figures = {path.name for path in (out / "figures").iterdir()}
    stems = {"copy_subsets", "copy_accuracy_per_lag", "neuroscience_change"}
    stems |= {"neuroscience_sensitivity", "neuroscience_trajectories"}
    stems |= {f"coordinates_{name}" for name in QUICK}
    assert figures == {f"{stem}.{suffix}" for stem in stems for suffix in ("png", "pdf")}
    assert len(outcome.records) == 10
    assert outcome.failures == {}
    group = report["groups"]["copy"]
    assert (
        group["environment"]["schurscope"]
        == report["groups"]["copy"]["jobs"][0]["settings"][0]["version"]
    )
    assert group["run"]["seeds"] == [0, 1]
    assert [job["entropy"] for job in group["jobs"]] == [
        QUICK[name].entropy(seed) for name in ("copy-orthogonal", "copy-cayley") for seed in (0, 1)
    ]
    n_summaries = sum(len(section["summary"]) for section in report["groups"].values())
    assert n_summaries == len(rows)


def test_a_quick_run_says_so_everywhere(quick_run):
    out, text, _, rows = quick_run
    assert text.count("QUICK") > 20
    assert "not to be compared" in text
    assert "MISS" not in text
    assert {row.verdict for row in rows} == {"", "QUICK"}
    for path in (out / "tables").iterdir():
        assert {row["mode"] for row in table(path)} == {"quick"}
    for path in [out / "run.json", *(out / "jobs").iterdir()]:
        content = json.loads(path.read_text(encoding="utf-8"))
        assert content.get("configuration", content)["mode"] == "quick"


@pytest.mark.parametrize("name", QUICK)
def test_every_number_follows_from_the_saved_network_and_the_seed(quick_run, name):
    out = quick_run[0]
    experiment, seed = QUICK[name], 1
    network = Network.load(out / "networks" / f"{name}-seed{seed}.npz")
    trials = experiment.evaluation_task.trials(
        experiment.evaluation_trials, experiment.streams(seed)["evaluation"], np.float32
    )
    seeds = table(out / "tables" / f"{experiment.group}_seeds.csv")
    mine = [row for row in seeds if row["experiment"] == name and row["seed"] == str(seed)]
    assert len(mine) == len(experiment.alphas) * len(experiment.ablations)
    for alpha in experiment.alphas:
        profile = ablate(
            network,
            trials,
            alpha=alpha,
            ablations=experiment.ablations,
            measure=experiment.measure,
        )
        for row in mine:
            if float(row["alpha"]) != alpha:
                continue
            expected = profile[row["ablation"]]
            for column in ("value", "change", "removed_mass"):
                assert float(row[column]) == getattr(expected, column)
            assert row["vacuous"] == str(expected.vacuous)
            assert row["sensitivity"] == (
                "" if np.isnan(expected.sensitivity) else str(expected.sensitivity)
            )
            assert int(row["n_R"]) == profile.sectors.n_R
            assert float(row["value_low"]) <= expected.value <= float(row["value_high"])


def test_summaries_are_the_statistics_of_the_seeds(quick_run):
    out = quick_run[0]
    seeds = table(out / "tables" / "neuroscience_seeds.csv")
    for row in table(out / "tables" / "neuroscience_summary.csv"):
        if row["quantity"] != "change" or row["ablation"] == "full":
            continue
        values = [
            float(line["change"])
            for line in seeds
            if (line["experiment"], line["ablation"]) == (row["experiment"], row["ablation"])
        ]
        assert float(row["mean"]) == pytest.approx(np.mean(values))
        assert float(row["sem"]) == pytest.approx(scipy.stats.sem(values))


def test_cayley_rows_are_vacuous(quick_run):
    out, text, _, rows = quick_run
    cayley = [row for row in rows if row.experiment == "copy-cayley" and row.ablation != "full"]
    assert {row.vacuous for row in cayley} == {2}
    assert {row.mean for row in cayley if row.quantity == "change"} == {0.0}
    assert {row.n for row in cayley if row.quantity == "sensitivity"} == {0}
    assert text.count("QUICK, vacuous") >= 13
    lines = [row for row in table(out / "tables" / "copy_seeds.csv") if row["ablation"] != "full"]
    assert {line["vacuous"] for line in lines if line["recurrent"] == "cayley"} == {"True"}


def test_a_rerun_reuses_what_is_complete(quick_copy):
    kept = [*(quick_copy / "networks").iterdir(), *(quick_copy / "jobs").iterdir()]
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in kept}
    text, outcome, _ = run(quick_copy, is_quick=True)
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in kept} == before
    assert len(outcome.reused) == 10
    assert text.count("reused, complete and valid") == 10
    assert "10 of 10 jobs reused" in text


def test_a_rerun_does_what_is_damaged_again(quick_copy):
    original = contents(quick_copy / "networks")
    jobs, networks = quick_copy / "jobs", quick_copy / "networks"
    truncated = jobs / "sine-seed0.json"
    truncated.write_bytes(truncated.read_bytes()[:1000])
    edited = jobs / "sine-seed1.json"
    edited.write_text(edited.read_text().replace('"last_loss": ', '"last_loss": 1'))
    flipped = networks / "flip-flop-seed0.npz"
    flipped.write_bytes(flipped.read_bytes()[:-200] + bytes(200))
    (networks / "flip-flop-seed1-loss.npy").unlink()
    (jobs / "context-integration-seed0.json").unlink()
    text, outcome, _ = run(quick_copy, "neuroscience", is_quick=True)
    assert outcome.reused == {"context-integration-seed1"}
    for message in (
        "sine-seed0: done again, its record is damaged",
        "sine-seed1: done again, its record is damaged",
        "flip-flop-seed0: done again, networks/flip-flop-seed0.npz is damaged",
        "flip-flop-seed1: done again, networks/flip-flop-seed1-loss.npy is missing",
    ):
        assert message in text
    assert contents(quick_copy / "networks") == original
    # The report keeps the section of the group that this run did not touch.
    report = json.loads((quick_copy / "report.json").read_text(encoding="utf-8"))
    assert set(report["groups"]) == {"copy", "neuroscience"}


def test_results_do_not_depend_on_how_many_jobs_run_at_once(quick_run, tmp_path):
    run(tmp_path, "neuroscience", is_quick=True, n_jobs=1, n_threads=3)
    for name in ("neuroscience_seeds.csv", "neuroscience_summary.csv"):
        assert table(tmp_path / "tables" / name) == table(quick_run[0] / "tables" / name)


def test_a_record_of_another_configuration_is_not_used(quick_run):
    experiment = QUICK["sine"]
    assert load_job(Job(experiment, 0, "quick"), quick_run[0])[0] is not None
    longer = replace(experiment, training={**experiment.training, "epochs": 9})
    for job in (Job(longer, 0, "quick"), Job(experiment, 0, "full")):
        record, reason = load_job(job, quick_run[0])
        assert record is None
        assert "another configuration" in reason
    assert load_job(Job(experiment, 7, "quick"), quick_run[0]) == (None, "")


def test_a_run_does_not_mix_with_one_of_the_other_mode(quick_copy):
    before = contents(quick_copy)
    with pytest.raises(ValueError, match="holds a quick run, this one is full"):
        run(quick_copy, is_quick=False)
    (quick_copy / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"damaged run\.json"):
        run(quick_copy, is_quick=True)
    (quick_copy / "run.json").write_bytes(before[quick_copy / "run.json"])
    assert contents(quick_copy) == before


def test_an_output_folder_that_cannot_be_used_is_an_error_before_any_work(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ValueError, match="out must be a folder, got the file"):
        run(file, is_quick=True)
    with pytest.raises(OSError, match="out must be a folder that can be written to"):
        run(file / "inside", is_quick=True)
    read_only = tmp_path / "read-only"
    read_only.mkdir(mode=0o555)
    if os.access(read_only, os.W_OK):  # the superuser writes everywhere but in /proc
        read_only = Path("/proc/schurscope")
    with pytest.raises(OSError, match="out must be a folder that can be written to"):
        run(read_only, is_quick=True)
    assert file.read_text() == "mine"


class Listener:
    """Keeps what it is told."""

    def __init__(self):
        self.told = []

    def reused(self, job):
        self.told.append(("reused", job.name))

    def redoing(self, job, reason):
        self.told.append(("redoing", job.name, reason))

    def advanced(self, job, done, total, loss):
        assert 0 < done <= total
        assert loss > 0
        self.told.append(("advanced", job.name))

    def finished(self, record):
        self.told.append(("finished", record.job.name))

    def failed(self, job, error):
        self.told.append(("failed", job.name, type(error)))


def test_a_job_that_fails_does_not_take_the_others_with_it(tmp_path):
    good = QUICK["flip-flop"]
    training = {**good.training, "epochs": 1}
    good = replace(good, training=training)
    bad = replace(good, name="bad", training={**training, "learning_rate": 1e38})
    for folder in ("networks", "jobs"):
        (tmp_path / folder).mkdir()
    listener = Listener()
    jobs = [Job(bad, 0, "quick"), Job(good, 0, "quick"), Job(good, 1, "quick")]
    outcome = run_jobs(jobs, tmp_path, n_jobs=2, n_threads=1, listener=listener)
    assert [record.job.name for record in outcome.records] == ["flip-flop-seed0", "flip-flop-seed1"]
    assert list(outcome.failures) == ["bad-seed0"]
    assert "lower learning_rate" in outcome.failures["bad-seed0"]
    assert ("failed", "bad-seed0", FloatingPointError) in listener.told
    assert not list(tmp_path.rglob("bad*"))


def test_streams_of_an_experiment_are_separate_and_repeatable():
    draws = {
        (experiment.name, seed, name): rng.random()
        for experiment in EXPERIMENTS
        for seed in range(3)
        for name, rng in experiment.streams(seed).items()
    }
    assert len(set(draws.values())) == len(EXPERIMENTS) * 3 * 4
    assert EXPERIMENTS[0].streams(2)["training"].random() == draws["copy-orthogonal", 2, "training"]


def test_statistics_are_mean_sem_and_t_interval():
    sample = [1.0, 2.0, 4.0, 4.5]
    mean, sem, low, high = statistics(sample)
    assert mean == pytest.approx(2.875)
    assert sem == pytest.approx(scipy.stats.sem(sample))
    interval = scipy.stats.t.interval(0.95, 3, loc=mean, scale=sem)
    np.testing.assert_allclose((low, high), interval)
    assert statistics([3.0])[0] == 3.0
    assert np.isnan(statistics([3.0])[1:]).all()
    assert np.isnan(statistics([])).all()


@pytest.mark.parametrize(
    ("experiment", "ablation", "quantity", "measure", "agrees", "misses"),
    [
        ("copy-orthogonal", "CR", "value", "replay_accuracy", [0.69, 0.575], [0.70, 0.57, np.nan]),
        ("copy-cayley", "full", "n_R", "replay_accuracy", [68.0], [67.0]),
        ("sine", "CR", "sensitivity", "fvu", [15.0, 31.0], [10.7, 32.0, -15.0, np.nan]),
        ("flip-flop", "RR", "change", "fvu", [0.0, -0.004], [0.006, -0.006, np.nan]),
    ],
)
def test_the_verdict_rule(experiment, ablation, quantity, measure, agrees, misses):
    paper = next(
        item
        for item in PAPER
        if (item.experiment, item.ablation, item.quantity) == (experiment, ablation, quantity)
    )
    assert [verdict(paper, mean, measure) for mean in agrees] == ["agrees"] * len(agrees)
    assert [verdict(paper, mean, measure) for mean in misses] == ["MISS"] * len(misses)


def test_every_published_value_belongs_to_an_experiment():
    known = {experiment.name: experiment for experiment in EXPERIMENTS}
    for item in PAPER:
        experiment = known[item.experiment]
        assert item.ablation in experiment.ablations
        assert set(item.alphas) <= set(experiment.alphas)
        assert item.source in ("Table 1", "Figure 1", "Figure 2")
    assert len({repr(item) for item in PAPER}) == len(PAPER)
