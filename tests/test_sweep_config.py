"""Sweeps: valid and invalid configurations, and the jobs they define."""

from __future__ import annotations

import inspect
import pickle
import re
import textwrap
from dataclasses import replace

import pytest

import schurscope.sweep
from schurscope import Cell, Sweep, SweepTask
from schurscope.sweep import SweepError, plan, shard
from schurscope.trials.tasks import Copy, FlipFlop, SineGeneration
from small_sweeps import CONFIG, SLOW, SMALL, TRAINING

TASK = '[[tasks]]\ntask = "flip-flop"\n'


def test_a_file_says_what_the_dataclass_says(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(CONFIG)
    assert Sweep.load(path) == SLOW
    path.write_text(
        """
        widths = [32]
        seeds = [3, 5]
        training.epochs = 2
        cell = { activation = "relu", leak = 0.5 }
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
        cell=Cell("relu", leak=0.5),
    )


def test_the_example_of_the_documentation_is_a_sweep(tmp_path):
    text = inspect.getdoc(schurscope.sweep)
    example = re.search(r"    # widths\.toml\n(.*?)\nOn the command line", text, re.DOTALL)[1]
    path = tmp_path / "widths.toml"
    path.write_text(textwrap.dedent(example), encoding="utf-8")
    sweep = Sweep.load(path)
    assert len(plan(sweep)) == 2 * 2 * 3 * 20
    assert sweep.tasks[1].evaluation == Copy(horizon=128)
    assert sweep.cell == Cell("relu", leak=0.2)


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
        ("widths = [8]\nseeds = '3'\n" + TASK, 2, "seeds must be a list or a number, got '3'"),
        ("widths = [8]\nseeds = 2.5\n" + TASK, 2, "seeds must be a list or a number, got 2.5"),
        ("widths = [8]\nalphas = [1.5]\n" + TASK, 2, r"alphas must be in \(0, 1\]"),
        ("widths = [8]\nablations = ['RC']\n" + TASK, 2, "ablations must be one of.*'RC'"),
        ("widths = [8]\ndtype = 'half'\n" + TASK, 2, "dtype must be float32 or float64"),
        ("widths = [7]\nconstructions = ['normal']\n" + TASK, 1, "widths must be even.*got 7"),
        ("widths = [8]\n[training]\nepochs = 0\n" + TASK, 3, "epochs must be at least 1"),
        ("widths = [8]\n[training]\nepoch = 9\n" + TASK, 3, "did you mean 'epochs'"),
        ("widths = [8]\n[cell]\nlaek = 0.5\n" + TASK, 3, "did you mean 'leak'"),
        ("widths = [8]\n[cell]\nleak = 2.0\n" + TASK, 3, r"leak must lie in \(0, 1\], got 2"),
        ("widths = [8]\n[cell]\nleak = [0.5, 0.2]\n" + TASK, 3, "one leak for .* leaks of 2 units"),
        ("widths = [8]\n[cell]\nreadout = 'hidden'\n" + TASK, 3, "readout must be 'rates'"),
        ("cell = 3\nwidths = [8]\n" + TASK, 1, "cell must be a table"),
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


def test_tasks_and_cells_of_another_kind_are_refused():
    with pytest.raises(SweepError, match=r"cell must be a schurscope\.Cell, got 'relu'"):
        Sweep(tasks=[FlipFlop()], widths=[8], cell="relu")
    with pytest.raises(
        SweepError, match=r"task must have name, n_inputs, n_outputs and trials\(\), got <object"
    ):
        Sweep(tasks=[object()], widths=[8])
    with pytest.raises(SweepError, match=r"got 'sine'; write ss\.task_named\('sine'\)"):
        Sweep(tasks=["sine"], widths=[8])
    with pytest.raises(SweepError, match=r"FlipFlop'>; write FlipFlop\(…\), an instance"):
        Sweep(tasks=[FlipFlop], widths=[8])


def test_what_is_no_text_and_what_is_no_sweep_is_said(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"sweep\.toml is not a TOML file: it is not UTF-8 text"):
        Sweep.load(path)
    told = r"sweep must be a schurscope\.Sweep, got 'a\.toml'; Sweep\.load reads files"
    with pytest.raises(TypeError, match=told):
        plan("a.toml")
    with pytest.raises(TypeError, match=told):
        schurscope.sweep.run("a.toml", tmp_path / "store")
    assert not (tmp_path / "store").exists()


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
        replace(base, cell=Cell(noise=0.1)),
    ]
    keys = {plan(other)[0].key for other in others}
    assert len(keys) == len(others)
    assert key not in keys
    assert plan(base, level="another")[0].key != key
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
    assert len(set(draws)) == 6 * 32


def test_shards_part_a_plan():
    jobs = plan(SMALL)
    shards = [shard(jobs, index, 3) for index in range(3)]
    assert sorted(job.key for part in shards for job in part) == sorted(job.key for job in jobs)
    costs = [sum(job.cost for job in part) for part in shards]
    assert max(costs) < 1.25 * min(costs)
    with pytest.raises(ValueError, match="index must be less than count = 3, got 3"):
        shard(jobs, 3, 3)
