"""The figures of a run, from its records and trained networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from .. import plotting
from ..trials.trials import Trials
from .experiments import ALPHA, PAPER, TITLES
from .records import Record, by_experiment

Group = Sequence[Record]
"""The seeds of one experiment."""


def save_figures(records: Sequence[Record], folder: Path, *, is_quick: bool) -> list[str]:
    """Write every figure as PNG and PDF under ``figures/``; returns the paths inside `folder`."""
    groups = by_experiment(records)
    copy = [group for group in groups.values() if group[0].group == "copy"]
    other = [group for group in groups.values() if group[0].group == "neuroscience"]
    figures: dict[str, Callable[[], Figure]] = {}
    if copy:
        figures["copy_subsets"] = partial(_copy_subsets, copy)
        figures["copy_accuracy_per_lag"] = partial(_copy_lags, copy)
    if other:
        figures["neuroscience_change"] = partial(_neuroscience, other, "change")
        figures["neuroscience_sensitivity"] = partial(_neuroscience, other, "sensitivity")
        figures["neuroscience_trajectories"] = partial(_trajectories, other)
    for name, group in groups.items():
        figures[f"coordinates_{name}"] = partial(_coordinates, group[0])
    written = []
    for name, draw in figures.items():
        written += _save(draw(), folder, f"figures/{name}", is_quick=is_quick)
    return written


def _copy_subsets(groups: Sequence[Group]) -> Figure:
    figure, axes = _figure(1, len(groups), (5.2 * len(groups), 3.3))
    for ax, group in zip(axes[0], groups, strict=True):
        profiles = [record.profile(ALPHA) for record in group]
        plotting.value_bars(profiles, paper=_paper(group, "value", "Figure 1"), ax=ax)
        ax.set_title(_title(group), fontsize=10, loc="left")
    _paper_legend(figure, vacuous=_any_vacuous(groups), paper="paper")
    return figure


def _copy_lags(groups: Sequence[Group]) -> Figure:
    figure, axes = _figure(1, len(groups), (5.6 * len(groups), 3.1))
    for ax, group in zip(axes[0], groups, strict=True):
        plotting.accuracy_per_lag([record.profile(ALPHA) for record in group], ax=ax)
        ax.set_title(_title(group), fontsize=10, loc="left")
    return figure


def _neuroscience(groups: Sequence[Group], quantity: str) -> Figure:
    draw = plotting.change_bars if quantity == "change" else plotting.sensitivity_bars
    figure, axes = _figure(1, len(groups), (3.3 * len(groups), 3.1))
    for ax, group in zip(axes[0], groups, strict=True):
        profiles = [record.profile(ALPHA) for record in group]
        draw(profiles, paper=_paper(group, quantity, "Figure 2"), ax=ax)
        ax.set_title(_title(group), fontsize=10, loc="left")
    hatched = quantity == "change" and _any_vacuous(groups)
    _paper_legend(figure, vacuous=hatched, paper="paper ± SEM")
    return figure


def _trajectories(groups: Sequence[Group]) -> Figure:
    figure, axes = _figure(1, len(groups), (3.5 * len(groups), 2.9))
    for ax, group in zip(axes[0], groups, strict=True):
        job, network = group[0].job, group[0].result.network
        rng = job.streams()["evaluation"]
        trials = job.setting.evaluation.trials(16, rng, dtype=network.dtype)
        trial, channel = _busiest(trials)
        plotting.trajectories(
            network,
            trials,
            ablations=("CR", "CC"),
            alpha=ALPHA,
            trial=trial,
            channel=channel,
            ax=ax,
        )
        ax.get_legend().remove()
        ax.set_title("", loc="right")
        ax.set_title(f"{_title(group)}, seed {job.seed}", fontsize=10, loc="left")
    figure.legend(
        handles=axes[0, 0].lines[:1], loc="outside lower right", fontsize=8, frameon=False
    )
    return figure


def _busiest(trials: Trials) -> tuple[int, int]:
    """Trial and channel with the most variable target."""
    movement = np.abs(np.diff(trials.targets, axis=1)).sum(axis=1)
    trial, channel = np.unravel_index(int(movement.argmax()), movement.shape)
    return int(trial), int(channel)


def _coordinates(record: Record) -> Figure:
    schur = record.profile(ALPHA).schur
    sectors = schur.sectors(ALPHA)
    figure, axes = _figure(1, 2, (8.6, 3.8))
    plotting.schur_matrix(schur, sectors, ax=axes[0, 0])
    plotting.spectrum(schur, sectors, ax=axes[0, 1])
    title = f"{_title([record])}, seed {record.job.seed}"
    figure.suptitle(title, fontsize=10, x=0.02, ha="left")
    return figure


def _paper(group: Group, quantity: str, source: str) -> dict[str, tuple[float, float | None]]:
    """The published numbers of an experiment, without values given only in words."""
    return {
        item.ablation: (item.mean, item.sem)
        for item in PAPER
        if item.experiment == group[0].experiment
        and item.quantity == quantity
        and item.source == source
        and not item.words
    }


def _paper_legend(figure: Figure, *, vacuous: bool, paper: str) -> None:
    handles = plotting.legend_handles(vacuous=vacuous, paper=paper)
    figure.legend(
        handles=handles, loc="outside lower right", fontsize=8, frameon=False, ncols=len(handles)
    )


def _any_vacuous(groups: Sequence[Group]) -> bool:
    """Whether an ablation of a group is vacuous in every seed: its bar is hatched."""
    return any(
        np.all([record.profile(ALPHA).vacuous for record in group], axis=0).any()
        for group in groups
    )


def _title(group: Group) -> str:
    return TITLES[group[0].experiment]


def _figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.06))
    FigureCanvasAgg(figure)
    axes: np.ndarray = figure.subplots(rows, columns, squeeze=False)
    return figure, axes


def _save(figure: Figure, folder: Path, name: str, *, is_quick: bool) -> list[str]:
    if is_quick:
        figure.text(
            0.5,
            0.5,
            "QUICK",
            fontsize=64,
            color="#d55e00",
            alpha=0.16,
            ha="center",
            va="center",
            rotation=20,
            weight="bold",
        )
    paths = [f"{name}.png", f"{name}.pdf"]
    for path in paths:
        plotting.save_figure(figure, folder / path)
    return paths
