"""The paper's sweeps and its published numbers: data, in the folder ``paper``."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any, Literal

from ..sweep.config import Sweep, SweepTask
from ..sweep.tomlfile import toml_reader
from ..trials.tasks import Copy

Quantity = Literal["n_R", "value", "change", "sensitivity"]

GROUPS = ("copy", "neuroscience")
ALPHA = 0.9  # of the figures and diagnoses
TITLES = {
    "copy-orthogonal": "copy, dense orthogonal",
    "copy-cayley": "copy, Cayley",
    "flip-flop": "3-bit flip-flop",
    "sine": "frequency-cued sine",
    "context-integration": "context-dependent integration",
}
"""Experiment → title. An experiment is a task of a sweep, identified by its label."""


def paper_sweep(group: str, *, seeds: int = 0, is_quick: bool = False) -> Sweep:
    """The sweep of a group of experiments; `seeds` = 0 means 6, or 2 if quick."""
    sweep = Sweep.from_table(toml_reader().loads(_read(f"{group}.toml")))
    if is_quick:
        sweep = _quick(sweep)
    return replace(sweep, seeds=seeds) if seeds else sweep


def _quick(sweep: Sweep) -> Sweep:
    """The same experiments, far too small for a comparison with the paper."""
    is_copy = isinstance(_tasks(sweep)[0].task, Copy)
    small = Copy(n_symbols=4, dimension=4, horizon=8)
    changes: dict[str, Any] = {"task": small, "evaluation": replace(small, horizon=32)}
    return replace(
        sweep,
        tasks=[replace(task, **changes) for task in _tasks(sweep)] if is_copy else sweep.tasks,
        widths=[24 if is_copy else 32],
        seeds=2,
        training={**sweep.training, "epochs": 8, "batches_per_epoch": 50, "learning_rate": 3e-3},
        evaluation_trials=256 if is_copy else 512,
    )


@dataclass(frozen=True)
class PaperValue:
    """A number published in the paper.

    Attributes
    ----------
    experiment : str
        Label of the experiment.
    ablation : str
    quantity : {"n_R", "value", "change", "sensitivity"}
        ``value`` is the measure of the experiment, ``change`` its difference from the full network,
        ``sensitivity`` is S_ΔT.
    mean : float
        0 where the paper reports almost no effect, in `words`.
    sem : float, optional
        Standard error over the paper's three seeds.
    source : str
        Table or figure of the paper.
    alphas : tuple of float
        The cuts for which it is given.
    words : str
        The paper's wording where it gives no number.
    """

    experiment: str
    ablation: str
    quantity: Quantity
    mean: float
    sem: float | None
    source: str
    alphas: tuple[float, ...]
    words: str


def _published(row: dict[str, Any]) -> PaperValue:
    numbers = {
        "mean": json.loads(row["mean"]),  # an integer where the paper counts
        "sem": float(row["sem"]) if row["sem"] else None,
        "alphas": tuple(map(float, row["alphas"].split())),
    }
    return PaperValue(**{**row, **numbers})


def _tasks(sweep: Sweep) -> list[SweepTask]:
    return [task for task in sweep.tasks if isinstance(task, SweepTask)]


def _read(name: str) -> str:
    return files(__package__).joinpath("paper", name).read_text(encoding="utf-8")


PAPER = tuple(_published(row) for row in csv.DictReader(io.StringIO(_read("published.csv"))))
"""S. Dräger, "Task-Restricted Symmetries in Recurrent Weight Space", arXiv:2606.18457."""
