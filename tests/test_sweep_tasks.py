"""Custom tasks in a sweep: from Python, from a file, in worker processes."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest

from schurscope import Cell, Sweep, SweepTask, Trials
from schurscope.sweep import SweepError, collect, plan, run
from schurscope.sweep.plan import Job, Setting
from schurscope.training import TrainingOptions
from schurscope.trials.tasks import Copy, FlipFlop
from small_sweeps import MAIN, SMALL, TRAINING, run_here

MODULE = '''
from dataclasses import dataclass

import numpy as np

from schurscope import Trials


@dataclass(frozen=True)
class Running:
    """Sum of the last `length` inputs, for trained steps only one of which is new."""

    length: int = 3
    n_steps: int = 8
    name = "running-sum"
    n_inputs = n_outputs = 1

    def trials(self, n_trials, rng, dtype=np.float64):
        inputs = rng.standard_normal((n_trials, self.n_steps, 1))  # a Generator, not a seed
        sums = np.cumsum(inputs, axis=1)
        sums[:, self.length :] -= sums[:, : -self.length].copy()
        return Trials(inputs, sums).astype(dtype)


class Signs:
    """Signs of the inputs; no dataclass, but it says what it is."""

    name = "signs"
    measure = "replay_accuracy"
    n_inputs = n_outputs = 2

    def __init__(self, scale):
        self.scale = scale

    def __repr__(self):
        return f"Signs({self.scale})"

    def trials(self, n_trials, rng, dtype=np.float64):
        inputs = self.scale * rng.standard_normal((n_trials, 6, 2))
        return Trials(inputs, np.sign(inputs)).astype(dtype)


class Nameless(Signs):
    __repr__ = object.__repr__


def made(n_steps=5):
    return Running(2, n_steps)


task = Running(4)
signs = Signs(1.0)
number = 3
'''
CONFIG = """\
widths = [8]
seeds = 2
evaluation_trials = 16
training = { epochs = 1, batches_per_epoch = 4, batch_size = 4 }
[[tasks]]
task = "running_sums:Running"
length = 2
evaluation.n_steps = 12
[[tasks]]
task = "running_sums:Signs"
scale = 2.0
evaluation.scale = 3.0
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The module of a user, importable here and, since they inherit the path, by the workers."""
    (tmp_path / "running_sums.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("running_sums")
    sys.modules.pop("running_sums", None)


def loaded(tmp_path, tasks):
    path = tmp_path / "sweep.toml"
    path.write_text(CONFIG[: CONFIG.index("[[tasks]]")] + tasks)
    return Sweep.load(path)


def test_a_task_of_ones_own_runs_in_processes_as_in_a_thread(module, tmp_path):
    sweep = replace(SMALL, tasks=[module.Running(), SweepTask(module.Signs(1.0), gate=0.5)])
    assert run(sweep, tmp_path / "processes", n_workers=2).done == 16
    run_here(sweep, tmp_path / "thread")
    rows = collect(sweep, tmp_path / "thread").rows
    pd.testing.assert_frame_equal(
        collect(sweep, tmp_path / "processes").rows, rows, check_exact=True
    )
    measures = {
        (task, measure) for task, measure in zip(rows["task"], rows["measure"], strict=True)
    }
    assert measures == {("running-sum", "fvu"), ("signs", "replay_accuracy")}


def test_a_file_names_a_task_by_module_and_name(module, tmp_path):
    sweep = loaded(tmp_path, CONFIG[CONFIG.index("[[tasks]]") :])
    running, signs = sweep.tasks
    assert running.task == module.Running(length=2)
    assert running.evaluation == module.Running(length=2, n_steps=12)
    assert (repr(signs.task), repr(signs.evaluation)) == ("Signs(2.0)", "Signs(3.0)")
    for text, made in {
        "task": module.Running(4),
        "made": module.Running(2, 5),
        'task"\nlength = 6\nlabel = "long': module.Running(6),
        'made"\nn_steps = 7\nlabel = "made': module.Running(2, 7),
    }.items():
        assert loaded(tmp_path, f'[[tasks]]\ntask = "running_sums:{text}"\n').tasks[0].task == made


@pytest.mark.usefixtures("module")
def test_the_command_line_runs_a_task_of_ones_own(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(CONFIG)
    command = [*MAIN, "run", str(path), "--store", str(tmp_path / "s"), "--workers", "2"]
    ways = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": ways}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert collect(Sweep.load(path), tmp_path / "s").counts()["done"] == 4


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("nowhere:task", 6, "'nowhere:task' cannot be imported: No module named 'nowhere'.*PYTHON"),
        ("running_sums:tsk", 6, "has no attribute 'tsk'"),
        ("running_sums:number", 5, "task must be a task, or a class or function of one, got 3"),
        ("running_sums:Nameless", 5, r"missing 1 required positional argument: 'scale'"),
        ('running_sums:Nameless"\nscale = "x', 6, "must have a repr that shows its parameters"),
        ('running_sums:signs"\nscale = "x', 5, "is not a dataclass: it cannot take scale"),
        ('running_sums:task"\nlenght = "x', 7, "did you mean 'length'"),
    ],
)
@pytest.mark.usefixtures("module")
def test_a_task_that_cannot_be_is_an_error_that_names_the_line(tmp_path, name, line, message):
    with pytest.raises(ValueError, match=message) as error:
        loaded(tmp_path, f'[[tasks]]\ntask = "{name}"\n')
    assert f"line {line}" in str(error.value)


def test_tasks_that_no_worker_could_have_are_refused(module):
    class Local(module.Running):
        pass

    with pytest.raises(SweepError, match=r"goes to worker processes.*top level of a module"):
        SweepTask(Local())
    with pytest.raises(SweepError, match="make Nameless a dataclass or define its __repr__"):
        SweepTask(module.Nameless(1.0))
    empty = module.Signs(1.0)
    empty.n_inputs = 0
    with pytest.raises(SweepError, match="n_inputs of task must be at least 1"):
        SweepTask(empty)


def test_a_worker_that_cannot_import_a_task_says_so_and_no_job_is_to_blame(
    module, tmp_path, monkeypatch
):
    sweep = replace(SMALL, tasks=[module.Running()])
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(tmp_path)])
    with pytest.raises(ImportError, match="a worker process cannot load a task: No module named"):
        run(sweep, tmp_path / "store", n_workers=1)
    assert collect(sweep, tmp_path / "store").counts() == {
        "done": 0,
        "failed": 0,
        "running": 0,
        "missing": 8,
    }


def test_a_task_whose_trials_are_none_is_an_error_before_any_work(module, tmp_path, monkeypatch):
    monkeypatch.setattr(module.Running, "trials", lambda *_: {"inputs": 3})
    sweep = replace(SMALL, tasks=[module.Running()])
    with pytest.raises(TypeError, match=r"task\.trials\(\) must return Trials, got dict"):
        run_here(sweep, tmp_path / "store")


# What a job is known by.


@dataclass(frozen=True)
class LongerSetting(Setting):
    extra: int = 0


@dataclass(frozen=True)
class LongerJob(Job):
    extra: int = 0


@dataclass(frozen=True)
class LongerOptions(TrainingOptions):
    extra: int = 0


@dataclass(frozen=True)
class LongerCell(Cell):
    extra: int = 0


@dataclass(frozen=True)
class Titled(Job):
    title: str = field(default="", metadata={"plain": None})


def test_a_field_that_no_one_thought_of_changes_the_hash():
    job = plan(SMALL)[0]
    setting = job.setting

    def with_setting(**changes):
        return replace(job, setting=replace(setting, **changes))

    others = [
        LongerJob(**vars_of(job)),
        LongerJob(**vars_of(job), extra=1),
        replace(job, setting=LongerSetting(**vars_of(setting))),
        replace(job, setting=LongerSetting(**vars_of(setting), extra=1)),
        with_setting(training=LongerOptions(**vars(setting.training))),
        with_setting(training=LongerOptions(**vars(setting.training), extra=1)),
        with_setting(cell=LongerCell()),
        with_setting(cell=LongerCell(extra=1)),
    ]
    assert len({other.key for other in (job, *others)}) == 1 + len(others)
    assert Titled(**vars_of(job), title="anything").key == job.key
    assert with_setting(label="anything").key == job.key


def vars_of(item):
    return {name: getattr(item, name) for name in item.__dataclass_fields__}


@dataclass(frozen=True)
class Stored:
    """Trials from an array: a task whose parameters are long."""

    inputs: np.ndarray
    name = "stored"
    n_inputs = n_outputs = 1

    def trials(self, n_trials, rng, dtype=np.float64):
        chosen = self.inputs[rng.integers(len(self.inputs), size=n_trials)]
        return Trials(chosen, chosen).astype(dtype)


def test_every_digit_of_a_tasks_parameters_counts():
    inputs = np.linspace(0, 1, 3000).reshape(300, 10, 1)
    other = inputs.copy()
    other[150, 5, 0] += 1e-15
    keys = [plan(replace(SMALL, tasks=[Stored(each)]))[0].key for each in (inputs, other)]
    with np.printoptions(precision=2):
        keys.append(plan(replace(SMALL, tasks=[Stored(inputs)]))[0].key)
    assert keys[0] == keys[2] != keys[1]


# Constructions and entropy of a task.


def test_a_task_may_have_its_own_constructions_and_random_numbers():
    sweep = replace(
        SMALL,
        tasks=[
            SweepTask(FlipFlop(), constructions=["normal"], entropy=7, label="first"),
            SweepTask(Copy(), entropy=7),
            SMALL.tasks[1],
        ],
    )
    jobs = plan(sweep)
    kinds = {(job.setting.label, job.recurrent) for job in jobs}
    both = {(label, one) for label in ("copy", "sine") for one in ("orthogonal", "cayley")}
    assert kinds == both | {("first", "normal")}
    expected = np.random.SeedSequence([7, 1]).spawn(6)
    for job in jobs:
        if job.seed == 1 and job.setting.label != "sine":
            for stream, child in zip(job.streams().values(), expected, strict=True):
                assert stream.random() == np.random.default_rng(child).random()
    assert {job.key for job in jobs if job.setting.label == "sine"} <= {j.key for j in plan(SMALL)}
    of_sweep = replace(sweep, tasks=[FlipFlop()], constructions=["normal"], entropy=7)
    assert plan(of_sweep)[0].key != jobs[0].key
    with pytest.raises(SweepError, match="constructions must be one of"):
        SweepTask(FlipFlop(), constructions=["odd"])
    with pytest.raises(SweepError, match="entropy must be at least 0"):
        SweepTask(FlipFlop(), entropy=-1)
    with pytest.raises(SweepError, match="widths must be even"):
        replace(SMALL, tasks=[SweepTask(FlipFlop(), constructions=["normal"])], widths=[7])


def test_several_sweeps_are_one_run(tmp_path):
    second = replace(SMALL, tasks=[SweepTask(FlipFlop(n_steps=6))], training=TRAINING, alphas=[0.5])
    first = replace(SMALL, widths=[8])
    outcome = run([first, second], tmp_path, n_workers=1)
    assert (outcome.total, outcome.ran) == (24, 24)
    for sweep in (first, second):
        assert set(collect(sweep, tmp_path).jobs["state"]) == {"done"}
