"""Pages of a sweep: one for each network, and one for each task and construction."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..sweep.collect import Collection
from .pages import report
from .render import environment

__all__ = ["save_sweep_pages"]


def save_sweep_pages(found: Collection, out: Path) -> list[str]:
    """Write the pages of the networks that passed their gate, and the pages that compare them.

    The pages that compare lie beside those of the networks, to which they link: the folder belongs
    together.

    Parameters
    ----------
    found : Collection
        Of a sweep with ``diagnose = true``.
    out : Path
        An existing folder.

    Returns
    -------
    list of str
        Names of the pages that compare networks.

    Raises
    ------
    ImportError
        Jinja2 is missing.
    ValueError
        A diagnosis is missing or damaged.
    """
    environment()
    jobs = found.jobs
    shown = jobs[(jobs["state"] == "done") & jobs["passed"]]
    written = []
    kinds: Any = shown.groupby(["task", "recurrent"], observed=True, sort=False)
    for (task, recurrent), rows in kinds:
        stem = re.sub(r"[^\w.-]+", "-", f"{task}-{recurrent}")
        diagnoses, names, links = [], [], []
        for row in rows.itertuples():
            diagnosis = found.diagnosis(row)
            name = f"N_h {row.N_h}, seed {row.seed}"
            link = f"{stem}-N{row.N_h}-seed{row.seed}.html"
            facts = {"task": task, "construction": recurrent, "seed": row.seed, "job": row.key}
            diagnosis.report(out / link, title=f"{task}, {recurrent}, {name}", facts=facts)
            diagnoses.append(diagnosis)
            names.append(name)
            links.append(link)
        report(
            diagnoses,
            out / f"{stem}.html",
            title=f"{task}, {recurrent}",
            names=names,
            links=links,
            groups=[f"N_h {width}" for width in rows["N_h"]],
            facts={"networks left out, as they did not pass their gate": _left_out(jobs, rows)},
        )
        written.append(f"{stem}.html")
    return written


def _left_out(jobs: Any, rows: Any) -> int:
    same = (jobs["task"] == rows["task"].iloc[0]) & (jobs["recurrent"] == rows["recurrent"].iloc[0])
    return int((same & (jobs["state"] == "done") & ~jobs["passed"]).sum())
