"""Jobs side by side: what is done already is reused, the rest runs in threads.

Threads are enough, and share memory, because the core gives up Python's lock for the whole of
every call.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .jobs import Job, JobRecord, load_job, run_job

POLL = 0.1  # seconds between looks at Ctrl-C


class Listener(Protocol):
    """Who is told how the jobs are getting on; called from several threads."""

    def reused(self, job: Job) -> None:
        """The job was done in an earlier run."""

    def redoing(self, job: Job, reason: str) -> None:
        """There is a record of the job, but it cannot be used."""

    def advanced(self, job: Job, done: int, total: int, loss: float) -> None:
        """The training of a job is `done` of `total` steps far."""

    def finished(self, record: JobRecord) -> None:
        """The job is done."""

    def failed(self, job: Job, error: Exception) -> None:
        """The job cannot be done."""


@dataclass(frozen=True)
class Outcome:
    """What became of all jobs, in their order.

    Attributes
    ----------
    records : tuple of JobRecord
        The jobs that are done.
    reused : frozenset of str
        Names of those that an earlier run did.
    failures : dict
        Name → message of those that cannot be done.
    """

    records: tuple[JobRecord, ...]
    reused: frozenset[str]
    failures: dict[str, str]


class _Stopped(Exception):
    """The run was interrupted; the job gives up."""


def run_jobs(
    jobs: Sequence[Job], folder: Path, *, n_jobs: int, n_threads: int, listener: Listener
) -> Outcome:
    """Do the jobs, `n_jobs` at a time.

    KeyboardInterrupt stops the running jobs within a slab of training steps and is raised again;
    finished jobs stay, unfinished ones leave no record.
    """
    done: dict[str, JobRecord] = {}
    failures: dict[str, str] = {}
    missing = []
    for job in jobs:
        record, reason = load_job(job, folder)
        if record is not None:
            done[job.name] = record
            listener.reused(job)
        else:
            missing.append(job)
            if reason:
                listener.redoing(job, reason)
    reused = frozenset(done)

    stop = threading.Event()

    def check() -> None:
        if stop.is_set():
            raise _Stopped

    def work(job: Job) -> JobRecord:
        check()
        return run_job(
            job,
            folder,
            n_threads,
            check,
            lambda steps, total, loss: listener.advanced(job, steps, total, loss),
        )

    missing.sort(key=lambda job: job.steps, reverse=True)  # the longest first: all end together
    with ThreadPoolExecutor(n_jobs, thread_name_prefix="schurscope-job") as pool:
        pending: dict[Future[JobRecord], Job] = {pool.submit(work, job): job for job in missing}
        try:
            while pending:
                ready, _ = wait(pending, timeout=POLL, return_when=FIRST_COMPLETED)
                for future in ready:
                    job = pending.pop(future)
                    try:
                        done[job.name] = future.result()
                    except Exception as error:
                        failures[job.name] = f"{type(error).__name__}: {error}"
                        listener.failed(job, error)
                    else:
                        listener.finished(done[job.name])
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return Outcome(tuple(done[job.name] for job in jobs if job.name in done), reused, failures)
