"""Diagnoses for the tests of pages: one of a small network, and that one enlarged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import schurscope as ss
from schurscope.coordinates.forms import Coordinates
from schurscope.diagnosis.account import KINDS
from schurscope.diagnosis.pairs import Pairs
from schurscope.diagnosis.single_trials import TrialEffects

TASK = ss.tasks.FlipFlop()


def small():
    """The diagnosis of a trained network of 16 units."""
    network = ss.train(ss.init_network(TASK, 16, "orthogonal", 0), TASK, rng=1).network
    return ss.diagnose(network, TASK.trials(120, 2), draws=20, repeats=2)


def small_gated(cell):
    """The diagnosis of a trained gated network of 10 units."""
    start = ss.init_network(TASK, 10, "orthogonal", 0, cell=cell)
    network = ss.train(start, TASK, epochs=20, rng=1).network
    return ss.diagnose(network, TASK.trials(120, 2), draws=20, repeats=2)


def enlarged(found, n_hidden, n_trials):
    """The same with a larger matrix and as many pairs, in random numbers, which hardly deflate."""
    rng = np.random.default_rng(0)
    schur = ss.ordered_schur(rng.standard_normal((n_hidden, n_hidden)) / np.sqrt(n_hidden))
    coordinates = Coordinates(("",), (schur,))
    pairs = Pairs.of(coordinates)
    count = len(pairs)
    effect = rng.lognormal(-8, 2, count) * rng.choice([-1, 1], count)
    exact = np.zeros(count, np.bool_)
    exact[rng.choice(count, min(count, 2500), replace=False)] = True
    run = np.flatnonzero(exact)
    atlas = replace(
        found.atlas,
        pairs=pairs.blocks,
        coupling=pairs.couplings(coordinates.sectors(0.9)),
        effect=effect,
        predicted=effect * rng.lognormal(0, 0.2, count),
        exact=exact,
        standard_error=np.abs(effect) / 9,
        trials_used=np.where(exact, n_trials, 0),
        mass=pairs.mass,
        gate=pairs.gate_names,
        coordinates=coordinates,
    )
    effects = rng.standard_normal((min(100, len(run)), n_trials)).astype(np.float32)
    kept = run[np.argsort(-np.abs(effect[run]))]
    trial_effects = TrialEffects(
        pair=kept[:100],
        trial=np.arange(n_trials),
        effect=effects,
        rest=kept[100:],
        quantiles=np.sort(rng.standard_normal((max(0, len(run) - 100), 5)), 1).astype(np.float32),
    )
    cuts = schur.starts[1:]
    values = rng.standard_normal(len(cuts))
    curve = replace(
        found.cuts,
        cut=cuts,
        change=values,
        interval=np.stack([values - 1, values + 1], axis=1),
        removed_mass=np.abs(values),
        key=schur.keys[cuts - 1],
        gap=np.abs(values) / 100,
        tied=values > 1,
        determined=values < 1,
        schur=schur,
    )
    state = rng.integers(0, 3, count)
    removable = replace(
        found.removable,
        removed=pairs.blocks[state == 2],
        core=pairs.blocks[state == 0],
        core_gates=pairs.gate_names[state == 0],
        free=pairs.blocks[state == 2],
        free_gates=pairs.gate_names[state == 2],
        settings={**found.removable.settings, "n_pairs": count},
    )
    account = replace(found.account, kind=rng.choice(KINDS, count))
    return replace(
        found,
        profile=replace(found.profile, coordinates=coordinates),
        curves={"": curve},
        atlas=atlas,
        removable=removable,
        account=account,
        trial_effects=trial_effects,
    )
