"""The job queue of one run, and its bookkeeping."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from typing import Any

from .plan import Job, longest_first
from .progress import Progress
from .store.claims import Runner
from .store.index import Entry, Log
from .store.store import Store

__all__ = ["Outcome", "Todo", "WorkerDied"]

BATCH_SECONDS = 1.0  # of work per batch, so that the overhead of a batch is negligible
BATCH_MOST = 256
DEATHS = 3  # of workers, after which the job counts as failed


class WorkerDied(BrokenExecutor):
    """An executor's report that a call's worker died `times` times."""

    def __init__(self, message: str, times: int) -> None:
        super().__init__(message)
        self.times = times


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run.

    Attributes
    ----------
    total : int
        Jobs of the plan, or of the shard.
    done : int
        Jobs in the store, with valid files.
    ran : int
        Jobs that this run completed.
    failed : int
        Jobs recorded as failed.
    elsewhere : int
        Jobs claimed by another live runner.
    seconds : float
        Duration of the run.
    compute : float
        Seconds taken by this run's jobs, summed over workers.
    """

    total: int
    done: int
    ran: int
    failed: int
    elsewhere: int
    seconds: float
    compute: float


class Todo:
    """The job queue of a run: jobs waiting, done, or lost with their worker."""

    def __init__(
        self, store: Store, runner: Runner, jobs: Sequence[Job], progress: Progress | None
    ) -> None:
        self.store = store
        self.runner = runner
        self._log = Log(store.root, runner)
        self._jobs = jobs
        self._progress = progress
        self._damaged: dict[str, str] = {}
        self._found: list[str] = []  # completed by other runners meanwhile
        self._waiting: deque[Job] = deque()
        self._alone: deque[Job] = deque()  # claimed; their batch lost its worker
        self._cost_left = 0.0
        self._elsewhere: list[Job] = []  # claimed by other runners
        self._done = self._ran = self._failed = 0
        self._compute = 0.0
        self._recent_seconds, self._recent_cost = 0.0, 0.0

    def prepare(self, *, retry_failed: bool, verify: bool) -> None:
        """Read the store, repair its index, and queue the remaining jobs."""
        contents = self.store.contents(verify=verify)
        self._damaged = contents.damaged
        self._mend(contents.unindexed)
        self.store.tidy(contents.entries)
        if retry_failed:
            self.store.forget_failures(job.key for job in self._jobs)
        failed = self.store.failed()
        for job in longest_first(list(self._jobs)):
            if job.key in contents.entries:
                self._done += 1
            elif job.key in failed:
                self._failed += 1
            else:
                self._waiting.append(job)
                self._cost_left += job.cost

    def is_left(self) -> bool:
        """Whether any job is queued."""
        return bool(self._waiting or self._alone)

    def take(self, slots: int) -> list[Job]:
        """Claim a batch of jobs, about a second of work; empty when none is left."""
        if self._alone:
            return [self._alone.popleft()]
        if not self._waiting:
            self._take_back()
        # Batches shrink towards the end, so that all workers finish together.
        most = min(BATCH_MOST, 1 + len(self._waiting) // (4 * slots))
        batch: list[Job] = []
        seconds = 0.0
        while self._waiting and len(batch) < most and seconds < BATCH_SECONDS:
            job = self._waiting.popleft()
            if not self.runner.claim(job.key):
                self._elsewhere.append(job)
            elif self._is_settled(job):
                self.runner.release(job.key)
                self._cost_left -= job.cost
            else:
                batch.append(job)
                # The speed is unknown before the first result: one job.
                seconds += job.cost * self._rate() if self._recent_cost else math.inf
        return batch

    def finish(self, batch: Sequence[Job], entries: Sequence[Entry | None]) -> None:
        """Index the completed jobs, then release the claims; in this order."""
        done = [entry for entry in entries if entry is not None]
        self._log.append(done)
        for job, entry in zip(batch, entries, strict=True):
            self.runner.release(job.key)
            self._cost_left -= job.cost
            if entry is None:
                self._failed += 1
                self.say(f"{job}: failed, {self.store.failure(job.key)['error']}")
            else:
                self._recent_seconds = 0.9 * self._recent_seconds + entry.seconds
                self._recent_cost = 0.9 * self._recent_cost + job.cost
        self._done += len(done)
        self._ran += len(done)
        self._compute += sum(entry.seconds for entry in done)

    def lose(self, batch: Sequence[Job], error: BrokenExecutor) -> None:
        """Retry a dead worker's jobs one by one; a job that keeps killing its worker fails."""
        left = []
        for job in batch:
            if self.store.has(job.key):
                self.finish([job], [self.store.entry(job.key)])
            else:
                left.append(job)
        if len(batch) == 1 and left:
            times = error.times if isinstance(error, WorkerDied) else 1
            if self.store.count_death(batch[0].key, times) >= DEATHS:
                message = f"its worker died {DEATHS} times or more, last with: {error}"
                self.store.fail(batch[0], message, "")
                self.finish(batch, [None])
                return
        self._alone += left

    def report(self, pending: Mapping[Any, list[Job]], slots: int, *, last: bool = False) -> None:
        """Show progress."""
        if self._progress is None:
            return
        left = self._cost_left * self._rate() / slots if self._recent_cost and slots else None
        running = sum(len(batch) for batch in pending.values())
        self._progress.show(self._done, len(self._jobs), running, self._failed, left, last=last)

    def say(self, text: str) -> None:
        """Show a message on its own line."""
        if self._progress is not None:
            self._progress.say(text)

    def outcome(self, seconds: float) -> Outcome:
        """The outcome so far."""
        return Outcome(
            total=len(self._jobs),
            done=self._done,
            ran=self._ran,
            failed=self._failed,
            elsewhere=len(self._elsewhere),
            seconds=seconds,
            compute=self._compute,
        )

    def close(self) -> None:
        """Index jobs whose runners died after completing them."""
        self._mend(self._found)

    def _take_back(self) -> None:
        """Queue jobs whose claims other runners have released, or left stale by dying."""
        theirs = self.store.running() if self._elsewhere else set()
        self._waiting.extend(job for job in self._elsewhere if job.key not in theirs)
        self._elsewhere = [job for job in self._elsewhere if job.key in theirs]

    def _is_settled(self, job: Job) -> bool:
        """Whether another runner completed or failed a job before this one claimed it."""
        if job.key in self._damaged:
            try:
                self.store.entry(job.key)
            except (OSError, ValueError):
                self.store.discard(job.key)
                self.say(f"{job}: running again, {self._damaged[job.key]}")
                return False
        if self.store.has(job.key):
            self._done += 1
            self._found.append(job.key)
            return True
        if self.store.has_failed(job.key):
            self._failed += 1
            return True
        return False

    def _mend(self, keys: Sequence[str]) -> None:
        """Index these jobs unless they are indexed; claims keep other runners from doing so."""
        claimed = [key for key in keys if self.runner.claim(key)]
        if claimed:
            indexed = self.store.index()
            found = [self.store.entry(key) for key in claimed]
            self._log.append(entry for entry in found if not entry.is_same(indexed.get(entry.key)))
        for key in claimed:
            self.runner.release(key)

    def _rate(self) -> float:
        return self._recent_seconds / self._recent_cost
