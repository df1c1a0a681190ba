"""The atlas of couplings: exact against the peers, predicted against exact, and stopped runs.

The networks are trained, because the prediction and the stopping depend on what was learnt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

import schurscope as ss
from schurscope.coordinates.forms import Coordinates
from schurscope.diagnosis.exact import decided, single_pairs
from schurscope.diagnosis.pairs import Pairs
from schurscope.diagnosis.question import Question

from .ablations import entries, gemm
from .environment import installed
from .problems import AblationProblem, Array, ablated_form
from .timing import GFLOPS, OURS, Comparison, Contender, Entry

TOLERANCE = 1e-3
LEARNT = 0.05  # FVU at most
CONFIRM = 50  # the largest, and as many random others


# Hidden units, trials, how many random pairs we run (None: all, by `schurscope.atlas` itself; else
# by what it calls) and how many of these the peers run, whose time is proportional to it.
AGAINST_PEERS = ((64, 512, None, 32), (256, 512, 16, 4))
AGAINST_PEERS_QUICK = ((32, 64, None, 8), (64, 64, 16, 4))
AGAINST_ITSELF = ((64, 512, None), (256, 1024, 128))
AGAINST_ITSELF_QUICK = ((32, 64, None), (64, 256, 32))


@dataclass(frozen=True)
class AtlasProblem:
    """A network that has learnt the flip-flop, its trials, and the pairs that are run."""

    network: ss.Network
    trials: ss.Trials
    schur: ss.OrderedSchur
    pairs: Pairs
    n_chosen: int | None
    chosen: Array
    """In random order."""

    @classmethod
    def make(cls, n_hidden: int, n_trials: int, n_chosen: int | None) -> AtlasProblem:
        network = trained(n_hidden)
        trials = ss.tasks.FlipFlop(n_steps=50).trials(n_trials, rng=2, dtype=np.float32)
        assert ss.ablate(network, trials, ablations=[])["full"].value < LEARNT
        schur = ss.ordered_schur(network.W_hh)
        pairs = Pairs.of(Coordinates(("",), (schur,)))
        chosen = np.random.default_rng(3).permutation(len(pairs))[:n_chosen]
        return cls(network, trials, schur, pairs, n_chosen, chosen)

    def __str__(self) -> str:
        n_hidden, n_trials = self.network.n_hidden, self.trials.n_trials
        return f"N_h {n_hidden}, {len(self.pairs)} pairs, {n_trials} trials"

    def run(self, method: str, tolerance: float | None = None) -> ss.Atlas:
        """What a user calls, on one thread and with the Schur form given."""
        return ss.atlas(
            self.network,
            self.trials,
            method=method,
            tolerance=tolerance,
            confirm=CONFIRM,
            schur=self.schur,
            n_threads=1,
        )

    def exact(self) -> Array:
        """Exact changes of FVU of the chosen pairs."""
        if self.n_chosen is None:
            return self.run("exact").effect[self.chosen]
        question = Question(self.network, self.trials, "fvu", None, self.schur, 0, 1)
        n_chosen = len(self.chosen)
        return decided(
            question.evaluator(), lambda row: single_pairs(self.pairs, self.chosen[row]), n_chosen
        ).change


def comparisons(quick: bool) -> Iterator[Comparison]:
    for n_hidden, n_trials, n_chosen, n_peers in AGAINST_PEERS_QUICK if quick else AGAINST_PEERS:
        atlas = AtlasProblem.make(n_hidden, n_trials, n_chosen)
        problem = _problem(atlas, n_peers)
        effect_of, expected = _expected(problem)

        def check(change: Array, expected: Array = expected) -> None:
            _assert_close(change[: len(expected)], expected)

        def check_peer(
            errors: Array,
            effect_of: Callable[[Array], Array] = effect_of,
            expected: Array = expected,
        ) -> None:
            _assert_close(effect_of(errors), expected)

        # The atlas also runs the full network.
        amount = problem.gflop / n_peers * (len(atlas.chosen) + 1)
        part = "" if n_chosen is None else f"{n_chosen} of "
        yield Comparison(
            f"exact atlas, float32, N_h {n_hidden}, {part}{len(atlas.pairs)} pairs "
            f"(peers: {n_peers})",
            GFLOPS,
            [
                Contender(OURS, "atlas", atlas.exact, check, amount),
                *(
                    Contender(owner, how, run, check_peer, problem.gflop)
                    for owner, how, run in _entries(problem)
                ),
                gemm("float32", 512 if quick else 2048),
            ],
        )


def lines(quick: bool) -> list[str]:
    """What to print below the summary: on one thread, each once, because they take long."""
    found = []
    for sizes in AGAINST_ITSELF_QUICK if quick else AGAINST_ITSELF:
        atlas = AtlasProblem.make(*sizes)
        seconds, exact = _timed(atlas.exact)
        scaled = "" if atlas.n_chosen is None else f", scaled up from {atlas.n_chosen} random pairs"
        seconds *= (len(atlas.pairs) + 1) / (len(exact) + 1)  # the full network runs, too
        found.append(
            f"atlas, {atlas}: exact in {seconds:.3g} s of processor time{scaled}; predicted in "
            f"{_predicted(atlas, seconds)}"
        )
    stopped = _stopped(atlas, exact, seconds)
    return [*found, f"the same atlas, exact with tolerance {TOLERANCE:g}: {stopped}"]


def _predicted(atlas: AtlasProblem, seconds: float) -> str:
    predicting, _ = _timed(lambda: atlas.run("predicted"))
    agreement = atlas.run("auto").agreement
    assert agreement is not None
    assert agreement.spearman > 0.8, f"the prediction is wrong: {agreement}"
    which = "all" if atlas.n_chosen is None else f"the {CONFIRM} largest and {CONFIRM} others"
    wanted = ", wanted 50 ×" if atlas.network.n_hidden == 256 else ""
    return (
        f"{predicting:.3g} s ({seconds / predicting:.0f} ×{wanted}), over {which}: Spearman "
        f"{agreement.spearman:.3f}, {agreement.overlap:.0%} of the largest found, median ratio of "
        f"large effects {agreement.ratio:.2f}"
    )


def _stopped(atlas: AtlasProblem, exact: Array, seconds: float) -> str:
    stopping, result = _timed(lambda: atlas.run("exact", TOLERANCE))
    exceeds = np.abs(result.effect) > TOLERANCE
    same = np.mean(exceeds[atlas.chosen] == (np.abs(exact) > TOLERANCE))
    assert same > 0.95, f"runs that stop decide otherwise: {same:.1%} of the pairs agree"
    return (
        f"{result.work:.1%} of the work, {stopping:.3g} s ({seconds / stopping:.1f} ×); "
        f"{exceeds.sum()} pairs exceed it, {same:.0%} of {len(exact)} decisions as on all trials"
    )


def _problem(atlas: AtlasProblem, n_pairs: int) -> AblationProblem:
    """The first of the chosen pairs, each removed alone."""
    starts, sizes = atlas.schur.starts, atlas.schur.block_sizes
    ablations = []
    for first, last in atlas.pairs.blocks[atlas.chosen[:n_pairs]].tolist():
        rows, columns = ((int(starts[i]), int(starts[i] + sizes[i])) for i in (first, last))
        if first == last:
            ablations.append(ss.Ablation(f"{first}", (), (), (rows,), (0.0,)))
        else:
            ablations.append(ss.Ablation(f"{first},{last}", ((*rows, *columns),), (0.0,)))
    return AblationProblem(atlas.network, atlas.trials, atlas.schur, ablations)


def _expected(problem: AblationProblem) -> tuple[Callable[[Array], Array], Array]:
    """How changes of FVU (pairs,) follow from squared errors, and what they are in float64."""
    full = replace(problem, ablations=[ss.Ablation("full", (), ())]).reference(1)
    targets = problem.trials.targets.astype(np.float64)
    variance = np.square(targets - targets.mean(axis=(0, 1))).sum()

    def effect_of(errors: Array) -> Array:
        change: Array = (errors - full).sum(axis=1) / variance
        return change

    return effect_of, effect_of(problem.reference(len(problem.ablations)))


def _entries(problem: AblationProblem) -> list[Entry]:
    left, right = _factors(problem)
    found = entries(problem, problem.W)
    if installed("torch"):
        from . import peers_torch

        found += peers_torch.pairs(problem, left, right)
    if installed("jax"):
        from . import peers_jax

        found += peers_jax.pairs(problem, left, right)
    return found


def _factors(problem: AblationProblem) -> tuple[Array, Array]:
    """(pairs, N_h, 2) and (pairs, 2, N_h), whose product is what each ablation takes from W."""
    schur, n_hidden = problem.schur, problem.network.n_hidden
    left = np.zeros((len(problem.ablations), n_hidden, 2), problem.dtype)
    right = np.zeros((len(problem.ablations), 2, n_hidden), problem.dtype)
    for U, V, ablation in zip(left, right, problem.ablations, strict=True):
        places = [*ablation.rectangles, *((*block, *block) for block in ablation.blocks)]
        ((first_row, end_row, first, end),) = places
        rows, columns = slice(first_row, end_row), slice(first, end)
        removed = (schur.T - ablated_form(schur, ablation))[rows, columns]
        U[:, : end - first] = schur.Q[:, rows] @ removed
        V[: end - first] = schur.Q[:, columns].T
    return left, right


def _assert_close(change: Array, expected: Array) -> None:
    np.testing.assert_allclose(change, expected, rtol=1e-3, atol=5e-7)


@cache
def trained(n_hidden: int) -> ss.Network:
    """A flip-flop network that has learnt the task."""
    task = ss.tasks.FlipFlop()
    options: dict[str, Any] = {"epochs": 30}
    if n_hidden > 64:
        options = {"epochs": 24, "batch_size": 16, "learning_rate": 2e-3}
    start = ss.init_network(task, n_hidden, "orthogonal", rng=0, dtype=np.float32)
    return ss.train(start, task, rng=1, **options).network


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of processor time, which others on the machine hardly change, and the result."""
    begin = time.process_time()
    result = call()
    return time.process_time() - begin, result
