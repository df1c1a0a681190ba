"""Everything about one network: what its task needs, and why."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._internal.checks import Rng, fraction, generator, positive, positive_int
from .._internal.fingerprint import fingerprint, seed_of
from .._version import __version__
from ..ablation.names import single_names
from ..ablation.profile import AblationProfile
from ..ablation.run import ablate
from ..coordinates.forms import Schurs
from ..coordinates.orders import Order
from ..coordinates.sectors import couplings
from ..networks.network import Network
from ..trials.trials import Trials
from .account import account_of
from .atlas import atlas_of
from .chance import has_partition
from .cuts import cut_curves_of
from .dose import dose
from .interactions import profile_game
from .nulls import Null, null
from .question import MeasureLike, Progress, Question
from .removable import removable
from .result import Diagnosis
from .single_trials import Record, trajectories_of, trial_effects_of
from .subset_game import subset_game

__all__ = ["diagnose"]

_PARTS = 9
_ERROR_RATE = 0.01
_GAME_COST = 1e12  # multiply-adds of rollouts
_ALL_TRIALS_UP_TO = 100  # units: beyond, pairs stop when they are decided


def diagnose(
    network: Network,
    trials: Trials,
    *,
    alpha: float = 0.9,
    tolerance: float = 0.01,
    measure: MeasureLike = "fvu",
    order: Order | None = None,
    schur: Schurs | None = None,
    level: float = 0.95,
    draws: int = 200,
    repeats: int = 2,
    rng: Rng = 0,
    n_threads: int = 0,
    progress: Progress | None = None,
) -> Diagnosis:
    """Find out what a network needs, and why.

    Ablates the couplings, cuts the spectrum everywhere, removes every pair of blocks, searches for
    what can go at once on half of the trials and accepts it on the other half, tests the couplings
    against chance, and explains them. In a gated network it does so for the couplings of all gates
    together and of each, and plays the game of each coupling of each gate (`SubsetGame`) on as many
    trials as take a few seconds.

    Parameters
    ----------
    network, trials, alpha, measure, order, schur, n_threads
        As for `ablate`; at least 16 trials. A measure without a second derivative, such as
        accuracy, is searched and explained by its surrogate, and accepted by itself.
    tolerance : float
        Loss that does not matter, in the unit of the measure, or of its surrogate where that takes
        its place: this for couplings and sets, a tenth of it for single pairs.
    level : float
        Coverage of the intervals.
    draws : int
        Of each null.
    repeats : int
        Of the search for removable sets.
    rng : numpy.random.Generator, SeedSequence or int
        Source of everything that is drawn: the split of the trials, probes, nulls, bootstrap and
        the cell's noise.
    progress : callable, optional
        Called as ``progress(done, total)`` after each part.

    Raises
    ------
    TypeError, ValueError
        As for `ablate`; there are too few trials; the measure does not say which values are better.
    """
    tolerance, level = positive(tolerance, "tolerance"), fraction(level, "level")
    draws, repeats = positive_int(draws, "draws"), positive_int(repeats, "repeats")
    source = generator(rng)
    streams = source.spawn(12)
    question = Question(network, trials, measure, order, schur, streams[0], n_threads)
    question.require_direction()
    if trials.n_trials < 16:
        raise ValueError(f"trials must be at least 16 to be split, got {trials.n_trials}")
    coordinates, measured = question.coordinates, question.measure
    schur = coordinates.argument
    done, parts = 0, _PARTS + coordinates.is_gated

    def finished() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, parts)

    profile = ablate(
        network,
        trials,
        alpha=alpha,
        measure=measured,
        schur=schur,
        rng=streams[1] if network.cell.noise > 0 else None,
        n_threads=n_threads,
    )
    finished()
    common: dict[str, Any] = {"measure": measured, "schur": schur, "n_threads": n_threads}
    curves = cut_curves_of(
        network, trials, coordinates, streams[2], measure=measured, level=level, n_threads=n_threads
    )
    finished()
    smooth = question.has_smooth
    method = "auto" if smooth else "exact"
    of_pairs = tolerance / 10
    single = Question(network, trials, measured, None, schur, streams[10], n_threads)
    mapping = Question(network, trials, measured, None, schur, streams[3], n_threads)
    if coordinates.n_hidden <= _ALL_TRIALS_UP_TO:
        record = Record(trials.n_trials, single.draws)
        effects = atlas_of(mapping, method, alpha, None, seen=record.see)
    else:
        record = None
        effects = atlas_of(mapping, method, alpha, of_pairs)
    finished()
    can_go = explained = None
    if smooth and len(effects):
        shuffled = streams[4].permutation(trials.n_trials)
        half = trials.n_trials // 2
        can_go = removable(
            network,
            trials[shuffled[:half]],
            trials[shuffled[half:]],
            tolerance=tolerance,
            repeats=repeats,
            level=level,
            rng=streams[5],
            **common,
        )
    finished()
    if smooth and len(effects):
        explaining = Question(network, trials, measured, order, schur, streams[6], n_threads)
        explaining = explaining.smoothed()
        if explaining.measure is not measured:
            effects_explained = atlas_of(explaining, "auto", alpha, None)
        else:
            effects_explained = effects
        explained = account_of(explaining, effects_explained, alpha, of_pairs)
    finished()
    pairs_null = _null(profile, network, trials, "pairs", draws, streams[7], n_threads)
    finished()
    partition_null = _null(profile, network, trials, "partition", draws, streams[8], n_threads)
    finished()
    doses = dose(network, trials, alpha=alpha, level=level, rng=streams[9], **common)
    finished()
    trajectories = trajectories_of(single, profile)
    trial_effects = trial_effects_of(single, effects, record) if effects.exact.any() else None
    finished()
    shapley, interactions = profile_game(profile, couplings, level, 2000, 0)
    game = None
    if coordinates.is_gated:
        some = trials[streams[11].permutation(trials.n_trials)[: _affordable(network, trials)]]
        game = subset_game(network, some, alpha=alpha, level=level, rng=streams[11], **common)
        finished()
    return Diagnosis(
        profile=profile,
        curves=curves,
        atlas=effects,
        removable=can_go,
        shapley=shapley,
        interactions=interactions,
        game=game,
        pairs_null=pairs_null,
        partition_null=partition_null,
        account=explained,
        dose=doses,
        settings={
            "version": __version__,
            "tolerance": tolerance,
            "level": level,
            "draws": draws,
            "repeats": repeats,
            "n_trials": trials.n_trials,
            "seed": seed_of(source),
            "network_sha256": fingerprint(
                *network.core_arguments()[:-1], network.cell.leak, repr(network.cell)
            ),
            "trials_sha256": fingerprint(
                trials.inputs, trials.targets, trials.step_weights, trials.h_0, trials.c_0
            ),
        },
        trajectories=trajectories,
        trial_effects=trial_effects,
    )


def _affordable(network: Network, trials: Trials) -> int:
    """Number of trials on which the game of a gated network takes a few seconds."""
    coalitions = 2 ** (len(couplings) * len(network.cell.gates))
    return max(64, int(_GAME_COST / (coalitions * trials.n_steps * network.W_hh.size)))


def _null(
    profile: AblationProfile,
    network: Network,
    trials: Trials,
    kind: str,
    draws: int,
    rng: np.random.Generator,
    n_threads: int,
) -> Null | None:
    """The null of the couplings; None where there is nothing to draw."""
    names = single_names(profile.coordinates.gates)
    names = tuple(name for name in names if not profile[name].vacuous)
    if kind == "partition":
        names = tuple(x for x in names if "BB" not in x and has_partition(profile.cuts, x))
    if not names:
        return None
    return null(
        profile,
        network,
        trials,
        kind=kind,
        draws=draws,
        ablations=names,
        error_rate=_ERROR_RATE,
        rng=rng,
        n_threads=n_threads,
    )
