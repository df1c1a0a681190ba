"""Worker processes as a `concurrent.futures.Executor` that survives the death of workers."""

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

STARTS = 3  # attempts to start a worker

_ONE_THREAD = (
    "SCHURSCOPE_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


class ProcessPool(Executor):
    """`n_workers` single-threaded processes, each in its own pool.

    When a worker dies, the standard pool breaks as a whole and does not report which call killed
    it. Here only that worker's futures fail, with BrokenProcessPool, and the next submission starts
    a new worker. Workers block Ctrl-C and SIGTERM: the submitting process decides.
    """

    def __init__(self, n_workers: int) -> None:
        self._lanes = [_Lane() for _ in range(n_workers)]
        for lane in self._lanes:  # they start concurrently
            lane.wait_until_ready()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call ``fn(*args, **kwargs)`` on the least loaded worker."""
        lane = min(self._lanes, key=_Lane.load)
        return lane.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the workers exit when their calls are done."""
        for lane in self._lanes:
            lane.executor.shutdown(wait, cancel_futures=cancel_futures)

    def kill(self) -> None:
        """Kill the workers at once."""
        for lane in self._lanes:
            if lane.process is not None:
                lane.process.kill()
        self.shutdown(cancel_futures=True)


class _Lane:
    """A pool of one worker, recreated when the worker dies."""

    def __init__(self) -> None:
        self.process: BaseProcess | None = None
        self._futures: list[Future[Any]] = []
        self._start()

    def _start(self) -> None:
        # Not "fork": threads of the core and of BLAS do not survive it.
        context = multiprocessing.get_context("spawn")
        self.executor = ProcessPoolExecutor(1, mp_context=context, initializer=_end_with_parent)
        with worker_surroundings():
            self._ready = self.executor.submit(os.getpid)

    def wait_until_ready(self) -> None:
        """Wait until the worker has started; RuntimeError if it cannot."""
        for attempt in range(1, STARTS + 1):
            try:
                pid = self._ready.result()
                mine = [child for child in multiprocessing.active_children() if child.pid == pid]
                self.process = mine[0] if mine else None
                return
            except BrokenExecutor as error:
                if attempt == STARTS:
                    raise RuntimeError(
                        f"a worker process died {STARTS} times while starting; a script that "
                        'uses worker processes must do its work under if __name__ == "__main__":'
                    ) from error
            self._restart()

    def _restart(self) -> None:
        self.executor.shutdown()
        self._start()

    def load(self) -> int:
        """Number of unfinished calls."""
        return sum(not future.done() for future in self._futures)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call ``fn(*args, **kwargs)`` on the worker, or on a new one if it has died."""
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
    """Run a pickled call. Unpickling here turns failures into errors, not worker deaths."""
    try:
        fn, args, kwargs = pickle.loads(call)
    except Exception as error:  # the imported modules may raise anything
        raise ImportError(
            f"a worker process cannot load a task: {error}; the task's class must be at the top "
            "level of a module that can be imported there, e.g. through PYTHONPATH"
        ) from error
    return fn(*args, **kwargs)


def _end_with_parent() -> None:
    """Exit when the parent is killed, instead of waiting for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def worker_surroundings() -> Iterator[None]:
    """Make workers started in this block single-threaded and block SIGINT and SIGTERM in them.

    Threads started in it inherit the signal mask, too, and pass it on to their workers.
    """
    resource_tracker.ensure_running()  # starting it later would unblock the signals
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
