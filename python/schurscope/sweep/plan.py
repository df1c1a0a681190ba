"""The jobs of a sweep: one network each, identified by a hash of its configuration."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np

from .. import _core
from .._internal.checks import nonnegative_int, positive_int, shown
from .._internal.frozen import computed_once
from .._internal.streams import streams
from .._version import __version__
from ..coordinates.orders import TIE_RULE
from ..networks.cell import Cell
from ..training import TrainingOptions
from ..trials.tasks import Task
from ..trials.trials import Trials
from .config import Sweep, SweepTask
from .tasks import described, identity

__all__ = ["FORMAT", "Job", "Setting", "plan", "shard"]

FORMAT = "schurscope-sweep-2"
"""Version of stores and hashes; change it when either changes its meaning."""

_DIAGNOSIS_RUNS = 5000  # a diagnosis takes about as long as this many evaluations


def _configuration(item: Any) -> Any:
    """Every field of a dataclass, and of those inside it, as plain values.

    Metadata ``plain`` converts a field, or omits it if None. Other fields are always included, so
    that a new field changes the hash by default.
    """
    if is_dataclass(item):
        made = {x.name: x.metadata.get("plain", _configuration) for x in fields(item)}
        return {name: make(getattr(item, name)) for name, make in made.items() if make is not None}
    if isinstance(item, tuple):
        return [_configuration(one) for one in item]
    return item


def _cell_configuration(cell: Cell) -> dict[str, Any]:
    """The fields; the vanilla cell, and with it the hash of its jobs, is as before gated ones."""
    later = () if cell.gates else ("kind", "reset")
    values: dict[str, Any] = _configuration(cell)
    return {name: value for name, value in values.items() if name not in later}


def _training_configuration(options: TrainingOptions) -> dict[str, Any]:
    """The options; a constant learning rate, and with it the hash, is as before the others."""
    values: dict[str, Any] = _configuration(options)
    return {name: x for name, x in values.items() if (name, x) != ("final_learning_rate", None)}


@dataclass(frozen=True)
class Setting:
    """The settings common to all jobs of a task; for the fields see `Sweep` and `SweepTask`.

    `level` is the instruction-set level, which determines how training rounds; `of_task` is true if
    the entropy is the task's own.
    """

    label: str = field(metadata={"plain": None})
    task: Task = field(metadata={"plain": identity})
    evaluation: Task = field(metadata={"plain": identity})
    training: TrainingOptions = field(metadata={"plain": _training_configuration})
    measure: str
    alphas: tuple[float, ...]
    ablations: tuple[str, ...]
    evaluation_trials: int
    dtype: str
    entropy: int
    of_task: bool
    cell: Cell = field(metadata={"plain": _cell_configuration})
    level: str
    diagnose: bool | str = field(metadata={"plain": None})

    @classmethod
    def of(cls, sweep: Sweep, task: SweepTask, level: str) -> Setting:
        """The setting of one task of a sweep."""
        assert task.evaluation is not None
        assert task.measure is not None
        return cls(
            label=str(task.label),
            task=task.task,
            evaluation=task.evaluation,
            training=sweep.training_of(task),
            measure=task.measure,
            alphas=tuple(sweep.alphas),
            ablations=tuple(sweep.ablations),
            evaluation_trials=sweep.evaluation_trials,
            dtype=sweep.dtype,
            entropy=sweep.entropy if task.entropy is None else task.entropy,
            of_task=task.entropy is not None,
            cell=sweep.cell,
            level=level,
            diagnose=sweep.diagnose,
        )

    def configuration(self) -> dict[str, Any]:
        """Everything that determines the numbers, as plain values; not the label."""
        versions = {"format": FORMAT, "version": __version__, "tie_rule": TIE_RULE}
        # Jobs without a diagnosis have the hash that they had before there were any.
        more = {"diagnose": self.diagnose} if self.diagnose else {}
        return {**_configuration(self), **more, **versions}

    @computed_once
    def digest(self) -> str:
        """Hash of the configuration."""
        return _digest(self.configuration())

    @computed_once
    def steps(self) -> tuple[int, int]:
        """Time steps of a training trial and of an evaluation trial."""
        return _n_steps(self.task), _n_steps(self.evaluation)


@dataclass(frozen=True)
class Job:
    """One network to train and ablate."""

    setting: Setting = field(metadata={"plain": lambda setting: setting.digest})
    n_hidden: int
    recurrent: str
    seed: int

    def configuration(self) -> dict[str, Any]:
        """Everything that determines the result, as plain values."""
        return {**_configuration(self), "setting": self.setting.configuration()}

    @computed_once
    def key(self) -> str:
        """Name of the job in a store: 32 hexadecimal digits of the configuration's SHA-256."""
        return _digest(_configuration(self))

    @property
    def spawn_key(self) -> tuple[int, ...]:
        """Spawn key of this job's child of the sweep's SeedSequence.

        It depends only on the task and its parameters, the width, the construction and the seed.
        So extending a sweep changes no other job's numbers, and networks that differ only in cell,
        training or cuts start from the same matrix and see the same trials.
        """
        sample = [described(self.setting.task), self.n_hidden, self.recurrent, self.seed]
        digest = _digest(sample)
        return tuple(int(digest[start : start + 8], 16) for start in range(0, 32, 8))

    def entropy(self) -> np.random.SeedSequence:
        """The SeedSequence of the job, a new object at every call."""
        if self.setting.of_task:
            return np.random.SeedSequence([self.setting.entropy, self.seed])
        return np.random.SeedSequence(self.setting.entropy, spawn_key=self.spawn_key)

    def streams(self) -> dict[str, np.random.Generator]:
        """Separate generators: init, training, evaluation, bootstrap, noise, diagnosis."""
        return streams(self.entropy())

    @property
    def cost(self) -> float:
        """Approximate number of multiplications, to order jobs and to estimate the time left."""
        setting = self.setting
        gates = max(1, len(setting.cell.gates))
        per_row = gates * (self.n_hidden + setting.task.n_inputs) + setting.task.n_outputs
        per_step = self.n_hidden * per_row
        train_steps, evaluation_steps = setting.steps
        # The reverse pass costs twice the forward pass.
        options = setting.training
        training = 3 * options.n_updates * options.batch_size * train_steps * per_step
        runs = 1 + len(setting.alphas) * (len(setting.ablations) - 1)
        if setting.diagnose:
            runs += self.n_hidden if setting.diagnose == "cuts" else _DIAGNOSIS_RUNS
        evaluation = runs * setting.evaluation_trials * evaluation_steps * per_step
        # Schur form, ordering and W̃ are of order N_h³.
        return float(training + evaluation + (100 + runs) * gates * self.n_hidden**3)

    def __str__(self) -> str:
        return f"{self.setting.label}, N_h {self.n_hidden}, {self.recurrent}, seed {self.seed}"


def plan(sweep: Sweep, level: str = _core.LEVEL) -> list[Job]:
    """Every job of a sweep, in the order task, construction, width, seed.

    Parameters
    ----------
    sweep : Sweep
    level : str
        Instruction-set level to train on; by default that of this process.
    """
    jobs = []
    for task in checked_sweep(sweep).tasks:
        assert isinstance(task, SweepTask)
        setting = Setting.of(sweep, task, level)
        assert not isinstance(sweep.seeds, int)
        jobs += [
            Job(setting, n_hidden, recurrent, seed)
            for recurrent in task.constructions or sweep.constructions
            for n_hidden in sweep.widths
            for seed in sweep.seeds
        ]
    return jobs


def checked_sweep(sweep: object) -> Sweep:
    """The sweep itself; TypeError for anything else."""
    if not isinstance(sweep, Sweep):
        raise TypeError(
            f"sweep must be a schurscope.Sweep, got {shown(sweep)}; Sweep.load reads files"
        )
    return sweep


def shard(jobs: list[Job], index: int, count: int) -> list[Job]:
    """Shard `index` (from 0) of `count`; all shards take about equally long.

    ValueError unless 0 <= index < count.
    """
    count, index = positive_int(count, "count"), nonnegative_int(index, "index")
    if index >= count:
        raise ValueError(f"index must be less than count = {count}, got {index}")
    return longest_first(jobs)[index::count]


def longest_first(jobs: list[Job]) -> list[Job]:
    """Jobs by decreasing cost, so that all workers finish at about the same time."""
    return sorted(jobs, key=lambda job: -job.cost)


def _n_steps(task: Task) -> int:
    trials: object = task.trials(1, np.random.default_rng(0))
    if not isinstance(trials, Trials):
        raise TypeError(f"task.trials() must return Trials, got {type(trials).__name__}")
    return trials.n_steps


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
