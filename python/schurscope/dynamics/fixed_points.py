"""Fixed points of a network under constant inputs, and slow points, with their local dynamics.

Sussillo & Barak, Neural Computation 25 (2013): minimise the speed q(h) = ½ ‖F(h, x) - h‖² from many
states that the network visits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from .._internal.checks import Rng, generator, nonnegative, positive, positive_int
from .._internal.frozen import ReadOnly
from .._internal.html import table
from ..networks.network import Network
from .arguments import inputs_of_conditions, sampled, states_given
from .jacobians import Jacobians, described
from .steps import Step, StepFunction, noiseless, step_of

__all__ = ["FixedPoints", "fixed_points"]

_Float64: TypeAlias = npt.NDArray[np.float64]
_Int64: TypeAlias = npt.NDArray[np.int64]

MOST_ROWS = 24  # of a printed table
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False, repr=False)
class FixedPoints(ReadOnly):
    """Fixed points h = F(h, x) of a network's step, and what became of every start.

    ``print`` shows a table. The points of a condition are in order of the number of starts that led
    to them, the largest first. Their Jacobians are a *description* and not ablatable, see
    `Jacobian`. Starts whose minimum of q is above `tolerance` are no fixed points; `ends`,
    `end_speeds` and `point` keep them: they may be slow points.

    Attributes
    ----------
    states : (points, D)
        h, distinct within a condition.
    condition : (points,) int64
        Row of `inputs`.
    inputs : (conditions, N_x)
        x.
    speeds : (points,)
        q = ½ ‖F(h, x) - h‖².
    hits : (points,) int64
        Number of starts that led to the point.
    jacobians : Jacobians
        J = ∂F/∂h at the points, with eigenvalues, nonnormality and sectors.
    starts : (starts, D)
        Initial states, the same for every condition.
    ends : (conditions, starts, D)
        Where the optimiser ended.
    end_speeds : (conditions, starts)
        q there; NaN where it is not finite.
    point : (conditions, starts) int64
        The point that each start led to; -1 where it did not converge.
    tolerance : float
        Largest q of a fixed point.
    distance : float
        Ends within this distance are one point.
    """

    states: _Float64
    condition: _Int64
    inputs: _Float64
    speeds: _Float64
    hits: _Int64
    jacobians: Jacobians
    starts: _Float64
    ends: _Float64
    end_speeds: _Float64
    point: _Int64
    tolerance: float
    distance: float

    @property
    def spectral_radii(self) -> _Float64:
        """The largest modulus of J's eigenvalues at each point: (points,)."""
        return self.jacobians.spectral_radii

    @property
    def stable(self) -> npt.NDArray[np.bool_]:
        """Whether the spectral radius is below 1: (points,)."""
        stable: npt.NDArray[np.bool_] = self.spectral_radii < 1
        return stable

    @property
    def n_unstable(self) -> _Int64:
        """Number of eigenvalues of modulus at least 1: (points,)."""
        moduli = np.abs(self.jacobians.eigenvalues)
        unstable: _Int64 = (moduli >= 1).sum(axis=1, dtype=np.int64)
        return unstable

    @property
    def unconverged(self) -> npt.NDArray[np.bool_]:
        """Starts that led to no fixed point: (conditions, starts)."""
        missed: npt.NDArray[np.bool_] = self.point < 0
        return missed

    def __len__(self) -> int:
        """Number of fixed points."""
        return len(self.states)

    def _rows(self) -> Iterator[tuple[str, ...]]:
        radii, relative = self.spectral_radii, self.jacobians.nonnormality
        for i in range(min(len(self), MOST_ROWS)):
            yield (
                str(self.condition[i]),
                str(self.hits[i]),
                f"{self.speeds[i]:.1e}",
                "stable" if radii[i] < 1 else f"{self.n_unstable[i]} unstable",
                f"{radii[i]:.6g}",
                f"{relative[i]:.3g}",
                str(self.jacobians.n_R[i]),
            )

    def _notes(self) -> list[str]:
        notes = [f"… and {len(self) - MOST_ROWS} more points"] * (len(self) > MOST_ROWS)
        missed = self.unconverged
        if missed.any():
            speeds = self.end_speeds[missed]
            known = speeds[np.isfinite(speeds)]
            span = f": q from {known.min():.1e} to {known.max():.1e}" if known.size else ""
            lost = f", not finite in {speeds.size - known.size}" * (known.size < speeds.size)
            notes.append(
                f"{missed.sum()} of {missed.size} starts did not converge to a fixed point{span}"
                f"{lost}; see .ends and .end_speeds"
            )
        if at_kink := int((self.jacobians.kinks > 0).sum()):
            notes.append(
                f"caution: at {at_kink} points the argument of some relu is 0, where J takes its "
                "slope as 0: their stability is one-sided"
            )
        return notes

    def _heading(self) -> tuple[str, ...]:
        return "condition", "starts", "q", "stability", "|λ| max", "nonnormality", "n_R"

    def __repr__(self) -> str:
        conditions = f"{len(self.inputs)} condition{'s' * (len(self.inputs) > 1)}"
        return (
            f"FixedPoints({len(self)} points, {int(self.stable.sum())} stable, {conditions}, "
            f"{int(self.unconverged.sum())} of {self.unconverged.size} starts unconverged)"
        )

    def __str__(self) -> str:
        rows = [self._heading(), *self._rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        ]
        return "\n".join([repr(self), *lines, *self._notes()])

    def _repr_html_(self) -> str:
        return table("Fixed points", self._heading(), self._rows(), [repr(self), *self._notes()])


def fixed_points(
    network: Network,
    inputs: npt.ArrayLike | None = None,
    *,
    starts: npt.ArrayLike,
    n_starts: int | None = None,
    spread: float = 0.0,
    rng: Rng = 0,
    tolerance: float = 1e-20,
    distance: float = 1e-6,
    max_evaluations: int = 1000,
    alpha: float = 0.9,
) -> FixedPoints:
    """Fixed points of a network's step under constant inputs.

    From every start, MINPACK's Levenberg-Marquardt (``scipy.optimize.least_squares``) minimises the
    speed q(h) = ½ ‖F(h, x) - h‖² with the exact Jacobian, in float64 and without noise. It finds
    unstable points as it finds stable ones, and ends at a slow point, a positive minimum of q,
    where it finds none. More starts may find more points: nothing shows that all were found.
    Each start is a problem of its own, solved by QR factorisations of its Jacobian: they keep the
    accuracy that the normal equations of a batch would lose on nearly continuous attractors.

    Parameters
    ----------
    network : Network
    inputs : (conditions, N_x) or (N_x,), optional
        Constant inputs x, one row for each condition; None means 0.
    starts : (n, D) or (trials, steps, D)
        Initial states, such as ``network.states(trials.inputs)``, the states of trajectories; of
        an LSTM h, then c, as in ``jacobians(network, trials.inputs).states``.
    n_starts : int, optional
        Take that many of them, drawn without replacement; None means all.
    spread : float
        Standard deviation of normal noise added to the starts, to reach points beside the
        trajectories.
    rng : numpy.random.Generator, SeedSequence or int
        Draws starts and noise.
    tolerance : float
        Largest q of a fixed point: 1e-20 is an error of 1.4e-10 in F(h, x) = h.
    distance : float
        Points within this Euclidean distance, relative to 1 + ‖h‖, are one. On a continuous
        attractor, every start has a point of its own.
    max_evaluations : int
        Of F, for each start.
    alpha : float
        Cut of the Jacobians' spectra, see `jacobians`.

    Returns
    -------
    FixedPoints

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong type or shape, or out of range.
    """
    network = noiseless(network)
    x = inputs_of_conditions(network, inputs)
    h_0 = states_given(network, starts, "starts")
    tolerance, distance = positive(tolerance, "tolerance"), positive(distance, "distance")
    limit, spread = positive_int(max_evaluations, "max_evaluations"), nonnegative(spread, "spread")
    rng = generator(rng)
    h_0 = h_0[sampled(len(h_0), n_starts, "n_starts", rng)]
    if spread > 0:
        h_0 = h_0 + spread * rng.standard_normal(h_0.shape)
    step = step_of(network)
    ends = np.stack([[_minimum(step, h, given, limit) for h in h_0] for given in x])
    speeds = np.stack([_speeds(step, end, given) for end, given in zip(ends, x, strict=True)])
    point = np.full(speeds.shape, -1, dtype=np.int64)
    found: list[tuple[int, int, int]] = []  # condition, start, hits
    for condition, (end, speed) in enumerate(zip(ends, speeds, strict=True)):
        groups = _distinct(end, np.flatnonzero(speed <= tolerance), speed, distance)
        for members in sorted(groups, key=len, reverse=True):
            point[condition, members] = len(found)
            found.append((condition, members[0], len(members)))
    where, start, hits = np.array(found, dtype=np.int64).reshape(-1, 3).T
    states, of_points = ends[where, start], x[where]
    return FixedPoints(
        states=states,
        condition=where,
        inputs=x,
        speeds=speeds[where, start],
        hits=hits,
        jacobians=described(network, states, of_points, None, alpha),
        starts=h_0,
        ends=ends,
        end_speeds=speeds,
        point=point,
        tolerance=tolerance,
        distance=distance,
    )


class _Residual:
    """F(h) - h of one state and its Jacobian, from one step for each h."""

    def __init__(self, step: StepFunction, x: _Float64) -> None:
        self._step, self._x = step, x[None]
        self._at: _Float64 | None = None
        self._found: Step

    def _update(self, h: _Float64) -> None:
        if self._at is None or not np.array_equal(h, self._at):
            self._found, self._at = self._step(h[None], self._x), h.copy()

    def value(self, h: _Float64) -> _Float64:
        self._update(h)
        change: _Float64 = self._found.state[0] - h
        return change

    def jacobian(self, h: _Float64) -> _Float64:
        self._update(h)
        J: _Float64 = self._found.jacobian()[0]
        np.fill_diagonal(J, J.diagonal() - 1)
        return J


def _minimum(step: StepFunction, h: _Float64, x: _Float64, limit: int) -> _Float64:
    """The state to which the optimiser descends from h."""
    from scipy.optimize import least_squares

    residual = _Residual(step, x)
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.isfinite(residual.value(h)).all():
            return np.full_like(h, np.nan)
        end: _Float64 = least_squares(
            residual.value,
            h,
            residual.jacobian,
            method="lm",
            xtol=_EPS,
            ftol=_EPS,
            gtol=_EPS,
            max_nfev=limit,
        ).x
    return end


def _speeds(step: StepFunction, h: _Float64, x: _Float64) -> _Float64:
    """The speed q of each state, (n,); NaN where it is not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        change = step(h, np.broadcast_to(x, (len(h), len(x)))).state - h
        q = 0.5 * np.square(change).sum(axis=1)
    return np.where(np.isfinite(q), q, np.nan)


def _distinct(ends: _Float64, converged: _Int64, speeds: _Float64, distance: float) -> list[_Int64]:
    """Groups of converged starts, the slowest end of each first: a point is one group."""
    waiting = converged[np.argsort(speeds[converged], kind="stable")]
    groups = []
    while waiting.size:
        center = ends[waiting[0]]
        away = np.linalg.norm(ends[waiting] - center, axis=1)
        near = away <= distance * (1 + np.linalg.norm(center))
        groups.append(waiting[near])
        waiting = waiting[~near]
    return groups
