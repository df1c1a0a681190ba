"""Summaries of the records over seeds, each beside the paper's value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..ablation.measures import MEASURES
from ..sweep.plan import Setting
from ..sweep.statistics import moments
from .experiments import PAPER, PaperValue, Quantity
from .records import LEVEL, Record, by_experiment

ACCURACY_TOLERANCE = 0.06
FACTOR = 1.5
ALMOST_NONE = 0.005

VERDICT_RULE = (
    f"a replay accuracy agrees within ±{ACCURACY_TOLERANCE:g} of the paper's, n_R when equal, "
    f"FVU, ΔFVU and S_ΔT within a factor {FACTOR:g} of the paper's mean; where the paper says "
    f"'almost none' or 'little', |ΔFVU| < {ALMOST_NONE:g}. Anything else is a MISS."
)
QUANTITIES: tuple[Quantity | str, ...] = (
    "n_R",
    "value",
    "change",
    "removed_mass",
    "sensitivity",
)


@dataclass(frozen=True)
class Summary:
    """A quantity of an ablation over the seeds of an experiment, and the paper's value.

    ``ratio`` is mean / paper mean. ``vacuous`` counts the seeds in which the ablation removes
    nothing, ``diverged`` those whose rollouts are not finite. ``sensitivity`` is undefined in
    vacuous seeds, and its ``n`` excludes them. SEM and the t-interval need two seeds.
    """

    experiment: str
    alpha: float
    ablation: str
    quantity: str
    mean: float
    sem: float
    n: int
    t_low: float
    t_high: float
    vacuous: int
    diverged: int
    paper_mean: float | None
    paper_sem: float | None
    paper_words: str
    paper_source: str
    ratio: float | None
    verdict: str


def seed_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """One row per seed, cut and ablation."""
    rows = []
    for record in records:
        job, sectors = record.job, [p.sectors for p in record.result.profiles]
        for profile, cut, drawn in zip(
            record.result.profiles, sectors, record.intervals, strict=True
        ):
            for place, name in enumerate(profile.names):
                rows.append(
                    {
                        "experiment": record.experiment,
                        "recurrent": job.recurrent,
                        "N_h": job.n_hidden,
                        "seed": job.seed,
                        "measure": profile.measure,
                        "alpha": profile.alpha,
                        "n_R": cut.n_R,
                        "gap": cut.gap,
                        "ablation": name,
                        "value": profile.value[place],
                        "value_low": drawn.value[place, 0],
                        "value_high": drawn.value[place, 1],
                        "change": profile.change[place],
                        "change_low": drawn.change[place, 0],
                        "change_high": drawn.change[place, 1],
                        "removed_mass": profile.removed_mass[place],
                        "sensitivity": profile.sensitivity[place],
                        "vacuous": bool(profile.vacuous[place]),
                        "diverged": bool(profile.diverged[place]),
                    }
                )
    return rows


def lag_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Replay accuracy per seed, cut, ablation and lag."""
    rows = []
    for record in records:
        for profile in record.result.profiles:
            generated = np.flatnonzero(np.isfinite(profile.per_step).any(axis=0))
            for place, name in enumerate(profile.names):
                for lag, step in enumerate(generated, start=1):
                    rows.append(
                        {
                            "experiment": record.experiment,
                            "seed": record.job.seed,
                            "alpha": profile.alpha,
                            "ablation": name,
                            "lag": lag,
                            "replay_accuracy": profile.per_step[place, step],
                        }
                    )
    return rows


def summaries(records: Sequence[Record], *, compare: bool) -> list[Summary]:
    """Every quantity of every cut and ablation; one row per published value, or one without any.

    With ``compare=False`` (a quick run) the paper's values are listed without a verdict.
    """
    rows = []
    for mine in by_experiment(records).values():
        setting = mine[0].job.setting
        for alpha in setting.alphas:
            for ablation in setting.ablations:
                for quantity in QUANTITIES:
                    if quantity == "n_R" and ablation != "full":
                        continue
                    rows += _rows(mine, setting, alpha, ablation, quantity, compare)
    return rows


def verdict(paper: PaperValue, mean: float, measure: str) -> str:
    """Whether `mean` "agrees" with the paper's or is a "MISS", by VERDICT_RULE."""
    if paper.words:
        agrees = abs(mean) < ALMOST_NONE
    elif paper.quantity == "n_R":
        agrees = mean == paper.mean
    elif MEASURES[measure].limits is not None:
        agrees = abs(mean - paper.mean) <= ACCURACY_TOLERANCE
    else:
        agrees = paper.mean / FACTOR <= mean <= paper.mean * FACTOR
    return "agrees" if agrees else "MISS"


def as_dicts(rows: Sequence[Summary]) -> list[dict[str, Any]]:
    """The rows for CSV and JSON."""
    return [asdict(row) for row in rows]


def _rows(
    records: Sequence[Record],
    setting: Setting,
    alpha: float,
    ablation: str,
    quantity: str,
    compare: bool,
) -> list[Summary]:
    profiles = [record.profile(alpha) for record in records]
    places = [profile.names.index(ablation) for profile in profiles]
    vacuous = [bool(p.vacuous[i]) for p, i in zip(profiles, places, strict=True)]
    diverged = [bool(p.diverged[i]) for p, i in zip(profiles, places, strict=True)]
    if quantity == "n_R":
        values = [float(profile.sectors.n_R) for profile in profiles]
    else:
        values = [float(getattr(p, quantity)[i]) for p, i in zip(profiles, places, strict=True)]
    if quantity == "sensitivity":
        values = [value for value, none in zip(values, vacuous, strict=True) if not none]
        if ablation == "full":
            return []
    sample = np.array(values, dtype=np.float64)
    found = moments(np.where(np.isfinite(sample), sample, np.nan), LEVEL)
    published: list[PaperValue | None] = [
        item
        for item in PAPER
        if item.experiment == setting.label
        and item.ablation == ablation
        and item.quantity == quantity
        and alpha in item.alphas
    ]
    return [
        Summary(
            experiment=setting.label,
            alpha=alpha,
            ablation=ablation,
            quantity=quantity,
            **{name: found[name] for name in ("mean", "sem", "n", "t_low", "t_high")},
            vacuous=sum(vacuous),
            diverged=sum(diverged),
            paper_mean=None if paper is None else paper.mean,
            paper_sem=None if paper is None else paper.sem,
            paper_words="" if paper is None else paper.words,
            paper_source="" if paper is None else paper.source,
            ratio=None if paper is None or paper.mean == 0 else found["mean"] / paper.mean,
            verdict=_verdict(paper, found["mean"], setting, compare),
        )
        for paper in published or [None]
    ]


def _verdict(paper: PaperValue | None, mean: float, setting: Setting, compare: bool) -> str:
    if paper is None:
        return ""
    return verdict(paper, mean, setting.measure) if compare else "QUICK"
