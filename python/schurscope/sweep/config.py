"""What a sweep varies and what it holds fixed: a dataclass that is also a TOML file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from importlib import import_module
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from .._validation import (
    choice,
    float_dtype,
    fraction,
    nonnegative,
    nonnegative_int,
    positive,
    positive_int,
    real_number,
    shown,
    suggest,
)
from ..ablation import MEASURES, SUBSETS, Measure
from ..network import RECURRENT
from ..tasks import TASKS, Task, task_named
from ..training import OPTIMIZERS

__all__ = ["GATES", "Sweep", "SweepError", "SweepTask"]

GATES: Mapping[str, float] = MappingProxyType({"fvu": 0.1, "replay_accuracy": 0.9})
"""What the full network must reach to count as trained: at most this FVU, at least this accuracy.

A choice of this package; the paper's networks reach an FVU of 0.01 and an accuracy of 1.
"""

_Check = Callable[[object, str], Any]

_TRAINING: Mapping[str, _Check] = {
    "epochs": positive_int,
    "batches_per_epoch": positive_int,
    "batch_size": positive_int,
    "learning_rate": positive,
    "optimizer": lambda value, name: choice(value, name, OPTIMIZERS),
    "weight_decay": nonnegative,
    "clip": positive,
}
"""The options of `schurscope.train` that a sweep may set, and what each must be."""

_TRAINING_DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "epochs": 30,
        "batches_per_epoch": 128,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "optimizer": "adam",
        "weight_decay": 0.0,
        "clip": None,
    }
)


class SweepError(ValueError):
    """A sweep that cannot be; `where` are the keys that lead to the offender in a TOML file."""

    def __init__(self, where: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.where = where


@dataclass(frozen=True)
class SweepTask:
    """A task of a sweep: what its networks are trained on and judged by.

    Attributes
    ----------
    task : Task
        The trials to train on; one of the package's tasks.
    evaluation : Task, optional
        The trials to judge by; None means those of `task`.
    training : mapping
        Options of `schurscope.train` for this task, over those of the sweep.
    measure : {"fvu", "replay_accuracy"}, optional
        None means replay accuracy for the copy task and FVU for the others.
    gate : float, optional
        What the full network must reach, see `GATES`. Networks that do not are kept and marked.
    label : str, optional
        The name in tables and figures; None means the task's. Distinct within a sweep.

    Raises
    ------
    SweepError
        An argument is of the wrong kind, or the two tasks do not fit.
    """

    task: Task
    evaluation: Task | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    measure: Measure | None = None
    gate: float | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        for name in ("task", "evaluation"):
            task = getattr(self, name)
            if not (name == "evaluation" and task is None) and type(task) not in TASKS.values():
                known = ", ".join(sorted(kind.__name__ for kind in _kinds()))
                raise SweepError(
                    (name,), f"{name} must be one of the tasks {known}, got {shown(task)}"
                )
        if self.evaluation is None:
            object.__setattr__(self, "evaluation", self.task)
        assert self.evaluation is not None
        for channels in ("n_inputs", "n_outputs"):
            trained, judged = getattr(self.task, channels), getattr(self.evaluation, channels)
            if trained != judged:
                raise SweepError(
                    ("evaluation",), f"evaluation must have {channels} = {trained}, got {judged}"
                )
        if self.measure is None:
            measure = "replay_accuracy" if self.task.name == "copy" else "fvu"
            object.__setattr__(self, "measure", measure)
        with _at("measure"):
            choice(self.measure, "measure", MEASURES)
        with _at("gate"):
            gate = GATES[str(self.measure)] if self.gate is None else self.gate
            object.__setattr__(self, "gate", real_number(gate, "gate"))
        with _at("training"):
            object.__setattr__(self, "training", _training(self.training))
        label: object = self.task.name if self.label is None else self.label
        if not (isinstance(label, str) and label.isprintable() and label):
            raise SweepError(("label",), f"label must be printable text, got {shown(label)}")
        object.__setattr__(self, "label", label)

    def passes(self, baseline: float) -> bool:
        """Whether a full network of this FVU or accuracy counts as trained; NaN does not."""
        assert self.gate is not None
        if self.measure == "replay_accuracy":
            return baseline >= self.gate
        return baseline <= self.gate


@dataclass(frozen=True)
class Sweep:
    """Networks to train and take apart: every task × width × construction × seed.

    Attributes
    ----------
    tasks : sequence of SweepTask or Task
        At least one.
    widths : sequence of int
        N_h.
    constructions : sequence of {"default", "orthogonal", "normal", "cayley"}
        Of W_hh, see `schurscope.init_network`.
    seeds : int or sequence of int
        How many networks of each kind, or which; 3 stands for 0, 1, 2.
    training : mapping
        Options of `schurscope.train`.
    alphas : sequence of float
        Cuts of the spectrum, each in (0, 1].
    ablations : sequence of str
        Subsets such as ``"RR+CC"``; the full network always comes first.
    evaluation_trials : int
        Held-out trials by which each network is judged.
    dtype : {"float32", "float64"}
        Of the networks and their arithmetic.
    entropy : int
        Root of all random numbers.

    Raises
    ------
    SweepError
        An argument is of the wrong kind, empty, or names something twice.
    """

    tasks: Sequence[SweepTask | Task]
    widths: Sequence[int]
    constructions: Sequence[str] = ("orthogonal",)
    seeds: int | Sequence[int] = 3
    training: Mapping[str, Any] = field(default_factory=dict)
    alphas: Sequence[float] = (0.9,)
    ablations: Sequence[str] = SUBSETS
    evaluation_trials: int = 2048
    dtype: str = "float32"
    entropy: int = 0

    def __post_init__(self) -> None:
        tasks = _listed(self.tasks, "tasks", lambda task, _: _sweep_task(task))
        labels = [task.label for task in tasks]
        for place, label in enumerate(labels):
            if label in labels[:place]:
                raise SweepError(
                    ("tasks", place),
                    f"tasks must have distinct labels, got {label!r} twice; give one a label",
                )
        seeds: object = self.seeds
        if isinstance(seeds, int):
            with _at("seeds"):
                seeds = range(positive_int(seeds, "seeds"))
        ablations = _distinct(self.ablations, "ablations", lambda x, n: choice(x, n, SUBSETS))
        checked: dict[str, Any] = {
            "tasks": tasks,
            "widths": _distinct(self.widths, "widths", positive_int),
            "constructions": _distinct(
                self.constructions, "constructions", lambda x, n: choice(x, n, RECURRENT)
            ),
            "seeds": _distinct(seeds, "seeds", nonnegative_int),
            "alphas": _distinct(self.alphas, "alphas", fraction),
            "ablations": ("full", *(name for name in ablations if name != "full")),
        }
        odd = [width for width in checked["widths"] if width % 2]
        if "normal" in checked["constructions"] and odd:
            raise SweepError(
                ("widths",), f'widths must be even for the construction "normal", got {odd[0]}'
            )
        with _at("training"):
            checked["training"] = _training(self.training)
        with _at("evaluation_trials"):
            positive_int(self.evaluation_trials, "evaluation_trials")
        with _at("dtype"):
            checked["dtype"] = float_dtype(self.dtype).name
        with _at("entropy"):
            nonnegative_int(self.entropy, "entropy")
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Sweep:
        """Read a TOML file whose keys are the attributes; see the package for an example.

        Raises
        ------
        OSError
            The file cannot be read.
        ValueError
            It is not TOML or not a sweep; the message names the line.
        """
        text = Path(path).read_text(encoding="utf-8")
        toml = _toml()
        try:
            return cls.from_table(toml.loads(text))
        except toml.TOMLDecodeError as error:
            raise ValueError(f"{path} is not a TOML file: {error}") from error
        except SweepError as error:
            line = _line(text, error.where)
            place = f", line {line}" if line else ""
            raise ValueError(f"{path}{place}: {error}") from error

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Sweep:
        """The sweep of a table such as a TOML file holds; SweepError if it is none."""
        _check_keys(table, cls, "a sweep")
        options = dict(table)
        with _at("tasks"):
            entries = options["tasks"]
            if not isinstance(entries, list):
                raise TypeError(f"tasks must be tables [[tasks]], got {shown(entries)}")
        options["tasks"] = []
        for place, entry in enumerate(entries):
            with _at("tasks", place):
                options["tasks"].append(_task_from_table(entry))
        return cls(**options)

    def training_of(self, task: SweepTask) -> dict[str, Any]:
        """Every option that the networks of a task are trained with."""
        return {**_TRAINING_DEFAULTS, **self.training, **task.training}


@contextmanager
def _at(*where: str | int) -> Iterator[None]:
    """Turns errors of the block into SweepErrors that know where they are."""
    try:
        yield
    except SweepError as error:
        raise SweepError((*where, *error.where), str(error)) from error.__cause__
    except (TypeError, ValueError) as error:
        raise SweepError(where, str(error)) from error


def _listed(values: object, name: str, check: _Check) -> tuple[Any, ...]:
    """The checked values, at least one."""
    with _at(name):
        if isinstance(values, (str, Mapping)) or not isinstance(values, Iterable):
            raise TypeError(f"{name} must be a list, got {shown(values)}")
        checked = tuple(check(value, name) for value in values)
        if not checked:
            raise ValueError(f"{name} must hold at least one entry, got none")
    return checked


def _distinct(values: object, name: str, check: _Check) -> tuple[Any, ...]:
    """The checked values, at least one and none twice."""
    checked = _listed(values, name, check)
    for place, value in enumerate(checked):
        if value in checked[:place]:
            raise SweepError((name,), f"{name} must be distinct, got {shown(value)} twice")
    return checked


def _sweep_task(task: object) -> SweepTask:
    return task if isinstance(task, SweepTask) else SweepTask(task)  # type: ignore[arg-type]


def _training(options: object) -> Mapping[str, Any]:
    if not isinstance(options, Mapping):
        raise TypeError(f"training must be a table of options, got {shown(options)}")
    checked = {}
    for name, value in options.items():
        with _at(name):
            choice(name, "an option of training", _TRAINING)
            checked[name] = _TRAINING[name](value, name)
    return checked


def _task_from_table(table: object) -> SweepTask:
    """A SweepTask of ``{task = "copy", horizon = 16, evaluation = {horizon = 128}, …}``."""
    if not isinstance(table, Mapping):
        raise TypeError(f"tasks must be tables [[tasks]], got {shown(table)}")
    options = dict(table)
    if "task" not in options:
        raise ValueError('a task needs its name, such as task = "flip-flop"')
    with _at("task"):
        plain = task_named(options.pop("task"))
    own = {item.name for item in fields(SweepTask)} - {"task"}
    parameters = {name: options.pop(name) for name in list(options) if name not in own}
    task = _with_parameters(plain, parameters, own)
    if "evaluation" in options:
        with _at("evaluation"):
            changes = options["evaluation"]
            if not isinstance(changes, Mapping):
                raise TypeError(
                    f"evaluation must be a table of the task's parameters, got {shown(changes)}"
                )
            options["evaluation"] = _with_parameters(task, changes, set())
    return SweepTask(task, **options)


def _with_parameters(task: Task, parameters: Mapping[str, Any], own: set[str]) -> Task:
    assert is_dataclass(task)
    assert not isinstance(task, type)
    known = {item.name for item in fields(task)} | own
    for name, value in parameters.items():
        with _at(name):
            choice(name, f"a key of the task {task.name}", sorted(known))
            task = replace(task, **{name: value})
    return task


def _check_keys(table: Mapping[str, Any], kind: type, what: str) -> None:
    known = [item.name for item in fields(kind)]
    for name in table:
        if name not in known:
            listed = ", ".join(known)
            raise SweepError(
                (name,), f"{what} has no {name!r}, only {listed}{suggest(name, known)}"
            )
    for item in fields(kind):
        if item.name not in table and item.default is item.default_factory is MISSING:
            raise SweepError((), f"{what} needs {item.name!r}")


def _kinds() -> list[type]:
    return [kind for kind in TASKS.values() if isinstance(kind, type)]


def _toml() -> ModuleType:
    """Python's own reader of TOML, or the package that it came from."""
    try:
        return import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    except ImportError as error:
        raise ImportError('TOML files need tomli: pip install "schurscope[sweep]"') from error


def _line(text: str, where: tuple[str | int, ...]) -> int:
    """The line of a TOML text on which the value at `where` begins; 0 if there is none.

    It is the first line after the longest head of the text that is TOML and lacks the value; so
    the one TOML reader decides, also about arrays over several lines.
    """
    if not where:
        return 0
    lines = text.splitlines(keepends=True)
    toml = _toml()
    before = 0
    for count in range(1, len(lines) + 1):
        try:
            value: Any = toml.loads("".join(lines[:count]))
        except toml.TOMLDecodeError:
            continue
        try:
            for key in where:
                value = value[key]
        except (KeyError, IndexError, TypeError):
            before = count
        else:
            return before + 1
    return 0
