"""Diagnoses of the networks of a run: each one's page, and every number of the tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import _core
from .._internal.brief import Brief
from .._internal.frozen import computed_once
from ..ablation.measures import MEASURES
from ..ablation.run import ablate
from ..coordinates.schur import ordered_schur
from ..diagnosis.diagnose import diagnose
from ..diagnosis.result import Diagnosis
from ..networks.network import Network
from ..reporting import report
from ..reporting.diagnosis import save_diagnosis
from ..sweep.executors.pool import ProcessPool
from ..sweep.plan import Job
from ..sweep.progress import Progress
from ..sweep.store.store import Store
from .experiments import ALPHA
from .records import Record, job_name

ALPHAS = (0.75, 0.8, 0.85, 0.9, 0.95)
"""Cuts at which a claim must hold to survive the choice of alpha."""
BLOCKS = ("RR", "CR", "CC")
TOLERANCE = 0.01
FOLDER = "diagnosis"


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosed(Brief):
    """A network of an experiment, diagnosed by one measure.

    Attributes
    ----------
    experiment : str
    seed : int
    measure : str
    diagnosis : Diagnosis
    losses : dict
        Coupling → its loss at each of `ALPHAS`.
    """

    experiment: str
    seed: int
    measure: str
    diagnosis: Diagnosis
    losses: Mapping[str, Sequence[float]]

    @computed_once
    def numbers(self) -> dict[str, Any]:
        """All numbers that the tables show, NaN where there is none."""
        found, can_go = self.diagnosis, self.diagnosis.removable
        agreement, nan = found.atlas.agreement, float("nan")
        shares = ("pair_share", "random_pair_share", "mass_share", "random_mass_share")
        cut, largest = self._largest_near()
        tests = {"p_N": ("pairs_null", "N"), "p_outside": ("pairs_null", "outside")}
        tests["p_partition"] = ("partition_null", "partition")
        return {
            "experiment": self.experiment,
            "seed": self.seed,
            "measure": self.measure,
            "n_R": found.profile.sectors.n_R,
            "spearman": nan if agreement is None else agreement.spearman,
            **{name: float(getattr(can_go, name, nan)) for name in shares},
            "CR": found.loss("CR"),
            "CR_largest_near": largest,
            "cut_of_largest": cut,
            **{f"decision_{name}": found.decision(name) for name in found.couplings},
            **{name: self._p_value(*test)[0] for name, test in tests.items()},
            **{f"{name}_more": self._p_value(*test)[1] for name, test in tests.items()},
            **{
                f"{name}_at_alpha{alpha:g}": loss
                for name, losses in self.losses.items()
                for alpha, loss in zip(ALPHAS, losses, strict=True)
            },
        }

    def beats_chance(self, coupling: str) -> bool | None:
        """Whether it costs more (or else less) than random pairs of its mass; None if p > 0.05."""
        p, quantile = self.diagnosis.chance(coupling)
        return self._is_more(quantile) if p <= 0.05 else None

    def _p_value(self, of: str, pool: str) -> tuple[float, bool]:
        """Two-sided p of CR against a null, and whether it costs more than most draws."""
        null = getattr(self.diagnosis, of)
        if null is None or not (at := (null.names == "CR") & (null.pool == pool)).any():
            return float("nan"), False
        return float(null.p[at][0]), self._is_more(float(null.quantile[at][0]))

    def _is_more(self, quantile: float) -> bool:
        return (quantile > 0.5) == (self.diagnosis.profile.definition.loss_sign > 0)

    def _largest_near(self) -> tuple[int, float]:
        """Dimensions in R and loss of CR at the worst cut within a quarter of the dimensions."""
        curve, sectors = self.diagnosis.cuts, self.diagnosis.profile.sectors
        if curve is None or sectors.n_R == sectors.schur.n_hidden:
            return sectors.n_R, float("nan")
        near = curve.near(self.diagnosis.profile.alpha)
        losses = self.diagnosis.profile.definition.loss_sign * curve.change[near]
        worst = int(np.argmax(np.where(np.isnan(losses), np.inf, losses)))
        return int(curve.cut[near[worst]]), float(losses[worst])


def diagnose_networks(
    records: Sequence[Record],
    out: Path,
    *,
    n_workers: int,
    executor: Executor | None,
    progress: Progress,
    with_pages: bool = False,
) -> list[Diagnosed]:
    """Diagnose every network that has a coupling, by its task's measure and by FVU.

    Writes each network's page, tables and diagnosis to ``diagnosis/NAME``; complete ones are
    reused. The numbers do not depend on the workers. `with_pages` adds ``page.html`` to each, and
    ``diagnosis/EXPERIMENT.html``, which compares its networks.
    """
    asked = [
        (record.job, measure)
        for record in records
        if any(not record.profile(ALPHA)[name].vacuous for name in BLOCKS)
        for measure in dict.fromkeys((record.job.setting.measure, "fvu"))
    ]
    if not asked:
        return []
    workers = min(n_workers or _core.resolve_threads(0), len(asked))
    pool = ProcessPool(workers) if executor is None else None
    try:
        losses = _submitted(asked, out, executor or pool, workers, progress)
    except BaseException:
        if pool is not None:
            pool.kill()
        raise
    if pool is not None:
        pool.shutdown()
    diagnosed = [
        Diagnosed(
            job.setting.label,
            job.seed,
            measure,
            Diagnosis.load(_folder(out, job, measure) / "diagnosis.npz"),
            found,
        )
        for (job, measure), found in zip(asked, losses, strict=True)
    ]
    if with_pages:
        _save_pages(asked, diagnosed, out)
    return diagnosed


def _save_pages(
    asked: Sequence[tuple[Job, str]], diagnosed: Sequence[Diagnosed], out: Path
) -> None:
    """A page for each network, and one for each experiment and measure."""
    kinds: dict[str, list[tuple[Job, Diagnosed]]] = {}
    for (job, measure), one in zip(asked, diagnosed, strict=True):
        folder = _folder(out, job, measure)
        kind = folder.name.replace(f"-seed{job.seed}", "")
        network = Store(out / "store").network_path(job.key)
        one.diagnosis.report(
            folder / "page.html",
            title=f"{job.setting.label}, seed {job.seed}",
            facts={"task": job.setting.evaluation, "seed": job.seed, "job": job.key},
            files=[network],
        )
        kinds.setdefault(kind, []).append((job, one))
    for kind, mine in kinds.items():
        report(
            [one.diagnosis for _, one in mine],
            out / FOLDER / f"{kind}.html",
            title=f"{mine[0][1].experiment}, by {MEASURES[mine[0][1].measure].heading}",
            names=[f"seed {one.seed}" for _, one in mine],
            links=[f"{_folder(out, job, one.measure).name}/page.html" for job, one in mine],
        )


def _submitted(
    asked: Sequence[tuple[Job, str]], out: Path, executor: Any, workers: int, progress: Progress
) -> list[Mapping[str, Sequence[float]]]:
    root = out.resolve()
    futures = [executor.submit(diagnose_job, job, measure, root) for job, measure in asked]
    for done, future in enumerate(as_completed(futures), start=1):
        future.result()
        left = len(futures) - done
        progress.show(done, len(futures), min(left, workers), 0, None, last=left == 0)
    return [future.result() for future in futures]


def diagnose_job(job: Job, measure: str, out: Path) -> dict[str, list[float]]:
    """Diagnose the network of one job unless that is done; the loss of each coupling at ALPHAS."""
    network = Network.load(Store(out / "store").network_path(job.key))
    streams, setting = job.streams(), job.setting
    trials = setting.evaluation.trials(
        setting.evaluation_trials, streams["evaluation"], dtype=setting.dtype
    )
    schur = ordered_schur(network.W_hh.astype(np.float64))
    common: dict[str, Any] = {"measure": measure, "schur": schur, "n_threads": 1}
    folder = _folder(out, job, measure)
    if not _is_done(folder, job.key):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "diagnosis.npz").unlink(missing_ok=True)
        diagnosis = diagnose(
            network,
            trials,
            alpha=ALPHA,
            tolerance=TOLERANCE,
            rng=streams["diagnosis"],
            **common,
        )
        save_diagnosis(folder, diagnosis, {"key": job.key})
    profiles = [ablate(network, trials, alpha=a, ablations=BLOCKS, **common) for a in ALPHAS]
    sign = profiles[0].definition.loss_sign
    return {name: [sign * float(p[name].change) for p in profiles] for name in BLOCKS}


def _folder(out: Path, job: Job, measure: str) -> Path:
    """``diagnosis/copy-orthogonal-seed0``, with ``-fvu`` if that is not the task's measure."""
    ending = "" if measure == job.setting.measure else f"-{measure}"
    return out / FOLDER / (job_name(job) + ending)


def _is_done(folder: Path, key: str) -> bool:
    """Whether the folder holds this network's diagnosis, which is written last, intact."""
    try:
        settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
        Diagnosis.load(folder / "diagnosis.npz")
        return bool(settings["key"] == key)
    except (OSError, ValueError, KeyError, TypeError):
        return False
