"""The same ablations on one thread and on two."""

from __future__ import annotations

import numpy as np

import schurscope as ss

from .environment import processors
from .problems import AblationProblem
from .timing import GFLOPS, OURS, Comparison, Contender


def lines(quick: bool, repeats: int) -> list[str]:
    """What to print below the summary."""
    if processors() < 2:
        return ["two threads against one: skipped, this machine has one processor"]
    found = []
    for dtype, n_ablations in (("float32", 8), ("float32", 496), ("float64", 8)):
        problem = AblationProblem.make(64, n_ablations, dtype, 128 if quick else 512, n_steps=50)
        one = problem.ablate(1)

        def check(profile: ss.AblationProfile, one: ss.AblationProfile = one) -> None:
            assert np.array_equal(profile.per_trial, one.per_trial)
            assert np.array_equal(profile.per_step, one.per_step)

        comparison = Comparison(
            f"two threads against one, {dtype}, N_h 64, {n_ablations} ablations",
            GFLOPS,
            [
                Contender(OURS, "two threads", lambda p=problem: p.ablate(2), check, problem.gflop),
                Contender("itself", "one", lambda p=problem: p.ablate(1), check, problem.gflop),
            ],
        ).measure(repeats=repeats, least_seconds=1)
        print(comparison.details())
        found.append(
            f"{comparison.title}: {comparison.advantage(1):.2f} ×, same bits "
            f"(wanted 1.85 ×; the two threads had {comparison.processors(0):.2f} processors)"
        )
    return found
