"""The configuration of a sweep: a dataclass that can be loaded from a TOML file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from .._internal.checks import (
    choice,
    float_dtype,
    fraction,
    nonnegative_int,
    positive_int,
    real_number,
    shown,
    suggest,
)
from ..ablation.measures import MEASURES
from ..ablation.names import SUBSETS, default_names, joined_name, named_couplings
from ..networks.cell import KINDS, Cell
from ..networks.constructions import RECURRENT
from ..training import TrainingOptions
from ..trials.tasks import Task
from .checks import SweepError, at, distinct, listed, training_options
from .tasks import checked_task, task_of_table
from .tomlfile import line_of, toml_reader

__all__ = ["Sweep", "SweepTask"]


@dataclass(frozen=True)
class SweepTask:
    """A task of a sweep: how its networks are trained and evaluated.

    Attributes
    ----------
    task : Task
        The training trials: one of the package's tasks, or any picklable `schurscope.Task` whose
        repr shows its parameters, as a dataclass's does. That repr and the class's import path
        identify jobs, so rename the task when its code changes.
    evaluation : Task, optional
        The evaluation trials; None means those of `task`.
    training : mapping
        Options of `schurscope.train` for this task; they override the sweep's.
    measure : str, optional
        Name of a measure in `schurscope.measures`; None means the task's own, or FVU if it has
        none.
    gate : float, optional
        Threshold for the full network; None means the measure's `required`. Networks that miss it
        are kept, but flagged.
    label : str, optional
        Name in tables and figures, distinct within a sweep; None means the task's.
    constructions : sequence of str, optional
        Constructions of W_hh for this task; None means those of the sweep.
    entropy : int, optional
        Root of this task's random numbers instead of the sweep's: a job's SeedSequence is then
        ``SeedSequence([entropy, seed])``, whatever its width and construction.

    Raises
    ------
    SweepError
        An argument is of the wrong kind, or the two tasks do not fit.
    """

    task: Task
    evaluation: Task | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    measure: str | None = None
    gate: float | None = None
    label: str | None = None
    constructions: Sequence[str] | None = None
    entropy: int | None = None

    def __post_init__(self) -> None:
        if self.evaluation is None:
            object.__setattr__(self, "evaluation", self.task)
        for name in ("task", "evaluation"):
            with at(name):
                checked_task(getattr(self, name), name)
        assert self.evaluation is not None
        for channels in ("n_inputs", "n_outputs"):
            trained, judged = getattr(self.task, channels), getattr(self.evaluation, channels)
            if trained != judged:
                raise SweepError(
                    ("evaluation",), f"evaluation must have {channels} = {trained}, got {judged}"
                )
        if self.measure is None:
            object.__setattr__(self, "measure", getattr(self.task, "measure", "fvu"))
        with at("measure"):
            choice(self.measure, "measure", MEASURES)
        with at("gate"):
            gate = MEASURES[str(self.measure)].required if self.gate is None else self.gate
            object.__setattr__(self, "gate", real_number(gate, "gate"))
        with at("training"):
            object.__setattr__(self, "training", training_options(self.training))
        if self.constructions is not None:
            object.__setattr__(self, "constructions", _constructions(self.constructions))
        if self.entropy is not None:
            with at("entropy"):
                nonnegative_int(self.entropy, "entropy")
        label: object = self.task.name if self.label is None else self.label
        if not (isinstance(label, str) and label.isprintable() and label):
            raise SweepError(("label",), f"label must be printable text, got {shown(label)}")
        object.__setattr__(self, "label", label)

    def passes(self, baseline: float) -> bool:
        """Whether a full network with this baseline reaches the gate; NaN does not."""
        return MEASURES[str(self.measure)].passes(baseline, self.gate)


MAX_SEEDS = 1_000_000
"""When only their number is given."""


@dataclass(frozen=True)
class Sweep:
    """Networks to train and ablate: every task × width × construction × seed.

    Attributes
    ----------
    tasks : sequence of SweepTask or Task
        At least one.
    widths : sequence of int
        N_h.
    constructions : sequence of {"default", "orthogonal", "normal", "cayley"}
        Of W_hh, see `schurscope.init_network`.
    seeds : int or sequence of int
        The seeds, or their number: 3 stands for 0, 1, 2.
    training : mapping
        Options of `schurscope.train`.
    alphas : sequence of float
        Cuts of the spectrum, each in (0, 1].
    ablations : sequence of str, optional
        Subsets such as ``"RR+CC"``, in a gated network also ``"n:CR"``; the full network always
        comes first. None means those of `schurscope.ablate`.
    evaluation_trials : int
        Number of held-out trials per network.
    dtype : {"float32", "float64"}
        Of the networks and their arithmetic.
    entropy : int
        Root of all random numbers.
    cell : Cell
        Cell of all networks, with one leak for all units; the default is h = tanh(…). In TOML a
        table, or its kind alone: ``cell = "gru"``.
    diagnose : bool or "cuts"
        Whether each job also diagnoses its network, at the first of `alphas`, on the evaluation
        trials; see `schurscope.diagnose`. This takes several times as long as ablating. With
        ``"cuts"``, it only runs the diagnosis's cut curve; see `schurscope.cut_curve`.

    Raises
    ------
    SweepError
        An argument is of the wrong kind or empty, or holds a duplicate.
    """

    tasks: Sequence[SweepTask | Task]
    widths: Sequence[int]
    constructions: Sequence[str] = ("orthogonal",)
    seeds: int | Sequence[int] = 3
    training: Mapping[str, Any] = field(default_factory=dict)
    alphas: Sequence[float] = (0.9,)
    ablations: Sequence[str] = None  # type: ignore[assignment] # a tuple after __post_init__
    evaluation_trials: int = 2048
    dtype: str = "float32"
    entropy: int = 0
    cell: Cell = field(default_factory=Cell)
    diagnose: bool | str = False

    def __post_init__(self) -> None:
        tasks = listed(self.tasks, "tasks", lambda task, _: _sweep_task(task))
        labels = [task.label for task in tasks]
        for place, label in enumerate(labels):
            if label in labels[:place]:
                raise SweepError(
                    ("tasks", place),
                    f"tasks must have distinct labels, got {label!r} twice; give one a label",
                )
        seeds: object = self.seeds
        if isinstance(seeds, (str, float)):
            raise SweepError(("seeds",), f"seeds must be a list or a number, got {shown(seeds)}")
        if isinstance(seeds, int):
            with at("seeds"):
                if positive_int(seeds, "seeds") > MAX_SEEDS:
                    raise ValueError(f"seeds must be at most {MAX_SEEDS}, got {seeds}")
                seeds = range(seeds)
        if not isinstance(self.cell, Cell):
            raise SweepError(("cell",), f"cell must be a schurscope.Cell, got {shown(self.cell)}")
        gates = self.cell.gates
        asked: object = self.ablations
        named = default_names(gates) if asked is None else self.ablations
        ablations = distinct(named, "ablations", lambda x, n: _ablation(x, n, gates))
        checked: dict[str, Any] = {
            "tasks": tasks,
            "widths": distinct(self.widths, "widths", positive_int),
            "constructions": _constructions(self.constructions),
            "seeds": distinct(seeds, "seeds", nonnegative_int),
            "alphas": distinct(self.alphas, "alphas", fraction),
            "ablations": ("full", *(name for name in ablations if name != "full")),
        }
        odd = [width for width in checked["widths"] if width % 2]
        used = {*checked["constructions"]}.union(*(task.constructions or () for task in tasks))
        if "cayley" in used and gates:
            raise SweepError(
                ("constructions",),
                f'constructions must not be "cayley", the vanilla cell\'s, for {self.cell!r}',
            )
        if "normal" in used and odd:
            raise SweepError(
                ("widths",), f'widths must be even for the construction "normal", got {odd[0]}'
            )
        with at("training"):
            checked["training"] = training_options(self.training)
        with at("evaluation_trials"):
            positive_int(self.evaluation_trials, "evaluation_trials")
        with at("dtype"):
            checked["dtype"] = float_dtype(self.dtype).name
        with at("entropy"):
            nonnegative_int(self.entropy, "entropy")
        if not (isinstance(self.diagnose, bool) or self.diagnose == "cuts"):
            raise SweepError(
                ("diagnose",),
                f'diagnose must be true, false or "cuts", got {shown(self.diagnose)}',
            )
        if not isinstance(self.cell.leak, float):
            raise SweepError(
                ("cell", "leak"),
                "cell must have one leak for all units, because a sweep's networks differ in "
                f"width, got leaks of {len(self.cell.leak)} units",
            )
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Sweep:
        """Read a TOML file whose keys are the attributes; for an example see `schurscope.sweep`.

        Raises
        ------
        OSError
            The file cannot be read.
        ValueError
            It is not valid TOML or not a valid sweep; the message gives the line.
        """
        toml = toml_reader()
        try:
            text = Path(path).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path} is not a TOML file: it is not UTF-8 text ({error})"
            ) from error
        try:
            return cls.from_table(toml.loads(text))
        except toml.TOMLDecodeError as error:
            raise ValueError(f"{path} is not a TOML file: {error}") from error
        except SweepError as error:
            line = line_of(text, error.where)
            place = f", line {line}" if line else ""
            raise ValueError(f"{path}{place}: {error}") from error

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Sweep:
        """The sweep of a parsed TOML table; SweepError if it is invalid."""
        _check_keys(table, cls, "a sweep")
        options = dict(table)
        with at("tasks"):
            entries = options["tasks"]
            if not isinstance(entries, list):
                raise TypeError(f"tasks must be tables [[tasks]], got {shown(entries)}")
        options["tasks"] = []
        for place, entry in enumerate(entries):
            with at("tasks", place):
                options["tasks"].append(_task_from_table(entry))
        if "cell" in options:
            with at("cell"):
                options["cell"] = _cell_from_table(options["cell"])
        return cls(**options)

    def training_of(self, task: SweepTask) -> TrainingOptions:
        """All training options of a task's networks."""
        return TrainingOptions(**{**self.training, **task.training})


def _sweep_task(task: object) -> SweepTask:
    return task if isinstance(task, SweepTask) else SweepTask(task)  # type: ignore[arg-type]


def _constructions(names: object) -> tuple[str, ...]:
    return distinct(names, "constructions", lambda x, n: choice(x, n, RECURRENT))


def _ablation(name: object, argument: str, gates: tuple[str, ...]) -> str:
    """The name of an ablation, in its only spelling."""
    if not gates:
        return choice(name, argument, SUBSETS)
    return joined_name(named_couplings(name, gates), gates)  # type: ignore[arg-type]


def _cell_from_table(table: object) -> Cell:
    if isinstance(table, str):
        return Cell(kind=choice(table, "cell", KINDS))  # type: ignore[arg-type]
    if not isinstance(table, Mapping):
        raise TypeError(f"cell must be a table or the name of a kind, got {shown(table)}")
    _check_keys(table, Cell, "a cell")
    cell = Cell()
    given = [item.name for item in fields(Cell) if item.name in table]  # a form before its readout
    for name in given:
        with at(name):
            cell = replace(cell, **{name: table[name]})
    return cell


def _task_from_table(table: object) -> SweepTask:
    if not isinstance(table, Mapping):
        raise TypeError(f"tasks must be tables [[tasks]], got {shown(table)}")
    own = {item.name for item in fields(SweepTask)}
    task, evaluation = task_of_table(table, own)
    options = {name: value for name, value in table.items() if name in own}
    return SweepTask(**{**options, "task": task, "evaluation": evaluation})


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
