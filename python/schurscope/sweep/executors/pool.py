"""Worker processes as a `concurrent.futures.Executor` that outlives the death of its workers."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from typing import Any, ParamSpec, TypeVar

__all__ = ["ProcessPool", "worker_surroundings"]

P = ParamSpec("P")
T = TypeVar("T")

STARTS = 3  # of a worker, before its death is not chance

_ONE_THREAD = (
    "SCHURSCOPE_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


class ProcessPool(Executor):
    """`n_workers` processes of one thread each, every one a pool of its own.

    The standard pool breaks as a whole when a worker dies, and does not tell whose work killed it.
    Here a death fails the futures of that worker alone, with BrokenProcessPool, and the next
    submission starts another. Ctrl-C and SIGTERM do not reach the workers: whoever submits decides.
    """

    def __init__(self, n_workers: int) -> None:
        self._lanes = [_Lane() for _ in range(n_workers)]
        for lane in self._lanes:  # which start side by side
            lane.wait_until_ready()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have the worker with the least to do call ``fn(*args, **kwargs)``."""
        lane = min(self._lanes, key=_Lane.load)
        return lane.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the workers end when they are done."""
        for lane in self._lanes:
            lane.executor.shutdown(wait, cancel_futures=cancel_futures)

    def kill(self) -> None:
        """End the workers at once, whatever they do."""
        for lane in self._lanes:
            if lane.process is not None:
                lane.process.kill()
        self.shutdown(cancel_futures=True)


class _Lane:
    """A pool of one worker, made anew when the worker has died."""

    def __init__(self) -> None:
        self.process: BaseProcess | None = None
        self._futures: list[Future[Any]] = []
        self._start()

    def _start(self) -> None:
        # Not "fork": the core's threads and the BLAS's would not survive it.
        context = multiprocessing.get_context("spawn")
        self.executor = ProcessPoolExecutor(1, mp_context=context, initializer=_end_with_parent)
        with worker_surroundings():
            self._ready = self.executor.submit(os.getpid)

    def wait_until_ready(self) -> None:
        """RuntimeError if no worker can even start, for which no job is to blame."""
        for attempt in range(1, STARTS + 1):
            try:
                pid = self._ready.result()
                mine = [child for child in multiprocessing.active_children() if child.pid == pid]
                self.process = mine[0] if mine else None
                return
            except BrokenExecutor as error:
                if attempt == STARTS:
                    raise RuntimeError(
                        f"a worker process died while it started, {STARTS} times; a script that "
                        'uses worker processes must do its work under if __name__ == "__main__":'
                    ) from error
            self._restart()

    def _restart(self) -> None:
        self.executor.shutdown()
        self._start()

    def load(self) -> int:
        """How many calls are not done."""
        return sum(not future.done() for future in self._futures)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have the worker call ``fn(*args, **kwargs)``, a new one if it has died."""
        self._futures = [future for future in self._futures if not future.done()]
        call = pickle.dumps((fn, args, kwargs))
        try:
            future: Future[T] = self.executor.submit(_called, call)
        except BrokenExecutor:
            self._restart()
            self.wait_until_ready()
            future = self.executor.submit(_called, call)
        self._futures.append(future)
        return future


def _called(call: bytes) -> Any:
    """Do a pickled call. A worker that cannot unpickle says so; the standard pool's would die."""
    try:
        fn, args, kwargs = pickle.loads(call)
    except Exception as error:  # whatever the modules that it imports raise
        raise ImportError(
            f"a worker process cannot load a task: {error}; the task's class must be at the top "
            "level of a module that can be imported there, as by PYTHONPATH"
        ) from error
    return fn(*args, **kwargs)


def _end_with_parent() -> None:
    """Let this worker end when its parent is killed; it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def worker_surroundings() -> Iterator[None]:
    """What a worker that is started in this block inherits: one thread, no Ctrl-C, no SIGTERM.

    Threads that are started in it inherit the latter as well, and so do their workers.
    """
    resource_tracker.ensure_running()  # which, started later, would let the signals through again
    saved = {name: os.environ.get(name) for name in _ONE_THREAD}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
