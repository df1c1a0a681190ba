"""The paper's experiments and its published numbers, as data.

Where the paper is silent (the copy task's loss, optimiser, number of steps and training horizon;
the pulse rate, frequencies and noise of the others) the settings are the ones that come nearest to
its numbers. They are choices of this package, not statements of the paper.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np

from ..trials.tasks import ContextIntegration, Copy, FlipFlop, SineGeneration, Task

Group = Literal["copy", "neuroscience"]
Quantity = Literal["n_R", "value", "change", "sensitivity"]

GROUPS: tuple[Group, ...] = ("copy", "neuroscience")
SINGLE = ("full", "RR", "CR", "CC")
SUBSETS = ("full", "CC", "RR", "RR+CC", "CR", "CR+CC", "RR+CR", "RR+CR+CC")  # as in Figure 1
STREAMS = ("init", "training", "evaluation", "bootstrap")


@dataclass(frozen=True)
class Experiment:
    """One network construction on one task: how it is trained and how it is taken apart.

    Attributes
    ----------
    name, title : str
        For files and for people.
    group : {"copy", "neuroscience"}
    task, evaluation_task : Task
        The trials to train on and those to judge on.
    n_hidden : int
    recurrent : str
        Construction of W_hh, see :func:`schurscope.init_network`.
    training : mapping
        Options of :func:`schurscope.train`.
    alphas : tuple of float
        Cuts of the spectrum; 0.9 is among them.
    ablations : tuple of str
    measure : str
    evaluation_trials : int
    """

    name: str
    title: str
    group: Group
    task: Task
    evaluation_task: Task
    n_hidden: int
    recurrent: Literal["orthogonal", "cayley"]
    training: Mapping[str, Any]
    alphas: tuple[float, ...]
    ablations: tuple[str, ...]
    measure: Literal["fvu", "replay_accuracy"]
    evaluation_trials: int

    def configuration(self) -> dict[str, Any]:
        """Everything that decides the result, as plain values."""
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        plain["task"] = repr(self.task)
        plain["evaluation_task"] = repr(self.evaluation_task)
        plain["training"] = dict(self.training)
        return plain

    def entropy(self, seed: int) -> list[int]:
        """Entropy of the one SeedSequence of this experiment and seed."""
        return [zlib.crc32(self.name.encode()), seed]

    def streams(self, seed: int) -> dict[str, np.random.Generator]:
        """Separate generators for initialisation, training, evaluation and bootstrap."""
        children = np.random.SeedSequence(self.entropy(seed)).spawn(len(STREAMS))
        return {
            name: np.random.default_rng(child)
            for name, child in zip(STREAMS, children, strict=True)
        }


def _copy(recurrent: Literal["orthogonal", "cayley"], title: str) -> Experiment:
    return Experiment(
        name=f"copy-{recurrent}",
        title=title,
        group="copy",
        task=Copy(horizon=16),
        evaluation_task=Copy(horizon=128),
        n_hidden=72,
        recurrent=recurrent,
        training={
            "epochs": 250,
            "batches_per_epoch": 100,
            "batch_size": 64,
            "learning_rate": 1e-3,
            "optimizer": "adamw",
            "weight_decay": 0.01,
        },
        alphas=(0.85, 0.9, 0.95),
        ablations=SUBSETS,
        measure="replay_accuracy",
        evaluation_trials=512,
    )


def _neuroscience(task: Task, title: str) -> Experiment:
    return Experiment(
        name=task.name,
        title=title,
        group="neuroscience",
        task=task,
        evaluation_task=task,
        n_hidden=64,
        recurrent="orthogonal",
        training={
            "epochs": 30,
            "batches_per_epoch": 128,
            "batch_size": 64,
            "learning_rate": 1e-3,
            "optimizer": "adam",
        },
        alphas=(0.9,),
        ablations=SINGLE,
        measure="fvu",
        evaluation_trials=2048,
    )


EXPERIMENTS: tuple[Experiment, ...] = (
    _copy("orthogonal", "copy, dense orthogonal"),
    _copy("cayley", "copy, Cayley"),
    _neuroscience(FlipFlop(), "3-bit flip-flop"),
    _neuroscience(SineGeneration(), "frequency-cued sine"),
    _neuroscience(ContextIntegration(), "context-dependent integration"),
)


def quick(experiment: Experiment) -> Experiment:
    """The same experiment, far too small to say anything about the paper: a check of the pipes."""
    small_copy = Copy(n_symbols=4, dimension=4, horizon=8)
    training = {**experiment.training, "epochs": 8, "batches_per_epoch": 50}
    if experiment.group == "copy":
        return replace(
            experiment,
            task=small_copy,
            evaluation_task=replace(small_copy, horizon=32),
            n_hidden=24,
            training={**training, "learning_rate": 3e-3},
            evaluation_trials=256,
        )
    return replace(
        experiment,
        n_hidden=32,
        training={**training, "learning_rate": 3e-3},
        evaluation_trials=512,
    )


@dataclass(frozen=True)
class PaperValue:
    """A number of the paper.

    Attributes
    ----------
    experiment : str
        Name of the experiment.
    ablation : str
    quantity : {"n_R", "value", "change", "sensitivity"}
        ``value`` is the measure of the experiment, ``change`` its difference from the full network,
        ``sensitivity`` is S_ΔT.
    mean : float
        0 where the paper says in `words` that there is almost no effect.
    sem : float, optional
        Standard error over the paper's three seeds.
    source : str
        Table or figure of the paper.
    alphas : tuple of float
        The cuts it is given for.
    words : str
        The paper's words where it gives no number.
    """

    experiment: str
    ablation: str
    quantity: Quantity
    mean: float
    sem: float | None
    source: str
    alphas: tuple[float, ...] = (0.9,)
    words: str = ""


def _table_1(model: str, n_R: int, full: float, CC: float, CR: float) -> list[PaperValue]:
    alphas = (0.85, 0.9, 0.95)
    rows: list[tuple[str, Quantity, float]] = [
        ("full", "n_R", n_R),
        ("full", "value", full),
        ("CC", "value", CC),
        ("CR", "value", CR),
    ]
    return [
        PaperValue(f"copy-{model}", ablation, quantity, mean, None, "Table 1", alphas)
        for ablation, quantity, mean in rows
    ]


def _figure_1(model: str, *values: float) -> list[PaperValue]:
    return [
        PaperValue(f"copy-{model}", ablation, "value", mean, None, "Figure 1")
        for ablation, mean in zip(SUBSETS, values, strict=True)
    ]


def _figure_2(
    task: str,
    fvu: float,
    changes: Mapping[str, tuple[float, float] | str],
    sensitivities: Mapping[str, tuple[float, float]],
) -> list[PaperValue]:
    rows = [PaperValue(task, "full", "value", fvu, None, "Figure 2")]
    for ablation, change in changes.items():
        if isinstance(change, str):
            rows.append(PaperValue(task, ablation, "change", 0.0, None, "Figure 2", words=change))
        else:
            rows.append(PaperValue(task, ablation, "change", *change, "Figure 2"))
    for ablation, (mean, sem) in sensitivities.items():
        rows.append(PaperValue(task, ablation, "sensitivity", mean, sem, "Figure 2"))
    return rows


PAPER: tuple[PaperValue, ...] = (
    *_table_1("orthogonal", n_R=64, full=1.0, CC=1.0, CR=0.634),
    *_table_1("cayley", n_R=68, full=1.0, CC=1.0, CR=1.0),
    *_figure_1("orthogonal", 1.0, 1.0, 0.876, 0.875, 0.639, 0.639, 0.624, 0.624),
    *_figure_1("cayley", 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    *_figure_2(
        "flip-flop",
        0.0048,
        {"RR": "almost none", "CR": (0.0945, 0.0094), "CC": (0.0496, 0.0054)},
        {},
    ),
    *_figure_2(
        "sine",
        0.0036,
        {"RR": "little", "CR": (1.73, 0.34), "CC": (2.08, 0.23)},
        {"CR": (21.1, 5.1), "CC": (12.3, 1.5)},
    ),
    *_figure_2("context-integration", 0.0104, {"CR": (0.37, 0.16), "CC": (0.94, 0.03)}, {}),
)
"""S. Dräger, "Task-Restricted Symmetries in Recurrent Weight Space", arXiv:2606.18457."""
