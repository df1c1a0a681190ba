"""The files of a run: tables as CSV, and one JSON that says where every number comes from."""

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
from .._version import __version__
from ..coordinates.schur import TIE_RULE
from .experiments import PAPER, Experiment
from .jobs import JobRecord
from .runner import Outcome
from .summary import VERDICT_RULE, Summary, as_dicts, lag_rows, seed_rows

FORMAT = "schurscope-report-1"


def save_tables(
    records: Sequence[JobRecord], rows: Sequence[Summary], folder: Path, *, mode: str
) -> list[str]:
    """Write every number under ``tables/``; returns the paths inside `folder`.

    ``<group>_seeds.csv`` has a row per seed, cut and ablation, ``<group>_summary.csv`` one per
    quantity over seeds with the paper's value, ``copy_accuracy_per_lag.csv`` the curves.
    """
    groups = {record.job.experiment.name: record.job.experiment.group for record in records}
    written = []
    for group in dict.fromkeys(groups.values()):
        mine = [record for record in records if record.job.experiment.group == group]
        summary = [row for row in rows if groups[row.experiment] == group]
        written += [
            _save_csv(folder, f"tables/{group}_seeds.csv", seed_rows(mine), mode),
            _save_csv(folder, f"tables/{group}_summary.csv", as_dicts(summary), mode),
        ]
        if group == "copy":
            path = "tables/copy_accuracy_per_lag.csv"
            written.append(_save_csv(folder, path, lag_rows(mine), mode))
    return written


def save_report(
    outcome: Outcome,
    rows: Sequence[Summary],
    experiments: Sequence[Experiment],
    folder: Path,
    *,
    mode: str,
    run: Mapping[str, Any],
    files: Sequence[str],
) -> None:
    """Write ``report.json``: a section per group, and those of an earlier run's other groups."""
    path = folder / "report.json"
    groups = _earlier_groups(path, mode)
    for group in dict.fromkeys(experiment.group for experiment in experiments):
        mine = [experiment for experiment in experiments if experiment.group == group]
        names = {experiment.name for experiment in mine}
        groups[group] = {
            "written": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "run": dict(run),
            "environment": environment(),
            "experiments": [experiment.configuration() for experiment in mine],
            "jobs": [
                _job(record, outcome)
                for record in outcome.records
                if record.job.experiment.group == group
            ],
            "summary": as_dicts([row for row in rows if row.experiment in names]),
        }
    write_json(
        path,
        {
            "format": FORMAT,
            "mode": mode,
            "tie_rule": TIE_RULE,
            "verdict_rule": VERDICT_RULE,
            "paper": [vars(value) for value in PAPER],
            "groups": groups,
            "failures": outcome.failures,
            "files": list(files),
        },
    )


def _earlier_groups(path: Path, mode: str) -> dict[str, Any]:
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
        same = earlier["format"] == FORMAT and earlier["mode"] == mode
        return dict(earlier["groups"]) if same else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # there is none, or it is damaged; this run writes it anew


def environment() -> dict[str, Any]:
    """Versions, processor level and machine."""
    packages = ("numpy", "scipy", "matplotlib")
    return {
        "schurscope": __version__,
        **{package: version(package) for package in packages},
        "python": platform.python_version(),
        "core": _core.build_info(),
        "level": _core.LEVEL,
        "runnable_levels": list(_core.RUNNABLE_LEVELS),
        "system": platform.system(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
    }


def _job(record: JobRecord, outcome: Outcome) -> dict[str, Any]:
    content = record.content
    kept = ("key", "level", "n_threads", "last_loss", "schur", "seconds", "files")
    return {
        "name": record.job.name,
        "reused": record.job.name in outcome.reused,
        "entropy": record.job.experiment.entropy(record.job.seed),
        **{name: content[name] for name in kept},
        "settings": [profile["settings"] for profile in content["profiles"]],
    }


def _save_csv(folder: Path, path: str, rows: Sequence[Mapping[str, Any]], mode: str) -> str:
    columns = ["mode", *rows[0]]
    with (
        atomic_path(folder / path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows({"mode": mode, **plain(dict(row))} for row in rows)
    return path
