"""From the records of all seeds to rows of numbers, each beside the paper's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from .experiments import PAPER, Experiment, PaperValue, Quantity
from .jobs import LEVEL, JobRecord

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
    """A quantity of an ablation over the seeds of an experiment, and what the paper says of it.

    ``ratio`` is mean / paper mean. ``vacuous`` counts the seeds in which the ablation removes
    nothing, ``diverged`` those with a rollout that is not finite. ``sensitivity`` is undefined in
    the former: its ``n`` counts the seeds that have one. SEM and the t-interval need two seeds.
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


def seed_rows(records: Sequence[JobRecord]) -> list[dict[str, Any]]:
    """One row for every seed, cut and ablation."""
    rows = []
    for record in records:
        job = record.job
        for profile in record.profiles:
            for place, name in enumerate(profile.names):
                rows.append(
                    {
                        "experiment": job.experiment.name,
                        "recurrent": job.experiment.recurrent,
                        "N_h": job.experiment.n_hidden,
                        "seed": job.seed,
                        "measure": profile.measure,
                        "alpha": profile.alpha,
                        "n_R": profile.n_R,
                        "gap": profile.gap,
                        "ablation": name,
                        "value": profile.value[place],
                        "value_low": profile.value_interval[place, 0],
                        "value_high": profile.value_interval[place, 1],
                        "change": profile.change[place],
                        "change_low": profile.change_interval[place, 0],
                        "change_high": profile.change_interval[place, 1],
                        "removed_mass": profile.removed_mass[place],
                        "sensitivity": profile.sensitivity[place],
                        "vacuous": bool(profile.vacuous[place]),
                        "diverged": bool(profile.diverged[place]),
                    }
                )
    return rows


def lag_rows(records: Sequence[JobRecord]) -> list[dict[str, Any]]:
    """Replay accuracy of every seed, cut, ablation and lag."""
    rows = []
    for record in records:
        for profile in record.profiles:
            generated = np.flatnonzero(np.isfinite(profile.per_step).any(axis=0))
            for place, name in enumerate(profile.names):
                for lag, step in enumerate(generated, start=1):
                    rows.append(
                        {
                            "experiment": record.job.experiment.name,
                            "seed": record.job.seed,
                            "alpha": profile.alpha,
                            "ablation": name,
                            "lag": lag,
                            "replay_accuracy": profile.per_step[place, step],
                        }
                    )
    return rows


def summaries(records: Sequence[JobRecord], *, compare: bool) -> list[Summary]:
    """Every quantity of every cut and ablation; one row per published value where there are some.

    With ``compare=False`` (a quick run) the paper's values stand there without a verdict.
    """
    by_experiment: dict[str, list[JobRecord]] = {}
    for record in records:
        by_experiment.setdefault(record.job.experiment.name, []).append(record)
    rows = []
    for mine in by_experiment.values():
        experiment = mine[0].job.experiment
        for alpha in experiment.alphas:
            for ablation in experiment.ablations:
                for quantity in QUANTITIES:
                    if quantity == "n_R" and ablation != "full":
                        continue
                    rows += _rows(mine, experiment, alpha, ablation, quantity, compare)
    return rows


def verdict(paper: PaperValue, mean: float, measure: str) -> str:
    """Whether `mean` "agrees" with the paper's or is a "MISS", by VERDICT_RULE."""
    if paper.words:
        agrees = abs(mean) < ALMOST_NONE
    elif paper.quantity == "n_R":
        agrees = mean == paper.mean
    elif measure == "replay_accuracy":
        agrees = abs(mean - paper.mean) <= ACCURACY_TOLERANCE
    else:
        agrees = paper.mean / FACTOR <= mean <= paper.mean * FACTOR
    return "agrees" if agrees else "MISS"


def statistics(values: Iterable[float]) -> tuple[float, float, float, float]:
    """Mean, standard error, and the ends of the 95 % t-interval of the mean."""
    sample = np.array(list(values), dtype=np.float64)
    if sample.size == 0:
        return (np.nan,) * 4
    mean = float(sample.mean())
    if sample.size == 1:
        return mean, np.nan, np.nan, np.nan
    sem = float(sample.std(ddof=1) / np.sqrt(sample.size))
    reach = float(stdtrit(sample.size - 1, 0.5 + LEVEL / 2)) * sem
    return mean, sem, mean - reach, mean + reach


def as_dicts(rows: Sequence[Summary]) -> list[dict[str, Any]]:
    """The rows for CSV and JSON."""
    return [asdict(row) for row in rows]


def _rows(
    records: Sequence[JobRecord],
    experiment: Experiment,
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
        values = [float(profile.n_R) for profile in profiles]
    else:
        values = [float(getattr(p, quantity)[i]) for p, i in zip(profiles, places, strict=True)]
    if quantity == "sensitivity":
        values = [value for value, none in zip(values, vacuous, strict=True) if not none]
        if ablation == "full":
            return []
    mean, sem, low, high = statistics(values)
    published: list[PaperValue | None] = [
        item
        for item in PAPER
        if item.experiment == experiment.name
        and item.ablation == ablation
        and item.quantity == quantity
        and alpha in item.alphas
    ]
    return [
        Summary(
            experiment=experiment.name,
            alpha=alpha,
            ablation=ablation,
            quantity=quantity,
            mean=mean,
            sem=sem,
            n=len(values),
            t_low=low,
            t_high=high,
            vacuous=sum(vacuous),
            diverged=sum(diverged),
            paper_mean=None if paper is None else paper.mean,
            paper_sem=None if paper is None else paper.sem,
            paper_words="" if paper is None else paper.words,
            paper_source="" if paper is None else paper.source,
            ratio=None if paper is None or paper.mean == 0 else mean / paper.mean,
            verdict=_verdict(paper, mean, experiment, compare),
        )
        for paper in published or [None]
    ]


def _verdict(paper: PaperValue | None, mean: float, experiment: Experiment, compare: bool) -> str:
    if paper is None:
        return ""
    return verdict(paper, mean, experiment.measure) if compare else "QUICK"
