"""The finished jobs of a run, as tables and figures need them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import _core
from .._internal.brief import Brief
from .._internal.files import atomic_path
from ..ablation.profile import AblationProfile, Intervals
from ..sweep.plan import Job
from ..sweep.store.store import Store
from ..sweep.work import JobResult, load_result

LEVEL = 0.95  # of every interval
RESAMPLES = 2000


@dataclass(frozen=True, eq=False, repr=False)
class Record(Brief):
    """A finished job: its network, its profiles, and an interval over trials for each profile."""

    group: str
    job: Job
    result: JobResult
    intervals: tuple[Intervals, ...]

    @property
    def experiment(self) -> str:
        """Label of the task."""
        return self.job.setting.label

    @property
    def name(self) -> str:
        """Name in files and messages, e.g. ``"flip-flop-seed0"``."""
        return job_name(self.job)

    def profile(self, alpha: float) -> AblationProfile:
        """The profile at this cut."""
        return self.result.profiles[self.job.setting.alphas.index(alpha)]


def job_name(job: Job) -> str:
    """Experiment and seed, which identify a job."""
    return f"{job.setting.label}-seed{job.seed}"


def read_records(jobs: Sequence[tuple[str, Job]], store: Store) -> list[Record]:
    """The records of finished jobs, each with its group, in this order.

    Intervals use each job's "bootstrap" stream, cut after cut. NumPy releases the GIL while it
    draws, so threads share the work.
    """

    def read(item: tuple[str, Job]) -> Record:
        group, job = item
        result, rng = load_result(store, job.key), job.streams()["bootstrap"]
        drawn = tuple(profile.interval(LEVEL, RESAMPLES, rng) for profile in result.profiles)
        return Record(group, job, result, drawn)

    with ThreadPoolExecutor(_core.resolve_threads(0)) as pool:
        return list(pool.map(read, jobs))


def by_experiment(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Experiment → its seeds."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.experiment, []).append(record)
    return found


def save_networks(records: Sequence[Record], store: Store, folder: Path) -> list[str]:
    """Copy networks out of the store, and write the loss of every step; paths inside `folder`."""
    written = []
    for record in records:
        network, loss = (f"networks/{record.name}{end}" for end in (".npz", "-loss.npy"))
        with atomic_path(folder / network) as temporary:
            shutil.copyfile(store.network_path(record.job.key), temporary)
        with atomic_path(folder / loss) as temporary, open(temporary, "wb") as stream:
            np.save(stream, record.result.loss, allow_pickle=False)
        written += [network, loss]
    return written
