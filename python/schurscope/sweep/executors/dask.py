"""A sweep on dask.distributed: on a local cluster, or on an existing scheduler's workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, ParamSpec, TypeVar

from ..todo import WorkerDied
from .pool import worker_surroundings

__all__ = ["DaskExecutor", "dask_executor"]

P = ParamSpec("P")
T = TypeVar("T")
PATIENCE = "30s"  # to find a scheduler


@contextmanager
def dask_executor(address: str, n_workers: int = 0) -> Iterator[DaskExecutor]:
    """An executor on the Dask scheduler at `address`, e.g. ``tcp://host:8786``.

    ``"local"`` starts `n_workers` single-threaded processes on this machine and ends them with the
    block; 0 means one per processor. Needs dask.distributed.

    Raises
    ------
    ImportError
        dask.distributed is not installed.
    OSError
        No scheduler answers.
    """
    try:
        from dask.distributed import Client, LocalCluster
    except ImportError as error:
        raise ImportError('Dask needs dask.distributed: pip install "schurscope[dask]"') from error

    with ExitStack() as stack:
        if address == "local":
            with worker_surroundings():
                cluster = LocalCluster(
                    n_workers=n_workers or None,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address=None,
                )
            address = stack.enter_context(cluster).scheduler_address
        yield DaskExecutor(stack.enter_context(Client(address, timeout=PATIENCE)))


class DaskExecutor(Executor):
    """`Client.get_executor` with errors that distinguish a dead worker from a lost scheduler."""

    def __init__(self, client: Any) -> None:
        self._client = client
        # Not pure: a retried batch is a new call, not the cached result of the old one.
        self._inner = client.get_executor(pure=False)

    def capacity(self) -> int:
        """The number of calls that keeps all workers busy: their current threads, at least one.

        ConnectionError if the scheduler is gone.
        """
        try:
            # A client without its scheduler retries for long, and its calls block meanwhile.
            if self._client.status == "running":
                return max(1, sum(int(threads) for threads in self._client.nthreads().values()))
        except OSError:
            pass
        raise ConnectionError(LOST)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call ``fn(*args, **kwargs)`` on any worker."""
        outer: Future[T] = Future()
        inner = self._inner.submit(fn, *args, **kwargs)
        inner.add_done_callback(partial(_pass_on, outer))
        return outer


def _pass_on(outer: Future[Any], inner: Future[Any]) -> None:
    from dask.distributed import KilledWorker

    error = CancelledError() if inner.cancelled() else inner.exception()
    if isinstance(error, CancelledError):
        outer.set_exception(ConnectionError(LOST))
    elif error is None:
        outer.set_result(inner.result())
    elif isinstance(error, KilledWorker):
        outer.set_exception(WorkerDied(str(error), error.allowed_failures + 1))
    else:
        outer.set_exception(error)


LOST = "the Dask scheduler is gone or cancelled the work; finished jobs are stored: run again"
