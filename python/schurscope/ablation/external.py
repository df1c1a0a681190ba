"""Ablations of whatever the core cannot run, through a function of the user's.

A gate of a GRU, a model in JAX, a network inside a simulator: all that is needed of it is a square
recurrent matrix W and a function that says how well each trial goes with another matrix W̃.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from .._internal.checks import FloatArray, FloatDType, real_array, shown
from ..coordinates.schur import OrderedSchur, ordered_schur
from .assemble import Assembly
from .measures import Score
from .plan import Ablation, ablated_matrix, ablation_rows
from .profile import AblationProfile

__all__ = ["Evaluate", "ablate_with"]

_Float64 = npt.NDArray[np.float64]

# Their intervals resample a denominator too, which a mean score has not.
_NOT_MEANS = ("fvu", "fidelity", "replay_accuracy", "sign_accuracy")

Evaluate: TypeAlias = Callable[[FloatArray], npt.ArrayLike]
"""W̃ (N_h, N_h) → one score for each trial, (trials,)."""


def ablate_with(
    W: npt.ArrayLike,
    evaluate: Evaluate,
    *,
    alpha: float = 0.9,
    ablations: Iterable[str | Ablation] | None = None,
    measure: str = "score",
    schur: OrderedSchur | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> AblationProfile:
    """Ablate Schur couplings of any recurrent matrix and measure what that does to `evaluate`.

    With the scores s_i of n trials, the value of an ablation is (1/n) Σ_i s_i and its change is
    that value minus the full network's. Everything else is as for `ablate`::

        def evaluate(W):
            with weight.replaced(W), torch.no_grad():
                return (model(inputs) - targets).square().mean(dim=(1, 2))

        profile = ss.ablate_with(weight.matrix(), evaluate, measure="mean squared error")

    Parameters
    ----------
    W : (N_h, N_h) array_like
        Recurrent matrix, ``W[post, pre]``: an array, or a PyTorch tensor or JAX array in the
        memory of the CPU. Its dtype, float32 or float64, decides when an ablation is vacuous.
    evaluate : callable
        Takes W̃, (N_h, N_h) in the dtype of W, a copy that it may keep and write to, and returns the
        scores of the trials, (trials,). Every call must score the same trials in the same order and
        with the same random numbers, because changes and their intervals are paired: a PyTorch
        module belongs in ``eval()`` mode. It is called for the full network first, twice, to see
        whether it does; what it raises is passed on.
    alpha : float
        Where the spectrum is cut: R holds the eigenvalues of modulus >= alpha * rho. In (0, 1].
    ablations : iterable of str or Ablation, optional
        What to ablate; None means every subset of the couplings RR, CR (C to R) and CC. The full
        network is always row 0 and need not be named.
    measure : str
        What the scores are, for tables and figures.
    schur : OrderedSchur, optional
        Ordered Schur form of W, to save computing it again or to use another order, such as
        ``ordered_schur(W, "real_part")``.
    progress : callable, optional
        Called as ``progress(done, total)`` after each evaluation.

    Returns
    -------
    AblationProfile
        Without values per step. Vacuous ablations are not evaluated and repeat the full network's
        scores. Scores that are not finite are a result: the row is marked as diverged.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong kind or size; an ablation is unknown or named twice; `evaluate`
        returns something else than one real number per trial, not as many as before, or other
        scores when it is called again with the same matrix.
    """
    W = real_array(W, "W", ("N_h", "N_h"))
    dtype = W.dtype
    if not callable(evaluate):
        raise TypeError(f"evaluate must be callable, got {shown(evaluate)}")
    definition = _own_measure(measure)
    schur = _schur_of(W, schur)
    sectors = schur.sectors(alpha)
    assembly = Assembly(schur, sectors, ablation_rows(ablations, sectors), dtype)
    running = assembly.running
    full = _scores(evaluate(_ablated(schur, running[0], dtype)), running[0].name, "trials")
    per_trial = np.empty((len(assembly.rows), full.size))
    per_trial[0] = full
    _require_same(_scores(evaluate(_ablated(schur, running[0], dtype)), "full", full.size), full)
    for place, row in enumerate(running):
        if place > 0:
            given = evaluate(_ablated(schur, row, dtype))
            per_trial[place] = _scores(given, row.name, full.size)
        if progress is not None:
            progress(place + 1, len(running))
    assembly.spread(per_trial)
    with np.errstate(over="ignore", invalid="ignore"):
        value = per_trial.mean(axis=1)
    per_step = np.empty((len(per_trial), 0))
    return assembly.profile(definition, value, per_trial, per_step, denominator=None)


def _own_measure(measure: object) -> Score:
    if not isinstance(measure, str):
        raise ValueError(f"measure must be printable text, got {shown(measure)}")
    if measure in _NOT_MEANS:
        raise ValueError(
            f"measure must be a name of your own, got {measure!r}, which `ablate` computes with "
            "intervals of its own from a network and trials"
        )
    return Score(measure)


def _schur_of(W: FloatArray, schur: OrderedSchur | None) -> OrderedSchur:
    if schur is None:
        return ordered_schur(W)
    if not isinstance(schur, OrderedSchur):
        raise TypeError(f"schur must be an OrderedSchur or None, got {type(schur).__name__}")
    if not np.array_equal(schur.W, W):
        raise ValueError("schur must be that of W, got the Schur form of another matrix")
    return schur


def _ablated(schur: OrderedSchur, row: Ablation, dtype: FloatDType) -> FloatArray:
    """W̃ of a row, rounded to `dtype`; infinite where a large gain goes beyond its range."""
    with np.errstate(over="ignore"):
        return ablated_matrix(schur, row).astype(dtype)


def _scores(given: npt.ArrayLike, ablation: str, n_trials: int | str) -> _Float64:
    """What `evaluate` returned, checked: (n_trials,)."""
    name = f"what evaluate returns for {ablation!r}"
    because = "" if n_trials == "trials" else f"it returned {n_trials} scores for 'full'"
    scores = real_array(given, name, (n_trials,), because=because, allow_nonfinite=True)
    return scores.astype(np.float64)


def _require_same(again: _Float64, before: _Float64) -> None:
    """ValueError if two evaluations of the same matrix differ by more than a GPU's rounding."""
    if not np.allclose(again, before, rtol=1e-3, atol=1e-6, equal_nan=True):
        worst = int(np.abs(again - before).argmax())
        raise ValueError(
            "evaluate must return the same scores for the same matrix, got other ones when the "
            f"full network was evaluated again (trial {worst}: {before[worst]:g}, then "
            f"{again[worst]:g}); is there dropout (model.eval()) or a generator without a seed?"
        )
