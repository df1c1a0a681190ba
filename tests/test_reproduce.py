"""The paper's experiments: files of a run, reuse by reruns, comparison with the paper."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import zlib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from click.testing import CliRunner
from rich.console import Console

from schurscope import Network, Sweep, SweepTask, ablate
from schurscope.cli import main
from schurscope.reproduce import GROUPS, PAPER, paper_sweep, reproduce
from schurscope.reproduce.experiments import TITLES
from schurscope.reproduce.records import job_name
from schurscope.reproduce.summary import verdict
from schurscope.sweep import Store, load_result, plan
from schurscope.trials.tasks import FlipFlop

QUICK = {
    job_name(job): (group, job)
    for group in GROUPS
    for job in plan(paper_sweep(group, is_quick=True))
}


def run(out, *groups, **options):
    """What a run prints, and what became of it."""
    console = Console(file=io.StringIO(), width=120)
    options = {"is_quick": True, "n_workers": 2, **options}
    return console.file, reproduce(groups or GROUPS, out=out, console=console, **options)


def call(*arguments):
    return CliRunner().invoke(main, ["reproduce", *map(str, arguments)])


def table(path):
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory):
    """Folder, what was printed, result."""
    out = tmp_path_factory.mktemp("quick") / "results"
    file, done = run(out)
    return out, file.getvalue(), done


@pytest.fixture
def quick_copy(quick_run, tmp_path):
    """A folder of its own with the quick run's results."""
    return Path(shutil.copytree(quick_run[0], tmp_path / "results"))


def test_a_run_leaves_tables_figures_networks_and_a_report(quick_run):
    out, _, done = quick_run
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
    stems |= {f"coordinates_{name}" for name in TITLES}
    assert figures == {f"{stem}.{suffix}" for stem in stems for suffix in ("png", "pdf")}
    networks = {path.name for path in (out / "networks").iterdir()}
    assert networks == {f"{name}{end}" for name in QUICK for end in (".npz", "-loss.npy")}
    assert [record.name for record in done.records] == list(QUICK)
    assert (done.outcome.ran, done.failures, done.missing) == (10, {}, 0)
    group = report["groups"]["copy"]
    assert (
        group["environment"]["versions"]["schurscope"] == group["jobs"][0]["settings"][0]["version"]
    )
    assert group["run"]["seeds"] == [0, 1]
    assert [job["entropy"]["root"] for job in group["jobs"]] == [
        [zlib.crc32(name.encode()), seed]
        for name in ("copy-orthogonal", "copy-cayley")
        for seed in (0, 1)
    ]
    n_summaries = sum(len(section["summary"]) for section in report["groups"].values())
    assert n_summaries == len(done.rows)


def test_a_quick_run_says_so_everywhere(quick_run):
    out, text, done = quick_run
    assert text.count("QUICK") > 20
    assert "not to be compared" in text
    assert "MISS" not in text
    assert {row.verdict for row in done.rows} == {"", "QUICK"}
    for path in (out / "tables").iterdir():
        assert {row["mode"] for row in table(path)} == {"quick"}
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["mode"] == "quick"


@pytest.mark.parametrize("name", [name for name in QUICK if name.endswith("1")])
def test_every_number_follows_from_the_saved_network_and_the_seed(quick_run, name):
    out = quick_run[0]
    group, job = QUICK[name]
    setting = job.setting
    network = Network.load(out / "networks" / f"{name}.npz")
    sequence = np.random.SeedSequence([zlib.crc32(setting.label.encode()), 1])
    evaluation, bootstrap = map(np.random.default_rng, sequence.spawn(4)[2:])
    trials = setting.evaluation.trials(setting.evaluation_trials, evaluation, np.float32)
    seeds = table(out / "tables" / f"{group}_seeds.csv")
    mine = [row for row in seeds if row["experiment"] == setting.label and row["seed"] == "1"]
    assert len(mine) == len(setting.alphas) * len(setting.ablations)
    for alpha in setting.alphas:
        profile = ablate(
            network,
            trials,
            alpha=alpha,
            ablations=setting.ablations,
            measure=setting.measure,
        )
        intervals = profile.interval(0.95, 2000, bootstrap)
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
            place = profile.names.index(row["ablation"])
            for quantity in ("value", "change"):
                ends = [float(row[f"{quantity}_{end}"]) for end in ("low", "high")]
                assert ends == getattr(intervals, quantity)[place].tolist()


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
        if float(row["sem"]) > 0:
            interval = scipy.stats.t.interval(0.95, 1, np.mean(values), scipy.stats.sem(values))
            assert (float(row["t_low"]), float(row["t_high"])) == pytest.approx(interval)


def test_cayley_rows_are_vacuous(quick_run):
    out, text, done = quick_run
    cayley = [
        row for row in done.rows if row.experiment == "copy-cayley" and row.ablation != "full"
    ]
    assert {row.vacuous for row in cayley} == {2}
    assert {row.mean for row in cayley if row.quantity == "change"} == {0.0}
    assert {row.n for row in cayley if row.quantity == "sensitivity"} == {0}
    assert text.count("QUICK, vacuous") >= 13
    lines = [row for row in table(out / "tables" / "copy_seeds.csv") if row["ablation"] != "full"]
    assert {line["vacuous"] for line in lines if line["recurrent"] == "cayley"} == {"True"}


@pytest.mark.slow
def test_a_rerun_reuses_what_is_complete_and_gives_the_same_tables(quick_copy):
    kept = list((quick_copy / "store" / "jobs").rglob("*.npz"))
    before = {path: path.stat().st_mtime_ns for path in kept}
    tables = contents(quick_copy / "tables")
    file, done = run(quick_copy)
    assert {path: path.stat().st_mtime_ns for path in kept} == before
    assert done.outcome.ran == 0
    assert "10 of 10 jobs were there already, complete and valid" in file.getvalue()
    assert contents(quick_copy / "tables") == tables


@pytest.mark.slow
def test_a_rerun_does_what_is_damaged_again(quick_copy):
    networks, tables = contents(quick_copy / "networks"), contents(quick_copy / "tables")
    store = Store(quick_copy / "store")
    keys = [QUICK[f"{name}-seed0"][1].key for name in ("sine", "flip-flop", "context-integration")]
    for path in (store.record_path(keys[0]), store.network_path(keys[1])):
        path.write_bytes(path.read_bytes()[:-200] + bytes(200))
    store.record_path(keys[2]).unlink()
    (quick_copy / "networks" / "sine-seed1.npz").write_bytes(b"half")
    file, done = run(quick_copy, "neuroscience")
    assert (done.outcome.total, done.outcome.ran) == (6, 3)
    assert file.getvalue().count("seed 0: running again") == 3
    assert contents(quick_copy / "networks") == networks
    assert contents(quick_copy / "tables") == tables
    # The report keeps the section of the group that this run did not touch.
    report = json.loads((quick_copy / "report.json").read_text(encoding="utf-8"))
    assert set(report["groups"]) == {"copy", "neuroscience"}


@pytest.mark.slow
def test_shards_share_the_work_and_the_last_makes_the_tables(quick_run, tmp_path):
    options = ["neuroscience", "--quick", "--jobs", "1", "--out", tmp_path / "results"]
    first = call(*options, "--shard", "1/2")
    assert first.exit_code == 0, first.output
    assert "3 of 6 jobs are not done yet" in first.output
    assert not list((tmp_path / "results" / "tables").iterdir())
    assert not (tmp_path / "results" / "report.json").exists()
    last = call(*options, "--shard", "0/2")
    assert last.exit_code == 0, last.output
    for name in ("neuroscience_seeds.csv", "neuroscience_summary.csv"):
        mine, whole = (folder / "tables" / name for folder in (tmp_path / "results", quick_run[0]))
        assert mine.read_bytes() == whole.read_bytes()


def test_a_run_that_stops_early_says_what_is_missing(tmp_path):
    stopped = call("copy", "--quick", "--jobs", "1", "--out", tmp_path, "--stop-after", "0.000001s")
    assert stopped.exit_code == 0, stopped.output
    assert "4 of 4 jobs are not done yet" in stopped.output


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Dask's own loose ends are not the package's
def test_dask_gives_the_same_tables(quick_run, tmp_path):
    options = ["neuroscience", "--quick", "--jobs", "2", "--out", tmp_path, "--dask", "local"]
    result = call(*options)
    assert result.exit_code == 0, result.output
    for name in ("neuroscience_seeds.csv", "neuroscience_summary.csv"):
        mine, whole = (folder / "tables" / name for folder in (tmp_path, quick_run[0]))
        assert mine.read_bytes() == whole.read_bytes()


def test_the_papers_files_are_sweeps_of_the_command_line():
    for group in GROUPS:
        path = files("schurscope.reproduce") / "paper" / f"{group}.toml"
        assert Sweep.load(path) == paper_sweep(group)
        planned = CliRunner().invoke(main, ["sweep", "plan", str(path)])
        assert planned.exit_code == 0
        assert planned.output.endswith(f"{len(plan(paper_sweep(group)))} jobs in all\n")


def test_seeds_that_were_done_are_part_of_a_larger_run():
    for group in GROUPS:
        few, many = ({job.key for job in plan(paper_sweep(group, seeds=seeds))} for seeds in (3, 0))
        assert few < many
        assert len(many) == 2 * len(few)


def test_a_run_does_not_mix_with_one_of_another_kind(quick_copy):
    before = contents(quick_copy)
    marker = quick_copy / "run.json"
    with pytest.raises(ValueError, match="holds a quick run, this one is full"):
        run(quick_copy, is_quick=False)
    marker.write_text("{")
    with pytest.raises(ValueError, match=r"damaged run\.json"):
        run(quick_copy)
    marker.write_text('{"format": "schurscope-run-1", "mode": "quick"}')
    with pytest.raises(ValueError, match=r"holds a quick run of another version.*another folder"):
        run(quick_copy)
    marker.write_bytes(before[marker])
    assert contents(quick_copy) == before


def test_an_output_folder_that_cannot_be_used_is_an_error_before_any_work(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ValueError, match="out must be a folder, got the file"):
        run(file)
    with pytest.raises(OSError, match="out must be a folder that can be written to"):
        run(file / "inside")
    read_only = tmp_path / "read-only"
    read_only.mkdir(mode=0o555)
    if os.access(read_only, os.W_OK):  # the superuser writes everywhere but in /proc
        read_only = Path("/proc/schurscope")
    with pytest.raises(OSError, match="out must be a folder that can be written to"):
        run(read_only)
    assert file.read_text() == "mine"


@pytest.mark.slow
def test_a_job_that_fails_does_not_take_the_others_with_it(tmp_path, monkeypatch):
    def broken(group, **_):
        good = SweepTask(FlipFlop(n_steps=8), training={"epochs": 1}, entropy=1)
        bad = replace(good, training={"epochs": 1, "learning_rate": 1e38}, label="sine")
        return replace(paper_sweep(group, is_quick=True), tasks=[bad, good], seeds=2)

    monkeypatch.setattr("schurscope.reproduce.paper_sweep", broken)
    file, done = run(tmp_path, "neuroscience")
    assert [record.name for record in done.records] == ["flip-flop-seed0", "flip-flop-seed1"]
    assert list(done.failures) == ["sine-seed0", "sine-seed1"]
    assert "lower learning_rate" in done.failures["sine-seed0"]
    assert "failed, FloatingPointError" in file.getvalue()
    assert "3-bit flip-flop" in file.getvalue()
    assert {path.name[:9] for path in (tmp_path / "networks").iterdir()} == {"flip-flop"}
    again = call("neuroscience", "--quick", "--jobs", 1, "--out", tmp_path)
    assert again.exit_code == 1
    assert "failed: sine-seed0, sine-seed1" in again.output


def test_a_store_reads_back_what_the_tables_say(quick_run):
    out, _, done = quick_run
    record = done.records[0]
    kept = load_result(Store(out / "store"), record.job.key)
    np.testing.assert_array_equal(kept.loss, np.load(out / "networks" / f"{record.name}-loss.npy"))
    assert record.profile(0.95).alpha == 0.95


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
    known = {job.setting.label: job.setting for _, job in QUICK.values()}
    assert set(known) == set(TITLES)
    for item in PAPER:
        setting = known[item.experiment]
        assert item.ablation in setting.ablations
        assert set(item.alphas) <= set(setting.alphas)
        assert item.source in ("Table 1", "Figure 1", "Figure 2")
    assert len({repr(item) for item in PAPER}) == len(PAPER) == 37
