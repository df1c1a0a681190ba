"""Cost of deciding whether a cut is determined, beside `ablate` and a Schur form."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

import schurscope as ss


def lines(quick: bool) -> list[str]:
    """What to print below the summary."""
    repeats = 3 if quick else 15
    task = ss.tasks.FlipFlop()
    network = ss.init_network(task, 64, "orthogonal", rng=0)
    trained = ss.train(network, task, epochs=1, rng=1).network
    trials = task.trials(2048, rng=2, dtype=np.float32)
    assert ss.ablate(trained, trials).sectors.determined
    whole = _seconds(lambda: ss.ablate(trained, trials, n_threads=1), repeats)
    share = _conditioning(trained.W_hh, repeats) / whole
    found = [f"conditioning of a cut: {100 * share:.0f} % of ablate at N_h 64 (wanted under 20 %)"]

    n_hidden = 128 if quick else 512
    W = np.random.default_rng(0).standard_normal((n_hidden, n_hidden)) / np.sqrt(n_hidden)
    schur = _seconds(lambda: ss.ordered_schur(W), repeats)
    ratio = _conditioning(W, repeats) / schur
    found.append(
        f"conditioning of a cut: {ratio:.2f} of ordered_schur at N_h {n_hidden} (wanted under 1)"
    )
    return found


def _conditioning(W: np.ndarray, repeats: int) -> float:
    """Seconds that the first question about the conditioning of a Schur form takes."""
    forms = iter([ss.ordered_schur(W) for _ in range(repeats)])
    return _seconds(lambda: next(forms).sectors(0.9).conditioning, repeats)


def _seconds(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)
