"""Ablations of Schur couplings, and what they do to a network's behaviour.

W_hh = Q T Qᵀ is put in ordered Schur coordinates; an ablation scales entries of T above its
diagonal blocks (0 removes them), and the network runs again with W̃ = Q T̃ Qᵀ between the untouched
encoder and decoder. Source: Dräger, arXiv:2606.18457.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .. import _core
from .._internal.checks import (
    FloatArray,
    FloatDType,
    Rng,
    choice,
    nonnegative_int,
    real_number,
    shown,
)
from .._version import __version__
from ..coordinates.schur import Order, OrderedSchur, Sectors, couplings, ordered_schur
from ..networks.network import Network
from ..trials.trials import Trials
from .measures import require_signs, sensitivity
from .profile import AblationProfile

__all__ = [
    "MEASURES",
    "SUBSETS",
    "Ablation",
    "ablate",
    "ablated_matrix",
    "ablation_rows",
    "removed_masses",
    "settings_of",
]

Measure = Literal["fvu", "replay_accuracy"]
MEASURES: tuple[Measure, ...] = ("fvu", "replay_accuracy")

SUBSETS = ("full", "RR", "CR", "CC", "RR+CR", "RR+CC", "CR+CC", "RR+CR+CC")
"""The full network and every nonempty subset of the three couplings."""

_Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ablation:
    """Rectangles of T whose entries above the diagonal blocks are scaled.

    Attributes
    ----------
    name : str
    rectangles : tuple of (first_row, end_row, first_column, end_column)
        Half-open. Only entries strictly above the diagonal blocks are touched, so a rectangle may
        cover blocks. Where rectangles overlap, their gains multiply.
    gains : tuple of float
        One factor per rectangle; 0 removes the entries, 1 leaves them.
    """

    name: str
    rectangles: tuple[tuple[int, int, int, int], ...]
    gains: tuple[float, ...]

    def __post_init__(self) -> None:
        if not str.isprintable(self.name) or not self.name:
            raise ValueError(f"name must be printable text, got {shown(self.name)}")
        rectangles = tuple(_rectangle(rectangle) for rectangle in self.rectangles)
        gains = tuple(real_number(gain, "gains") for gain in self.gains)
        if len(rectangles) != len(gains):
            raise ValueError(
                f"gains must hold one factor for each of the {len(rectangles)} rectangles, "
                f"got {len(gains)}"
            )
        object.__setattr__(self, "rectangles", rectangles)
        object.__setattr__(self, "gains", gains)

    @classmethod
    def of(cls, name: str, sectors: Sectors, gain: float = 0.0) -> Ablation:
        """The ablation of couplings, e.g. ``Ablation.of("RR+CC", schur.sectors(0.9))``.

        Parameters
        ----------
        name : str
            ``"RR"``, ``"CR"`` or ``"CC"``, several joined by ``+``, or ``"full"`` for none. The
            ablation is called ``"RR+CC"``, with a gain other than 0 ``"0.5*RR+CC"``.
        sectors : Sectors
        gain : float
            What the couplings are multiplied with.
        """
        names = _coupling_names(name)
        rectangles = sectors.rectangles(names).tolist() if names else []
        joined = "+".join(names) if names else "full"
        called = joined if gain == 0 or not names else f"{real_number(gain, 'gain'):g}*{joined}"
        return cls(called, tuple(rectangles), (gain,) * len(rectangles))


def ablate(
    network: Network,
    trials: Trials,
    *,
    alpha: float = 0.9,
    ablations: Iterable[str | Ablation] | None = None,
    measure: Measure = "fvu",
    n_threads: int = 0,
    order: Order | None = None,
    schur: OrderedSchur | None = None,
    rng: Rng = None,
) -> AblationProfile:
    """Ablate Schur couplings of a trained network and measure what that does.

    Parameters
    ----------
    network : Network
        Its dtype is that of the rollouts; Schur coordinates are always computed in float64.
    trials : Trials
        Held-out trials, converted once to the network's dtype.
    alpha : float
        Where the spectrum is cut: R holds the eigenvalues of modulus >= alpha * rho. In (0, 1].
        In another order, of key >= alpha times the largest key.
    ablations : iterable of str or Ablation, optional
        What to ablate; None means every subset of the couplings RR, CR (C to R) and CC. The full
        network is always row 0 and need not be named.
    measure : {"fvu", "replay_accuracy"}
    n_threads : int
        0 chooses. The numbers have the same bits for any number of threads.
    order : {"modulus", "leaky modulus", "real part"}, optional
        What the blocks are ordered by, see `ordered_schur`; the leaky modulus takes the leak of the
        network's cell. None means the order of `schur`, or modulus.
    schur : OrderedSchur, optional
        Ordered Schur form of this network's ``W_hh``, to save computing it again or to use another
        admissible order.
    rng : numpy.random.Generator, SeedSequence or int
        Source of the noise of a cell that has some, the same noise for every ablation; as in
        `Network.rollout`.

    Returns
    -------
    AblationProfile
        A rollout that diverges is a result: a flag, and values that are not finite.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong kind or size; `trials` do not fit `network`; an ablation is
        unknown or named twice; the targets have zero variance (FVU is undefined) or, for replay
        accuracy, are not -1 and +1.
    """
    choice(measure, "measure", MEASURES)
    trials = _fitting_trials(network, trials)
    schur = _schur_of(network, schur, order)
    sectors = schur.sectors(alpha)
    rows = ablation_rows(ablations, sectors)
    statistics = trials.statistics
    if measure == "replay_accuracy":
        require_signs(trials.targets, trials.step_weights)
        denominator = float(statistics.total_weight())
    else:
        denominator = float(statistics.total_variance())

    removed_mass = removed_masses(schur, rows)
    vacuous = removed_mass <= network.n_hidden * np.finfo(network.dtype).eps
    run = ~vacuous
    run[0] = True
    vacuous[0] = False  # the full network is the reference, not an intervention
    per_trial = np.empty((len(rows), trials.n_trials))
    per_step = np.empty((len(rows), trials.n_steps))
    summed = "agreement" if measure == "replay_accuracy" else "squared_error"
    noise = network.noise(rng, trials.n_trials, trials.n_steps)
    _sweep(
        network,
        schur,
        [row for row, runs in zip(rows, run, strict=True) if runs],
        trials,
        noise,
        summed,
        (per_trial, per_step),
        _core.resolve_threads(n_threads),
    )
    _spread(run, per_trial, per_step)

    step_weight = trials.step_weights.sum(axis=0, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        value = per_trial.sum(axis=1) / denominator
        diverged = ~np.isfinite(value)
        change = value - value[0]
        per_trial *= trials.n_trials / denominator
        per_step /= step_weight
        per_step *= step_weight.sum() / denominator
        per_step[:, step_weight == 0] = np.nan
    change[0] = 0.0
    change[vacuous] = 0.0
    undefined = vacuous.copy()
    undefined[0] = True
    return AblationProfile(
        names=tuple(row.name for row in rows),
        value=value,
        change=change,
        removed_mass=removed_mass,
        sensitivity=sensitivity(change, removed_mass, undefined),
        per_trial=per_trial,
        per_step=per_step,
        vacuous=vacuous,
        diverged=diverged,
        measure=measure,
        alpha=sectors.alpha,
        schur=schur,
        settings={
            **settings_of(schur, sectors, measure, network.dtype, trials.n_trials),
            "n_steps": trials.n_steps,
            "cell": repr(network.cell),
        },
        statistics=statistics,
    )


def _rectangle(values: Sequence[int]) -> tuple[int, int, int, int]:
    sides = tuple(nonnegative_int(value, "rectangles") for value in values)
    if len(sides) != 4 or sides[0] > sides[1] or sides[2] > sides[3]:
        raise ValueError(
            "rectangles must be (first_row, end_row, first_column, end_column) with first <= end, "
            f"got {shown(values)}"
        )
    return sides[0], sides[1], sides[2], sides[3]


def _coupling_names(name: str) -> tuple[str, ...]:
    """The couplings in a name such as "RR+CC", in the order RR, CR, CC; none for "full"."""
    if not isinstance(name, str):
        raise TypeError(f"ablations must be names or Ablation objects, got {shown(name)}")
    if name == "full":
        return ()
    parts = name.split("+")
    known = set(parts) <= set(couplings) and len(set(parts)) == len(parts)
    if not known:
        choice(name, "ablations", SUBSETS)
    return tuple(coupling for coupling in couplings if coupling in parts)


def ablation_rows(ablations: Iterable[str | Ablation] | None, sectors: Sectors) -> list[Ablation]:
    """Row 0, the full network, and the asked ones; errors as for `ablate`."""
    if isinstance(ablations, (str, Ablation)):
        raise TypeError(
            f"ablations must be an iterable of names or Ablation objects, got {shown(ablations)}; "
            f"write [{shown(ablations)}]"
        )
    full = Ablation.of("full", sectors)
    rows = [full]
    for given in SUBSETS if ablations is None else ablations:
        row = given if isinstance(given, Ablation) else Ablation.of(given, sectors)
        if row == full:
            continue
        if row.name in (other.name for other in rows):
            raise ValueError(f"ablations must have distinct names, got {row.name!r} twice")
        rows.append(row)
    _check_rectangles(rows, sectors.n_hidden)
    return rows


def _check_rectangles(rows: Sequence[Ablation], n_hidden: int) -> None:
    for row in rows:
        for rectangle in row.rectangles:
            if max(rectangle[1], rectangle[3]) > n_hidden:
                raise ValueError(
                    f"ablations must lie inside T, which has shape ({n_hidden}, {n_hidden}); "
                    f"{row.name!r} has the rectangle {rectangle}"
                )


def _fitting_trials(network: Network, trials: Trials) -> Trials:
    """The trials in the network's dtype."""
    if not isinstance(network, Network):
        raise TypeError(
            f"network must be a schurscope.Network, got {type(network).__name__}; use "
            "ss.load_network(…) for files and modules"
        )
    if not isinstance(trials, Trials):
        raise TypeError(f"trials must be schurscope.Trials, got {type(trials).__name__}")
    for attribute, matrix in (("n_inputs", "W_xh"), ("n_outputs", "W_hy")):
        given, wanted = getattr(trials, attribute), getattr(network, attribute)
        if given != wanted:
            raise ValueError(
                f"trials must have {attribute} = {wanted}, because {matrix} has shape "
                f"{getattr(network, matrix).shape}, got {given}"
            )
    if trials.h_0 is not None and trials.h_0.shape[1] != network.n_hidden:
        raise ValueError(
            f"trials must have h_0 of shape (trials, {network.n_hidden}), because W_hh has shape "
            f"{network.W_hh.shape}, got {trials.h_0.shape}"
        )
    return trials.astype(network.dtype)


def _schur_of(network: Network, schur: OrderedSchur | None, order: Order | None) -> OrderedSchur:
    W_hh = network.W_hh.astype(np.float64)
    if schur is None:
        leak = network.cell.leak if order == "leaky modulus" else None
        return ordered_schur(W_hh, order or "modulus", leak)
    if not isinstance(schur, OrderedSchur):
        raise TypeError(f"schur must be an OrderedSchur or None, got {type(schur).__name__}")
    if not np.array_equal(schur.W, W_hh):
        raise ValueError("schur must be that of network.W_hh, got the Schur form of another matrix")
    if order is not None and order != schur.order:
        raise ValueError(f"order must be that of schur, {schur.order!r}, got {order!r}")
    return schur


def removed_masses(schur: OrderedSchur, rows: Sequence[Ablation]) -> _Float64:
    """‖ΔT‖_F / ‖T‖_F of each row; 0 for the zero matrix, of which nothing can be removed."""
    norm = float(np.linalg.norm(schur.T))
    removed = np.zeros(len(rows))
    if norm > 0:
        _core.removed_masses(schur.T, *_compact(rows), removed)
        removed /= norm
    return removed


def ablated_matrix(schur: OrderedSchur, row: Ablation) -> _Float64:
    """W̃ = Q T̃ Qᵀ of one row: (N_h, N_h)."""
    _, rectangles, gains = _compact([row])
    W_ablated = np.empty_like(schur.W)
    _core.ablated_matrix(schur.W, schur.Q, schur.T, rectangles, gains, W_ablated)
    return W_ablated


def _compact(
    rows: Sequence[Ablation],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], _Float64]:
    """Offsets (rows + 1,), rectangles (n, 4) and gains (n,) as the core reads them."""
    offsets = np.cumsum([0, *(len(row.gains) for row in rows)], dtype=np.int64)
    rectangles = [rectangle for row in rows for rectangle in row.rectangles]
    gains = [gain for row in rows for gain in row.gains]
    return (
        offsets,
        np.array(rectangles, dtype=np.int64).reshape(-1, 4),
        np.array(gains, dtype=np.float64),
    )


def _sweep(
    network: Network,
    schur: OrderedSchur,
    rows: Sequence[Ablation],
    trials: Trials,
    noise: FloatArray | None,
    summed: str,
    sums: tuple[_Float64, _Float64],
    n_threads: int,
) -> None:
    """Fill the first rows of `sums`, (…, trials) and (…, steps): one per ablation."""
    _core.sweep(
        *network.core_arguments(),
        schur.Q,
        schur.T,
        *_compact(rows),
        trials.inputs,
        trials.targets,
        trials.step_weights,
        network.start(trials.h_0, trials.n_trials),
        noise,
        summed,
        sums[0][: len(rows)],
        sums[1][: len(rows)],
        n_threads,
    )


def _spread(run: npt.NDArray[np.bool_], *sums: _Float64) -> None:
    """Move the sums of the ablations that ran, which lie first, to their rows, in place.

    A row that did not run repeats the full network's.
    """
    source = np.where(run, np.cumsum(run) - 1, 0)
    for row in range(len(run) - 1, 0, -1):  # from the end: no row is read after it is written
        if source[row] != row:
            for array in sums:
                array[row] = array[source[row]]


def settings_of(
    schur: OrderedSchur, sectors: Sectors, measure: str, dtype: FloatDType, n_trials: int
) -> dict[str, Any]:
    """Where a profile's numbers come from."""
    return {
        "version": __version__,
        "level": _core.LEVEL,
        "dtype": dtype.name,
        "tie_rule": schur.tie_rule,
        "measure": measure,
        "alpha": sectors.alpha,
        "gap": sectors.gap,
        "n_R": sectors.n_R,
        "N_h": schur.n_hidden,
        "n_trials": n_trials,
        "n_swaps": schur.n_swaps,
        "n_refused": len(schur.refused),
    }
