"""Many calls of the core from many threads at once: each must give what it gives alone.

Run as a script under ThreadSanitizer; `test_processes` runs it without.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import schurscope as ss

N_THREADS, N_ROUNDS = 4, 3


def calls() -> list[Callable[[], bytes]]:
    """Calls on networks and trials that all threads share, and the bytes of their results."""
    task = ss.tasks.FlipFlop(n_steps=12)
    trials = task.trials(24, rng=1)
    networks = [
        ss.init_network(task, 16, kind, rng=2, dtype=dtype, cell=cell)
        for kind in ("orthogonal", "cayley")
        for dtype in ("float32", "float64")
        for cell in (ss.Cell(), ss.Cell("relu", "current", 0.5))
    ]
    gated = [
        ss.init_network(task, 16, rng=2, dtype=dtype, cell=cell)
        for dtype in ("float32", "float64")
        for cell in (ss.Cell(kind="gru"), ss.Cell(kind="gru", reset="before"), ss.Cell(kind="lstm"))
    ]
    options = {"epochs": 1, "batches_per_epoch": 2, "batch_size": 8, "rng": 3}

    def ablated(network: ss.Network, measure: str) -> bytes:
        profile = ss.ablate(network, trials, measure=measure, n_threads=2)
        return profile.per_trial.tobytes() + profile.per_step.tobytes()

    found: list[Callable[[], bytes]] = []
    for network in networks + gated:
        found += [
            lambda network=network: ablated(network, "fvu"),
            lambda network=network: ablated(network, "sign_accuracy"),
            lambda network=network: network.rollout(trials.inputs, n_threads=2).tobytes(),
            lambda network=network: ss.train(network, task, **options).network.W_hh.tobytes(),
        ]
    for network in networks:
        found += [
            lambda network=network: ss.ordered_schur(network.W_hh.astype(np.float64)).T.tobytes(),
            lambda network=network: ss.atlas(network, trials, method="predicted").effect.tobytes(),
        ]
    return found


def main() -> None:
    """Raise AssertionError if a result depends on what other threads do."""
    every = calls()
    wanted = [call() for call in every]
    with ThreadPoolExecutor(N_THREADS) as executor:
        for _ in range(N_ROUNDS):
            assert list(executor.map(lambda call: call(), every)) == wanted


if __name__ == "__main__":
    main()
