"""Ablations of models that the core cannot run, through a user's function.

A gate of a GRU, a model in JAX, a network inside a simulator: all it takes is a square recurrent
matrix W and a function that scores each trial with an ablated matrix W̃.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from .._internal.checks import FloatArray, FloatDType, real_array, shown
from ..coordinates.schur import OrderedSchur, ordered_schur
from .assemble import Assembly
from .batch import Batch
from .measured import MeasuredModel
from .measures import Measure, Score
from .plan import Ablation, ablated_matrix, ablation_rows
from .profile import AblationProfile
from .scoring import plain_mean

__all__ = ["Evaluate", "ablate_with"]

_Float64 = npt.NDArray[np.float64]

# Their intervals also resample a denominator; a mean score has none.
_NOT_MEANS = ("fvu", "fidelity", "replay_accuracy", "sign_accuracy")

Evaluate: TypeAlias = Callable[[FloatArray], npt.ArrayLike]
"""W̃ (N_h, N_h) → one score for each trial, (trials,)."""


def ablate_with(
    W: npt.ArrayLike,
    evaluate: Evaluate,
    *,
    alpha: float = 0.9,
    ablations: Iterable[str | Ablation] | None = None,
    measure: str | None = None,
    schur: OrderedSchur | None = None,
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

    Parameters
    ----------
    W : (N_h, N_h) array_like
        Recurrent matrix, ``W[post, pre]``: an array, or a PyTorch tensor or JAX array in
        CPU memory. Its dtype, float32 or float64, decides when an ablation is vacuous.
    evaluate : callable
        Takes W̃, (N_h, N_h) in the dtype of W, a copy that it may keep and modify, and returns the
        scores of the trials, (trials,). Every call must score the same trials in the same order
        with the same random numbers, because changes and their intervals are paired: put a PyTorch
        module in ``eval()`` mode. The first two calls, both for the full network, check this.
        Exceptions propagate.
    alpha : float
        Cut of the spectrum: R holds the eigenvalues of modulus >= alpha * rho. In (0, 1].
    ablations : iterable of str or Ablation, optional
        The ablations; None means every subset of the couplings RR, CR (C to R) and CC of N, and
        BB, the nonnormality inside the 2x2 blocks. The full network is always row 0 and need not be
        named.
    measure : str, optional
        Name of the score, for tables and figures, "score" by default. An `evaluate` made by
        `schurscope.pytorch.evaluator` has a measure, which must not be named here.
    schur : OrderedSchur, optional
        Ordered Schur form of W, to avoid recomputing it or to use another order, such as
        ``ordered_schur(W, "real_part")``.
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
    W = real_array(W, "W", ("N_h", "N_h"))
    dtype = W.dtype
    if not callable(evaluate):
        raise TypeError(f"evaluate must be callable, got {shown(evaluate)}")
    definition = _measure_of(evaluate, measure)
    schur = _schur_of(W, schur)
    sectors = schur.sectors(alpha)
    assembly = Assembly(schur, sectors, ablation_rows(ablations, sectors), dtype, strict=strict)
    running = assembly.running
    sums = _sums(evaluate, _ablated(schur, running[0], dtype), "full", "trials")
    per_trial, per_step = (np.empty((len(running), row.size)) for row in sums)
    per_trial[0], per_step[0] = sums
    again, _ = _sums(evaluate, _ablated(schur, running[0], dtype), "full", per_trial.shape[1])
    _require_same(again, per_trial[0])
    for place, row in enumerate(running):
        if place > 0:
            W_ablated = _ablated(schur, row, dtype)
            sums = _sums(evaluate, W_ablated, row.name, per_trial.shape[1])
            per_trial[place], per_step[place] = sums
        if progress is not None:
            progress(place + 1, len(running))
    if not isinstance(evaluate, MeasuredModel):
        return assembly.profile(definition, plain_mean(per_trial.shape[1]), (per_trial, per_step))
    settings = {
        "n_steps": evaluate.trials.n_steps,
        "trials_caution": evaluate.statistics.caution,
    }
    return assembly.profile(definition, evaluate.statistics, (per_trial, per_step), settings)


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


def _schur_of(W: FloatArray, schur: OrderedSchur | None) -> OrderedSchur:
    if schur is None:
        return ordered_schur(W)
    if not isinstance(schur, OrderedSchur):
        raise TypeError(f"schur must be an OrderedSchur or None, got {type(schur).__name__}")
    if not np.array_equal(schur.W, W):
        raise ValueError("schur must be the Schur form of W, got that of another matrix")
    return schur


def _ablated(schur: OrderedSchur, row: Ablation, dtype: FloatDType) -> FloatArray:
    """W̃ of a row, rounded to `dtype`; infinite where a large gain overflows."""
    with np.errstate(over="ignore"):
        return ablated_matrix(schur, Batch.of([row])).astype(dtype)


def _sums(
    evaluate: Evaluate, W: FloatArray, ablation: str, n_trials: int | str
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
