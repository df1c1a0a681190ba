"""The jobs of a sweep: one network each, known by the hash of all that decides its numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .. import _core
from .._internal.checks import nonnegative_int, positive_int
from .._version import __version__
from ..coordinates.schur import TIE_RULE
from ..networks.cell import Cell
from ..trials.tasks import Task
from .config import Sweep, SweepTask

__all__ = ["FORMAT", "Job", "Setting", "plan", "shard"]

FORMAT = "schurscope-sweep-1"
STREAMS = ("init", "training", "evaluation", "noise")


@dataclass(frozen=True)
class Setting:
    """What all jobs of one task share; see `Sweep` and `SweepTask` for the fields.

    `level` is the instruction-set level, which decides how training rounds.
    """

    label: str
    task: Task
    evaluation: Task
    training: Mapping[str, Any]
    measure: str
    alphas: tuple[float, ...]
    ablations: tuple[str, ...]
    evaluation_trials: int
    dtype: str
    entropy: int
    cell: Cell
    level: str

    @classmethod
    def of(cls, sweep: Sweep, task: SweepTask, level: str) -> Setting:
        """What the jobs of one task of a sweep share."""
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
            entropy=sweep.entropy,
            cell=sweep.cell,
            level=level,
        )

    def configuration(self) -> dict[str, Any]:
        """All that decides numbers, as plain values: the label does not."""
        plain = {name: value for name, value in vars(self).items() if name in _DECISIVE}
        plain |= {"alphas": list(self.alphas), "ablations": list(self.ablations)}
        names = {name: repr(getattr(self, name)) for name in ("task", "evaluation", "cell")}
        versions = {"format": FORMAT, "version": __version__, "tie_rule": TIE_RULE}
        return {**plain, **names, **versions}

    @cached_property
    def digest(self) -> str:
        """Hash of the configuration."""
        return _digest(self.configuration())

    @cached_property
    def steps(self) -> tuple[int, int]:
        """Time steps of a trial of the task and of a trial of the evaluation."""
        return self.task.trials(1, 0).n_steps, self.evaluation.trials(1, 0).n_steps


_DECISIVE = (
    "training",
    "measure",
    "alphas",
    "ablations",
    "evaluation_trials",
    "dtype",
    "entropy",
    "level",
)


@dataclass(frozen=True)
class Job:
    """One network to train and take apart."""

    setting: Setting
    n_hidden: int
    recurrent: str
    seed: int

    def configuration(self) -> dict[str, Any]:
        """All that decides the result, as plain values."""
        own = {"n_hidden": self.n_hidden, "recurrent": self.recurrent, "seed": self.seed}
        return {**self.setting.configuration(), **own}

    @cached_property
    def key(self) -> str:
        """32 hexadecimal digits of a SHA-256 over the configuration: the job's name in a store."""
        return _digest([self.setting.digest, self.n_hidden, self.recurrent, self.seed])

    @property
    def spawn_key(self) -> tuple[int, ...]:
        """Which child of the sweep's SeedSequence is this job's.

        It depends on the task and its parameters, the width, the construction and the seed alone.
        So a sweep can grow without changing any other job's numbers, and networks that differ only
        in their cell, or in how they are trained and cut, start from the same matrix and see the
        same trials.
        """
        sample = [repr(self.setting.task), self.n_hidden, self.recurrent, self.seed]
        digest = _digest(sample)
        return tuple(int(digest[start : start + 8], 16) for start in range(0, 32, 8))

    def streams(self) -> dict[str, np.random.Generator]:
        """Separate generators for initialisation, training, evaluation and its noise."""
        mine = np.random.SeedSequence(self.setting.entropy, spawn_key=self.spawn_key)
        children = mine.spawn(len(STREAMS))
        return {
            name: np.random.default_rng(child)
            for name, child in zip(STREAMS, children, strict=True)
        }

    @property
    def n_updates(self) -> int:
        """Number of optimiser steps."""
        training = self.setting.training
        return int(training["epochs"] * training["batches_per_epoch"])

    @property
    def cost(self) -> float:
        """About how many multiplications the job takes, to order jobs and to tell time left."""
        setting = self.setting
        per_step = self.n_hidden * (self.n_hidden + setting.task.n_inputs + setting.task.n_outputs)
        train_steps, evaluation_steps = setting.steps
        # Forward, and twice as much backward.
        training = 3 * self.n_updates * setting.training["batch_size"] * train_steps * per_step
        runs = 1 + len(setting.alphas) * (len(setting.ablations) - 1)
        evaluation = runs * setting.evaluation_trials * evaluation_steps * per_step
        # Schur form, ordering and W̃ are of order N_h³.
        return float(training + evaluation + (100 + runs) * self.n_hidden**3)

    def __str__(self) -> str:
        return f"{self.setting.label}, N_h {self.n_hidden}, {self.recurrent}, seed {self.seed}"


def plan(sweep: Sweep, level: str = _core.LEVEL) -> list[Job]:
    """Every job of a sweep, in the order task, construction, width, seed.

    Parameters
    ----------
    sweep : Sweep
    level : str
        Instruction-set level to train on; that of this process if not given.
    """
    jobs = []
    for task in sweep.tasks:
        assert isinstance(task, SweepTask)
        setting = Setting.of(sweep, task, level)
        assert not isinstance(sweep.seeds, int)
        jobs += [
            Job(setting, n_hidden, recurrent, seed)
            for recurrent in sweep.constructions
            for n_hidden in sweep.widths
            for seed in sweep.seeds
        ]
    return jobs


def shard(jobs: list[Job], index: int, count: int) -> list[Job]:
    """Part `index` of `count` of a plan, 0 the first; the parts take about equally long.

    ValueError unless 0 <= index < count.
    """
    count, index = positive_int(count, "count"), nonnegative_int(index, "index")
    if index >= count:
        raise ValueError(f"index must be less than count = {count}, got {index}")
    return longest_first(jobs)[index::count]


def longest_first(jobs: list[Job]) -> list[Job]:
    """Jobs by decreasing cost, so that all workers end at about the same time."""
    return sorted(jobs, key=lambda job: -job.cost)


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
