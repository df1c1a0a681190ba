"""The files of a run: tables as CSV, and a JSON report with the provenance of every number."""

from __future__ import annotations

import csv
import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .. import _core
from .._internal.files import atomic_path
from .._internal.json import plain, write_json
from ..coordinates.orders import TIE_RULE
from ..sweep.plan import Job
from ..sweep.work import place_of_work
from .experiments import PAPER
from .records import LEVEL, RESAMPLES, Record
from .summary import VERDICT_RULE, Summary, as_dicts, lag_rows, seed_rows

FORMAT = "schurscope-report-2"


def save_tables(
    records: Sequence[Record], rows: Sequence[Summary], folder: Path, *, mode: str
) -> list[str]:
    """Write every number under ``tables/``; returns the paths inside `folder`.

    ``<group>_seeds.csv`` has a row per seed, cut and ablation, ``<group>_summary.csv`` one per
    quantity over seeds with the paper's value, and ``copy_accuracy_per_lag.csv`` the curves.
    """
    groups = {record.experiment: record.group for record in records}
    written = []
    for group in dict.fromkeys(groups.values()):
        mine = [record for record in records if record.group == group]
        summary = [row for row in rows if groups[row.experiment] == group]
        written += [
            save_csv(folder, f"tables/{group}_seeds.csv", seed_rows(mine), mode),
            save_csv(folder, f"tables/{group}_summary.csv", as_dicts(summary), mode),
        ]
        if group == "copy":
            path = "tables/copy_accuracy_per_lag.csv"
            written.append(save_csv(folder, path, lag_rows(mine), mode))
    return written


def save_report(
    plans: Mapping[str, Sequence[Job]],
    records: Sequence[Record],
    rows: Sequence[Summary],
    failures: Mapping[str, str],
    folder: Path,
    *,
    mode: str,
    run: Mapping[str, Any],
    files: Sequence[str],
) -> None:
    """Write ``report.json``: a section per group; an earlier run's other groups are kept."""
    path = folder / "report.json"
    groups = _earlier_groups(path, mode)
    for group, jobs in plans.items():
        settings = {job.setting.label: job.setting for job in jobs}
        groups[group] = {
            "written": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "run": dict(run),
            "environment": environment(),
            "experiments": {label: each.configuration() for label, each in settings.items()},
            "jobs": [_job(record) for record in records if record.group == group],
            "summary": as_dicts([row for row in rows if row.experiment in settings]),
        }
    write_json(
        path,
        {
            "format": FORMAT,
            "mode": mode,
            "tie_rule": TIE_RULE,
            "bootstrap": {"level": LEVEL, "n_resamples": RESAMPLES},
            "verdict_rule": VERDICT_RULE,
            "paper": [vars(value) for value in PAPER],
            "groups": groups,
            "failures": dict(failures),
            "files": list(files),
        },
    )


def _earlier_groups(path: Path, mode: str) -> dict[str, Any]:
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
        same = earlier["format"] == FORMAT and earlier["mode"] == mode
        return dict(earlier["groups"]) if same else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # absent or damaged: write it from scratch


def environment() -> dict[str, Any]:
    """Versions, processor level and machine."""
    return {
        **place_of_work(),
        "matplotlib": version("matplotlib"),
        "core": _core.build_info(),
        "runnable_levels": list(_core.RUNNABLE_LEVELS),
        "system": platform.system(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
    }


def _job(record: Record) -> dict[str, Any]:
    """Provenance of a job; its configuration is listed with its experiment."""
    result, schur = record.result, record.result.profiles[0].schur
    kept = {name: x for name, x in result.provenance.items() if name != "configuration"}
    of_schur = {name: getattr(schur, name) for name in ("rho", "residual", "departure", "n_swaps")}
    return {
        "name": record.name,
        **kept,
        "last_loss": result.loss[-1],
        "schur": {**of_schur, "n_refused": len(schur.refused), "n_blocks": len(schur.starts)},
    }


def save_csv(folder: Path, path: str, rows: Sequence[Mapping[str, Any]], mode: str) -> str:
    """Write the rows, at least one, with the mode in the first column; returns `path`."""
    columns = ["mode", *rows[0]]
    with (
        atomic_path(folder / path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows({"mode": mode, **plain(dict(row))} for row in rows)
    return path
