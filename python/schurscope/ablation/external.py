"""Ablations of models that the core cannot run, through a user's function.

A gate of a GRU, a model in JAX, a network inside a simulator: all it takes is a square recurrent
matrix W and a function that scores each trial with an ablated matrix W̃.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .._internal.checks import FloatArray, real_array, shown
from ..coordinates.forms import Coordinates
from ..coordinates.schur import OrderedSchur, ordered_schur
from .assemble import Assembly
from .batch import Batch
from .measured import MeasuredModel
from .measures import Measure, Score
from .plan import Ablation, ablated_weights
from .profile import AblationProfile
from .scoring import plain_mean

__all__ = ["Evaluate", "ablate_with"]

_Float64 = npt.NDArray[np.float64]

# Their intervals also resample a denominator; a mean score has none.
_NOT_MEANS = ("fvu", "fidelity", "replay_accuracy", "sign_accuracy")

Evaluate: TypeAlias = Callable[[Any], npt.ArrayLike]
"""W̃ (N_h, N_h), or a dictionary from gate to W̃ → one score for each trial, (trials,)."""


def ablate_with(
    W: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    evaluate: Evaluate,
    *,
    alpha: float = 0.9,
    ablations: Iterable[str | Ablation] | None = None,
    measure: str | None = None,
    schur: OrderedSchur | Mapping[str, OrderedSchur] | None = None,
    progress: Callable[[int, int], object] | None = None,
    strict: bool = False,
) -> AblationProfile:
    """Ablate Schur couplings of any recurrent matrix and measure the effect on `evaluate`.

    With the scores s_i of n trials, the value of an ablation is (1/n) Σ_i s_i and its change is
    that value minus the full network's. Everything else is as for `ablate`::

        def evaluate(W):
            with weight.replaced(W), torch.no_grad():
                return (model(inputs) - targets).square().mean(dim=(1, 2))

        profile = ss.ablate_with(weight.matrix(), evaluate, measure="mean squared error")

    The gates of one layer have one matrix each, which ablations change alone or together::

        weight = ss.pytorch.RecurrentWeight(model.gru, "weight_hh_l0", gate=["r", "z", "n"])
        profile = ss.ablate_with(weight.matrices(), evaluate, ablations=["n:CR", "r:CR,z:CR"])

    Parameters
    ----------
    W : (N_h, N_h) array_like, or dict from gate to such
        Recurrent matrix, ``W[post, pre]``: an array, or a PyTorch tensor or JAX array in
        CPU memory. Its dtype, float32 or float64, decides when an ablation is vacuous.
    evaluate : callable
        Takes W̃, (N_h, N_h) in the dtype of W, or a dictionary of every gate's, copies that it may
        keep and modify, and returns the scores of the trials, (trials,). Every call must score the
        same trials in the same order with the same random numbers, because changes and their
        intervals are paired: put a PyTorch module in ``eval()`` mode. The first two calls, both for
        the full network, check this. Exceptions propagate.
    alpha : float
        Cut of the spectrum: R holds the eigenvalues of modulus >= alpha * rho. In (0, 1].
    ablations : iterable of str or Ablation, optional
        The ablations; None means every subset of the couplings RR, CR (C to R) and CC of N, and
        BB, the nonnormality inside the 2x2 blocks. The full network is always row 0 and need not be
        named. Of gates, names are as for `ablate`: ``"CR"`` of all, ``"n:CR"`` of one,
        ``"r:CR,z:CR+CC"`` of several together.
    measure : str, optional
        Name of the score, for tables and figures, "score" by default. An `evaluate` made by
        `schurscope.pytorch.evaluator` has a measure, which must not be named here.
    schur : OrderedSchur, optional
        Ordered Schur form of W, to avoid recomputing it or to use another order, such as
        ``ordered_schur(W, "real_part")``; of gates, a dictionary with one for each.
    progress : callable, optional
        Called as ``progress(done, total)`` after each evaluation.
    strict : bool
        As for `ablate`.

    Returns
    -------
    AblationProfile
        Without values per step, unless `evaluate` has a measure. Vacuous ablations are not
        evaluated and repeat the full network's scores. Scores that are not finite mark the row
        as diverged.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong type or shape; an ablation is unknown or named twice; `evaluate`
        does not return one real number per trial, changes their number, or returns different
        scores for the same matrix.
    """
    matrices = _matrices(W)
    several = isinstance(W, Mapping)
    dtype = next(iter(matrices.values())).dtype
    if not callable(evaluate):
        raise TypeError(f"evaluate must be callable, got {shown(evaluate)}")
    definition = _measure_of(evaluate, measure)
    forms = _schurs_of(matrices, schur, several)
    coordinates = Coordinates(tuple(forms), tuple(forms.values()))
    assembly = Assembly(coordinates, alpha, ablations, dtype, strict=strict)

    def judged(row: Ablation, n_trials: int | str) -> tuple[_Float64, _Float64]:
        W_ablated = ablated_weights(coordinates, Batch.of([row], coordinates.gates), dtype)
        # Copies, which the user may modify.
        found = [part.copy() for part in np.split(W_ablated, len(coordinates))]
        given = dict(zip(coordinates.gates, found, strict=True)) if several else found[0]
        return _sums(evaluate, given, row.name, n_trials)

    running = assembly.running
    sums = judged(running[0], "trials")
    per_trial, per_step = (np.empty((len(running), row.size)) for row in sums)
    per_trial[0], per_step[0] = sums
    n_trials = per_trial.shape[1]
    _require_same(judged(running[0], n_trials)[0], per_trial[0])
    for place, row in enumerate(running):
        if place > 0:
            per_trial[place], per_step[place] = judged(row, n_trials)
        if progress is not None:
            progress(place + 1, len(running))
    if not isinstance(evaluate, MeasuredModel):
        return assembly.profile(definition, plain_mean(n_trials), (per_trial, per_step))
    settings = {
        "n_steps": evaluate.trials.n_steps,
        "trials_caution": evaluate.statistics.caution,
    }
    return assembly.profile(definition, evaluate.statistics, (per_trial, per_step), settings)


def _matrices(W: npt.ArrayLike | Mapping[str, npt.ArrayLike]) -> dict[str, FloatArray]:
    """Gate → its matrix, all of one shape and dtype; the only one under ``""``."""
    if not isinstance(W, Mapping):
        return {"": real_array(W, "W", ("N_h", "N_h"))}
    if not W:
        raise ValueError("W must have a matrix for each gate, got an empty dictionary")
    found: dict[str, FloatArray] = {}
    for gate, given in W.items():
        if not str(gate).isidentifier():
            raise ValueError(f"W must have names of gates as keys, such as 'n', got {shown(gate)}")
        matrix = real_array(given, f"W[{gate!r}]", ("N_h", "N_h"))
        first = next(iter(found.values()), matrix)
        if (matrix.shape, matrix.dtype) != (first.shape, first.dtype):
            raise ValueError(
                f"W[{gate!r}] must have the shape and dtype of the other gates, {first.shape} "
                f"{first.dtype}, got {matrix.shape} {matrix.dtype}"
            )
        found[gate] = matrix
    return found


def _measure_of(evaluate: Evaluate, measure: str | None) -> Measure:
    """The measure that judges, or the name of the user's score."""
    if not isinstance(evaluate, MeasuredModel):
        return _own_measure("score" if measure is None else measure)
    if measure is not None:
        raise ValueError(
            f"measure must be left out, because evaluate has its own, {evaluate.measure.name!r}, "
            f"got {shown(measure)}"
        )
    return evaluate.measure


def _own_measure(measure: object) -> Score:
    if not isinstance(measure, str):
        raise ValueError(f"measure must be printable text, got {shown(measure)}")
    if measure in _NOT_MEANS:
        raise ValueError(
            f"measure must be a name of your own, got {measure!r}, which `ablate` computes "
            "from a network and trials, with its own intervals"
        )
    return Score(measure)


def _schurs_of(
    matrices: Mapping[str, FloatArray],
    schur: OrderedSchur | Mapping[str, OrderedSchur] | None,
    several: bool,
) -> dict[str, OrderedSchur]:
    """Gate → the ordered Schur form of its matrix, those given checked to be it."""
    if schur is None:
        return {gate: ordered_schur(W) for gate, W in matrices.items()}
    given = schur if isinstance(schur, Mapping) else {"": schur}
    if several != isinstance(schur, Mapping) or set(given) != set(matrices):
        wanted = f"a dictionary with the gates {', '.join(matrices)}" if several else "one form"
        raise TypeError(f"schur must be {wanted} as W is, got {shown(schur)}")
    for gate, W in matrices.items():
        name = f"schur[{gate!r}]" if several else "schur"
        if not isinstance(given[gate], OrderedSchur):
            kind = type(given[gate]).__name__
            raise TypeError(f"{name} must be an OrderedSchur or None, got {kind}")
        if not np.array_equal(given[gate].W, W):
            raise ValueError(f"{name} must be the Schur form of W, got that of another matrix")
    return {gate: given[gate] for gate in matrices}


def _sums(
    evaluate: Evaluate, W: FloatArray | dict[str, FloatArray], ablation: str, n_trials: int | str
) -> tuple[_Float64, _Float64]:
    """Scores of the trials, (n_trials,), and of the steps, (0,) from a user's function."""
    if isinstance(evaluate, MeasuredModel):
        return evaluate.sums(W, repr(ablation))
    return _scores(evaluate(W), ablation, n_trials), np.empty(0)


def _scores(given: npt.ArrayLike, ablation: str, n_trials: int | str) -> _Float64:
    """The checked scores of `evaluate`: (n_trials,)."""
    name = f"the scores that evaluate returns for {ablation!r}"
    because = "" if n_trials == "trials" else f"it returned {n_trials} scores for 'full'"
    scores = real_array(given, name, (n_trials,), because=because, allow_nonfinite=True)
    return scores.astype(np.float64)


def _require_same(again: _Float64, before: _Float64) -> None:
    """ValueError if two evaluations of the same matrix differ by more than a GPU's rounding."""
    if not np.allclose(again, before, rtol=1e-3, atol=1e-6, equal_nan=True):
        worst = int(np.abs(again - before).argmax())
        raise ValueError(
            "evaluate must return the same scores for the same matrix, got different ones when the "
            f"full network was evaluated again (trial {worst}: {before[worst]:g}, then "
            f"{again[worst]:g}); is there dropout (model.eval()) or a generator without a seed?"
        )
