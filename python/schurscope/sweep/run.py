"""Run the jobs of a sweep that are missing from a store, on any executor."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from types import FrameType, TracebackType
from typing import Any

from .. import _core
from .._internal.checks import nonnegative_int, positive
from .config import Sweep
from .executors.pool import ProcessPool
from .plan import Job, checked_sweep, plan, shard
from .progress import Progress
from .store.claims import Runner
from .store.index import Entry
from .store.store import Store
from .todo import Outcome, Todo
from .work import run_batch

__all__ = ["run"]

POLL = 0.5  # seconds between checks of the clock, of signals and of the runner's heartbeat


def run(
    sweep: Sweep | Sequence[Sweep],
    store: str | os.PathLike[str],
    *,
    n_workers: int = 0,
    executor: Executor | None = None,
    capacity: Callable[[], int] | None = None,
    part: tuple[int, int] | None = None,
    retry_failed: bool = False,
    verify: bool = False,
    stop_after: float | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Run the jobs of a sweep that are missing from a store.

    Processes on any machine that shares the folder may run the same sweep into the same store
    concurrently; no job runs twice. A killed run resumes when started again.

    The first SIGINT (Ctrl-C) or SIGTERM waits for running batches, each about a second of work or
    one job; the second stops at once. Either way, run then raises KeyboardInterrupt.

    Parameters
    ----------
    sweep : Sweep or sequence of Sweep
        Several run as one: they share workers and store, and the longest jobs start first.
    store : path
        Folder of the store; created if absent or empty.
    n_workers : int
        Number of single-threaded processes, or with `executor` of batches submitted to it at a
        time. 0 means the number of processors.
    executor : concurrent.futures.Executor, optional
        Runs the jobs instead of processes on this machine. Its workers must see the store under
        the same path.
    capacity : callable, optional
        Returns the number of batches to submit to `executor` at a time, if that changes.
    part : (int, int), optional
        Index and count of a shard: run only that shard of the plan, see `shard`.
    retry_failed : bool
        Retry failed jobs.
    verify : bool
        Read every file of the store, and rerun jobs whose files are damaged.
    stop_after : float, optional
        Seconds after which no new job starts.
    progress : Progress, optional
        Display of the progress; None shows nothing.

    Returns
    -------
    Outcome

    Raises
    ------
    StoreError
        The store cannot be used or written to, or a worker's instruction-set level differs.
    KeyboardInterrupt
        The run was interrupted; the store is intact.
    """
    limit = math.inf if stop_after is None else positive(stop_after, "stop_after")
    workers = nonnegative_int(n_workers, "n_workers") or _core.resolve_threads(0)
    started = time.monotonic()
    asked: Any = sweep
    several = isinstance(asked, Sequence) and not isinstance(asked, str)
    sweeps = [checked_sweep(one) for one in (asked if several else [asked])]
    found = Store.create(store, _core.LEVEL)
    jobs = [job for one in sweeps for job in plan(one, found.level)]
    if part is not None:
        jobs = shard(jobs, *part)
    runner = Runner(found.root)
    pool: ProcessPool | None = None
    with _Signals() as signals:

        def is_over() -> bool:
            return signals.count > 0 or time.monotonic() - started > limit

        try:
            todo = Todo(found, runner, jobs, progress)
            todo.prepare(retry_failed=retry_failed, verify=verify)
            if executor is None and todo.is_left():
                executor = pool = ProcessPool(workers)
            if executor is not None:
                _work_off(todo, executor, capacity or (lambda: workers), is_over)
            todo.close()
        except BaseException:
            if pool is not None:
                pool.kill()
            raise
        finally:
            runner.close()
        if pool is not None:
            pool.shutdown()
    if signals.count:
        raise KeyboardInterrupt
    return todo.outcome(time.monotonic() - started)


def _work_off(
    todo: Todo, executor: Executor, capacity: Callable[[], int], is_over: Callable[[], bool]
) -> None:
    """Keep the executor busy until no job is left; once it is over, wait for running batches."""
    pending: dict[Future[list[Entry | None]], list[Job]] = {}
    problem: Exception | None = None
    is_told = False
    while True:
        slots = capacity()
        while problem is None and not is_over() and len(pending) < slots:
            batch = todo.take(slots)
            if not batch:
                break
            pending[executor.submit(run_batch, batch, todo.store.root)] = batch
        if is_over() and pending and not is_told:
            is_told = True
            todo.say("stopping: waiting for running batches; a second signal stops at once")
        todo.report(pending, slots)
        if not pending and (problem or is_over() or not todo.is_left()):
            break
        ready, _ = wait(pending, timeout=POLL, return_when=FIRST_COMPLETED)
        todo.runner.beat()
        for future in ready:
            batch = pending.pop(future)
            try:
                todo.finish(batch, future.result())
            except BrokenExecutor as error:
                todo.lose(batch, error)
            except Exception as error:  # of the store or machine; a job's own errors are recorded
                problem = problem or error
    todo.report(pending, 0, last=True)
    if problem is not None:
        raise problem


class _Signals:
    """Counts SIGINT and SIGTERM while the block runs; the second raises KeyboardInterrupt.

    Outside the main thread, where Python allows no handlers, it counts nothing.
    """

    def __init__(self) -> None:
        self.count = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._received)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _received(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1:
            raise KeyboardInterrupt
