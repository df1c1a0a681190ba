"""All results of a sweep as one table, and as an array with named axes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._internal.brief import Brief
from .._internal.checks import shown
from .._internal.files import atomic_path
from ..ablation.names import named_couplings
from ..diagnosis.cuts import CutCurve, CutCurves
from ..diagnosis.result import Diagnosis, load_part
from .config import Sweep, SweepTask
from .plan import Job, plan
from .store.index import Entry
from .store.store import Contents, Store

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["Collection", "collect", "save_table", "spectra"]

STATES = ("done", "failed", "running", "missing")
FLOATS = ("value", "change", "removed_mass", "sensitivity")
AXES = ("task", "recurrent", "N_h", "seed", "alpha", "ablation")


@dataclass(frozen=True, eq=False, repr=False)
class Collection(Brief):
    """The contents of a store for one sweep.

    Attributes
    ----------
    jobs : DataFrame
        One row per job, in plan order: `task`, `N_h`, `recurrent`, `seed`, `key`,
        `state` (done, failed, running or missing), `baseline` (the measure of the full network),
        `passed` (whether it reaches the gate), `loss` (of the last batch), `seconds`, `host`,
        `finished` (seconds since 1970) and `problem` (the error of a failed job, or the damage to
        a file).
    rows : DataFrame
        One row per finished job, cut and ablation: `task`, `N_h`, `recurrent`, `seed`,
        `alpha`, `ablation`, `measure`, `value`, `change`, `removed_mass`, `sensitivity`,
        `vacuous`, `diverged`, `n_R`, `gap`, `baseline`, `passed`, `loss` and `key`; see
        `AblationProfile`. Rows are bit-identical however the jobs were run. In gated networks
        `n_R` and `gap` are those of the one gate that the ablation names, missing where it is not
        one.
    store : Store
        Where they come from.
    """

    jobs: pd.DataFrame
    rows: pd.DataFrame
    store: Store

    def diagnosis(self, of: Any) -> Diagnosis:
        """Read the diagnosis of one network.

        Parameters
        ----------
        of : Job, or row of `jobs` or `rows`
            Anything with the attribute ``key``, or the key itself.

        Raises
        ------
        ValueError
            The store has no diagnosis of it, or a damaged one.
        """
        found = self._diagnosed(of, "true")
        if not isinstance(found, Diagnosis):
            raise ValueError(
                'of must be a job of a sweep with diagnose = true, this one has diagnose = "cuts": '
                "see cuts"
            )
        return found

    def cuts(self, of: Any) -> CutCurve | None:
        """Read the cut curve of one network, None if its T is a single block.

        Parameters and errors as for `diagnosis`; a sweep with ``diagnose = "cuts"`` suffices. Gated
        networks have `curves`.
        """
        curves = self.curves(of)
        if set(curves) - {""}:
            raise ValueError(
                f"of must have the vanilla cell, got gates {', '.join(curves)}: curves"
            )
        return curves.get("")

    def curves(self, of: Any) -> Mapping[str, CutCurve]:
        """Read the cut curves of one network: gate → curve, unless its T is a single block.

        The vanilla cell's gate is ``""``. Parameters and errors as for `diagnosis`; a sweep with
        ``diagnose = "cuts"`` suffices.
        """
        return self._diagnosed(of, 'true or "cuts"').curves

    def _diagnosed(self, of: Any, setting: str) -> Diagnosis | CutCurves:
        key = of if isinstance(of, str) else of.key
        path = self.store.diagnosis_path(key)
        if not (self.store.has(key) and path.exists()):
            raise ValueError(
                f"of must be a finished job of a sweep with diagnose = {setting}, and "
                f"{self.store.root} has no diagnosis of {key}"
            )
        return load_part(path)

    def counts(self) -> dict[str, int]:
        """State → number of jobs."""
        found = Counter(self.jobs["state"])
        return {state: found[state] for state in STATES}

    def to_xarray(self) -> xr.Dataset:
        """The rows as a Dataset over task, recurrent, N_h, seed, alpha and ablation.

        Missing results are NaN or False. `n_R`, `gap`, `baseline`, `passed` and `loss` omit axes
        that they do not depend on. Needs xarray.
        """
        try:
            import xarray  # noqa: F401
        except ImportError as error:
            raise ImportError('to_xarray needs xarray: pip install "schurscope[sweep]"') from error
        frame = self.rows.astype(dict.fromkeys(("task", "recurrent", "ablation"), str))
        names = [*FLOATS, "vacuous", "diverged"]
        dataset = _on_axes(frame, AXES, names)
        # Gates have cuts of their own, and ablations name the gates.
        axes = AXES if frame["n_R"].dtype == "Int64" else AXES[:5]
        of_cut = frame.drop_duplicates(list(axes))
        of_network = frame.drop_duplicates(list(AXES[:4]))
        return dataset.merge(_on_axes(of_cut, axes, ["n_R", "gap"])).merge(
            _on_axes(of_network, AXES[:4], ["baseline", "passed", "loss"])
        )


def collect(sweep: Sweep, store: str | os.PathLike[str], *, verify: bool = False) -> Collection:
    """Read a sweep's results from a store, without writing. Needs pandas.

    Parameters
    ----------
    sweep : Sweep
    store : path
    verify : bool
        Unpack every file and compare its numbers with the index, instead of checking only the
        file's checksum.

    Raises
    ------
    StoreError
        There is no store, or another version of the package created it.
    """
    found = Store(store)
    jobs = plan(sweep, found.level)
    contents = found.contents(verify=verify)
    failed, running = found.failed(), found.running()
    _drop_unfit(sweep, jobs, contents)
    problems = {job.key: contents.damaged.get(job.key, "") for job in jobs}
    for key in failed & problems.keys():
        problems[key] = found.failure(key)["error"]
    states = [_state(job.key, contents.entries, failed, running) for job in jobs]
    table = _job_table(sweep, jobs, states, problems, contents.entries)
    return Collection(table, _rows(sweep, table, contents.entries), found)


def save_table(table: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a table atomically, as Parquet or CSV by the path's suffix."""
    suffix = Path(path).suffix
    if suffix not in (".parquet", ".csv"):
        raise ValueError(f"a table's file must end in .parquet or .csv, got {shown(str(path))}")
    with atomic_path(path) as temporary:
        if suffix == ".csv":
            table.to_csv(temporary, index=False)
            return
        try:
            table.to_parquet(temporary, index=False)
        except ImportError as error:
            raise ImportError('Parquet needs pyarrow: pip install "schurscope[sweep]"') from error


def spectra(
    collection: Collection, store: Store, most: int = 50
) -> dict[tuple[str, str], dict[int, list[npt.NDArray[np.float64]]]]:
    """Moduli of the eigenvalues of trained networks: (task, construction) → N_h → list of (N_h,).

    Of gated networks (gates, N_h). Reads the records of the first `most` networks of each kind and
    width that reach their gate; if none does, of the first `most`. Errors as in `load_result`.
    """
    found: dict[tuple[str, str], dict[int, list[npt.NDArray[np.float64]]]] = {}
    done = collection.jobs[collection.jobs["state"] == "done"]
    groups: Any = done.groupby(["task", "recurrent", "N_h"], observed=True, sort=False)
    for (task, recurrent, width), kind in groups:
        passed = kind[kind["passed"]]
        chosen = (passed if len(passed) else kind)["key"][:most]
        moduli = [store.read_record(key)[0]["moduli"] for key in chosen]
        found.setdefault((str(task), str(recurrent)), {})[int(width)] = moduli
    return found


def _drop_unfit(sweep: Sweep, jobs: Sequence[Job], contents: Contents) -> None:
    """Count entries without a number for every cut and ablation as damaged."""
    shape = (len(sweep.alphas), len(sweep.ablations), 6)
    for job in jobs:
        if job.key in contents.entries and contents.entries[job.key].rows.shape != shape:
            del contents.entries[job.key]
            contents.damaged[job.key] = "its index is damaged: it lacks cuts or ablations"


def _state(key: str, entries: dict[str, Entry], failed: set[str], running: set[str]) -> str:
    if key in entries:
        return "done"
    if key in failed:
        return "failed"
    return "running" if key in running else "missing"


def _job_table(
    sweep: Sweep,
    jobs: Sequence[Job],
    states: Sequence[str],
    problems: dict[str, str],
    entries: dict[str, Entry],
) -> pd.DataFrame:
    import pandas as pd

    gates = {task.label: task for task in sweep.tasks if isinstance(task, SweepTask)}
    found = [entries.get(job.key) for job in jobs]
    nan = float("nan")
    baseline = [nan if entry is None else float(entry.rows[0, 0, 0]) for entry in found]
    labels = [job.setting.label for job in jobs]
    passed = [gates[name].passes(value) for name, value in zip(labels, baseline, strict=True)]
    columns: dict[str, Any] = {
        "task": _category(labels),
        "N_h": [job.n_hidden for job in jobs],
        "recurrent": _category([job.recurrent for job in jobs]),
        "seed": [job.seed for job in jobs],
        "measure": _category([job.setting.measure for job in jobs]),
        "key": _category([job.key for job in jobs]),
        "state": _category(states, STATES),
        "baseline": baseline,
        "passed": passed,
        "loss": [nan if entry is None else entry.loss for entry in found],
        "seconds": [nan if entry is None else entry.seconds for entry in found],
        "host": _category(["" if entry is None else entry.host for entry in found]),
        "finished": [nan if entry is None else entry.finished for entry in found],
        "problem": [problems[job.key] for job in jobs],
    }
    return pd.DataFrame(columns)


def _rows(sweep: Sweep, jobs: pd.DataFrame, entries: dict[str, Entry]) -> pd.DataFrame:
    done = jobs[jobs["state"] == "done"]
    found = [entries[key] for key in done["key"]]
    n_alphas, n_ablations = len(sweep.alphas), len(sweep.ablations)
    kept = ["task", "N_h", "recurrent", "seed", "measure", "baseline", "passed", "loss", "key"]
    rows = done[kept].take(np.repeat(np.arange(len(done)), n_alphas * n_ablations))
    rows = rows.reset_index(drop=True)
    alphas = np.repeat(np.array(sweep.alphas, dtype=np.float64), n_ablations)
    rows.insert(4, "alpha", np.tile(alphas, len(done)))
    names = _category(list(sweep.ablations) * (n_alphas * len(done)), sweep.ablations)
    rows.insert(5, "ablation", names)
    numbers = np.array([entry.rows for entry in found]).reshape(-1, 6)
    for place, name in enumerate(FLOATS):
        rows.insert(7 + place, name, numbers[:, place])
    rows.insert(11, "vacuous", numbers[:, 4].astype(np.bool_))
    rows.insert(12, "diverged", numbers[:, 5].astype(np.bool_))
    rows.insert(13, "n_R", _n_R(sweep, found))
    rows.insert(14, "gap", _of_ablations(sweep, found, 1))
    return rows


def _n_R(sweep: Sweep, found: Sequence[Entry]) -> Any:
    import pandas as pd

    n_R = _of_ablations(sweep, found, 0)
    return pd.Series(n_R).astype("Int64" if sweep.cell.gates else np.int64)


def _of_ablations(sweep: Sweep, found: Sequence[Entry], which: int) -> npt.NDArray[np.float64]:
    """n_R or the gap of the cut that each row ablates: (entries · alphas · ablations,).

    NaN for the ablations of a gated network that name several gates, or none.
    """
    cuts = np.array([entry.cuts[..., which] for entry in found])
    gates = sweep.cell.gates
    if not gates:
        return np.repeat(cuts.ravel(), len(sweep.ablations))
    named = [tuple(named_couplings(name, gates)) for name in sweep.ablations]
    columns = [gates.index(one[0]) if len(one) == 1 else len(gates) for one in named]
    cuts = cuts.reshape(-1, len(gates))
    return np.pad(cuts, [(0, 0), (0, 1)], constant_values=np.nan)[:, columns].ravel()


def _category(values: Sequence[str], known: Sequence[str] | None = None) -> Any:
    """The values as categories, one or two bytes each, in order of appearance."""
    import pandas as pd

    categories = list(dict.fromkeys(values) if known is None else known)
    return pd.Categorical(list(values), categories=categories)


def _on_axes(frame: pd.DataFrame, axes: Sequence[str], names: Sequence[str]) -> xr.Dataset:
    import xarray as xr

    places, sizes, coordinates = [], [], {}
    for axis in axes:
        labels = list(dict.fromkeys(frame[axis]))
        where = {label: place for place, label in enumerate(labels)}
        places.append(np.array([where[label] for label in frame[axis]], dtype=np.int64))
        sizes.append(len(labels))
        coordinates[axis] = labels
    arrays = {}
    for name in names:
        is_flag = frame[name].dtype == np.bool_
        column = frame[name].to_numpy() if is_flag else frame[name].to_numpy(float, na_value=np.nan)
        array = np.zeros(sizes, np.bool_) if is_flag else np.full(sizes, np.nan)
        array[tuple(places)] = column
        arrays[name] = (tuple(axes), array)
    return xr.Dataset(arrays, coords=coordinates)
