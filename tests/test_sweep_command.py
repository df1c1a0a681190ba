"""``schurscope sweep``: output, files and errors of each command."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import schurscope
from schurscope.cli import main
from schurscope.sweep import Progress, Store, Sweep, collect, plan
from schurscope.sweep.progress import duration
from schurscope.sweep.store.claims import Runner
from small_sweeps import assert_complete

CONFIG = """
widths = [8, 12]
seeds = 3
ablations = ["RR", "CR", "CC"]
evaluation_trials = 32
training = { epochs = 1, batches_per_epoch = 20, batch_size = 8 }

[[tasks]]
task = "flip-flop"
n_steps = 8

[[tasks]]
task = "sine"
n_steps = 8
gate = 9.0
"""


def call(*arguments):
    return CliRunner().invoke(main, ["sweep", *map(str, arguments)])


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "widths.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def store(config, tmp_path_factory):
    """The finished sweep: two shards, one after the other."""
    root = tmp_path_factory.mktemp("finished") / "store"
    first = call("run", config, "--store", root, "--workers", 1, "--shard", "0/2")
    assert first.exit_code == 0, first.output
    assert "6 of 6 jobs are in" in first.output
    status = call("status", config, "--store", root).output
    assert status == "6 of 12 jobs done, 0 running, 0 failed, 6 missing\n"
    other = Runner(root)
    left = [job.key for job in plan(Sweep.load(config)) if not Store(root).has(job.key)]
    assert other.claim(left[0])
    status = call("status", config, "--store", root).output
    assert "6 of 12 jobs done, 1 running, 0 failed, 5 missing\nabout " in status
    other.close()
    assert call("run", config, "--store", root, "--workers", 1, "--shard", "1/2").exit_code == 0
    return root


def test_help_shows_an_example():
    text = call("--help").output
    assert "Example:\n" in text
    for command in ("plan", "run", "status", "missing", "collect", "plot"):
        assert command in text
        assert call(command, "--help").exit_code == 0


def test_plan_counts_the_jobs(config):
    text = call("plan", config).output
    assert "flip-flop: 6 networks, 20 updates each" in text
    assert "orthogonal: N_h 8 (3), 12 (3)" in text
    assert text.endswith("12 jobs in all\n")


def test_plan_shows_the_constructions_of_each_task():
    text = call("plan", Path(schurscope.__file__).parent / "reproduce/paper/copy.toml").output
    assert "copy-orthogonal: 6 networks, 25000 updates each\n  orthogonal: N_h 72 (6)\n" in text
    assert "copy-cayley: 6 networks, 25000 updates each\n  cayley: N_h 72 (6)\n" in text


def test_a_run_by_shards_is_the_whole_and_a_second_does_nothing(config, store):
    assert_complete(Sweep.load(config), store, collect(Sweep.load(config), store).rows)
    again = call("run", config, "--store", store)
    assert "12 of 12 jobs are in" in again.output
    assert ", 0 done in " in again.output
    assert call("status", config, "--store", store).output.startswith("12 of 12 jobs done")
    missing = call("missing", config, "--store", store)
    assert (missing.exit_code, missing.output) == (0, "")


def test_collect_writes_the_table(config, store, tmp_path):
    arguments = ["collect", config, "--store", store]
    result = call(*arguments, "--out", tmp_path / "t.parquet", "--jobs", tmp_path / "j.csv")
    assert result.exit_code == 0, result.output
    assert "wrote 48 rows" in result.output
    assert "12 done, 0 failed, 0 running, 0 missing; 6 below their gate" in result.output
    rows = collect(Sweep.load(config), store).rows
    read = pd.read_parquet(tmp_path / "t.parquet")
    assert list(read["value"]) == list(rows["value"])
    assert len(pd.read_csv(tmp_path / "j.csv")) == 12
    assert call(*arguments, "--out", tmp_path / "t.nc").exit_code == 0
    wrong = call(*arguments, "--out", tmp_path / "t.txt")
    assert wrong.exit_code == 2
    assert "must end in .parquet or .csv or .nc" in wrong.output
    nowhere = call(
        *arguments, "--out", tmp_path / "t.csv", "--jobs", tmp_path / "nowhere" / "j.csv"
    )
    assert nowhere.exit_code == 2
    assert "does not exist" in nowhere.output
    assert sorted(os.listdir(tmp_path)) == ["j.csv", "t.nc", "t.parquet"]


def test_the_arrays_of_a_file_are_those_of_the_rows(config, store, tmp_path):
    import xarray

    call("collect", config, "--store", store, "--out", tmp_path / "t.nc")
    written = collect(Sweep.load(config), store).to_xarray()
    with xarray.open_dataset(tmp_path / "t.nc") as read:
        for name in ("value", "n_R", "baseline"):
            xarray.testing.assert_equal(read[name], written[name])


def test_plot_writes_figures_and_statistics(config, store, tmp_path):
    result = call("plot", config, "--store", store, "--out", tmp_path / "figures")
    assert result.exit_code == 0, result.output
    kinds = [f"{task}-orthogonal-alpha0.9" for task in ("flip-flop", "sine")]
    figures = {f"{kind}-{name}.png" for kind in kinds for name in ("effects", "widths")}
    questions = ("summarize", "effects", "paired_differences", "against_width")
    tables = {f"{name}{of}.csv" for name in questions for of in ("", "-sensitivity")}
    assert set(os.listdir(tmp_path / "figures")) == figures | tables


def test_what_failed_and_what_is_damaged_is_listed_with_its_reason(tmp_path):
    bad = tmp_path / "bad.toml"
    bad.write_text(CONFIG.replace("gate = 9.0", "training.learning_rate = 1e38"))
    root = tmp_path / "store"
    result = call("run", bad, "--store", root, "--workers", 1)
    assert result.exit_code == 1
    assert "6 jobs failed: see schurscope sweep missing" in result.output
    store, keys = Store(root), [job.key for job in plan(Sweep.load(bad))]
    store.record_path(keys[0]).write_bytes(b"half")
    runner = Runner(root)
    store.discard(keys[1])
    assert runner.claim(keys[1])
    missing = call("missing", bad, "--store", root, "--traceback")
    assert missing.exit_code == 1
    lines = missing.output.splitlines()
    assert lines[0].startswith(f"{keys[0]}  missing  flip-flop, N_h 8, orthogonal, seed 0: ")
    assert "damaged" in lines[0]
    assert lines[1].startswith(f"{keys[1]}  running  flip-flop, N_h 8, orthogonal, seed 1")
    assert lines[2].startswith(f"{keys[6]}  failed  sine, N_h 8, orthogonal, seed 0: Floating")
    assert lines[3] == "Traceback (most recent call last):"
    assert "lower learning_rate" in missing.output
    runner.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shard", "2/2"], "must be INDEX/COUNT with 0 <= INDEX < COUNT, got '2/2'"),
        (["--shard", "x"], "must be INDEX/COUNT"),
        (["--stop-after", "50"], "must be a time such as 90s, 50m or 2h, got '50'"),
        (["--stop-after", "-1m"], "must be positive, got '-1m'"),
        (["--workers", "0"], "0 is not in the range"),
    ],
)
def test_bad_options_are_usage_errors(config, tmp_path, arguments, message):
    result = call("run", config, "--store", tmp_path / "store", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "store").exists()


def test_a_bad_file_and_a_folder_that_is_no_store_are_one_line(tmp_path, config):
    bad = tmp_path / "bad.toml"
    bad.write_text(CONFIG.replace("widths", "width"))
    result = call("run", bad, "--store", tmp_path / "store")
    assert result.exit_code == 1
    assert "bad.toml, line 2: a sweep has no 'width'" in result.output
    assert "did you mean 'widths'?" in result.output
    for command in ("status", "missing"):
        result = call(command, config, "--store", tmp_path)
        assert result.exit_code == 1
        assert "is not a sweep's store" in result.output
        result = call(command, config, "--store", bad)
        assert result.exit_code == 1
        assert "the store must be a folder, got the file" in " ".join(result.output.split())


def test_status_counts_jobs_of_other_settings(store, tmp_path):
    changed = tmp_path / "changed.toml"
    changed.write_text(CONFIG.replace("[8, 12]", "[8]").replace("epochs = 1", "epochs = 2"))
    lines = call("status", changed, "--store", store).output.splitlines()
    assert lines[0] == "0 of 6 jobs done, 0 running, 0 failed, 6 missing"
    assert lines[1] == f"12 finished jobs in {store} are of other settings"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_one_line_on_a_terminal_and_a_line_now_and_then_in_a_file():
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        progress = Progress(stream)
        for count in range(5):
            progress.show(count, 5, 1, 0, 90.0, last=False)
        progress.say("a job failed")
        progress.show(5, 5, 0, 0, None, last=True)
    assert terminal.getvalue().count("\n") == 2
    assert "\r\x1b[K0 of 5 jobs done, 1 running, 0 failed, 1 min 30 s left" in terminal.getvalue()
    assert file.getvalue() == (
        "0 of 5 jobs done, 1 running, 0 failed, 1 min 30 s left\n"
        "a job failed\n"
        "5 of 5 jobs done, 0 running, 0 failed\n"
    )


def test_durations_are_said_as_people_do():
    assert [duration(s) for s in (0.4, 59, 200, 18720)] == [
        "0 s",
        "59 s",
        "3 min 20 s",
        "5 h 12 min",
    ]
