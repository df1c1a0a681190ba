"""Jacobians of a network's step, and their ordered Schur forms: the dynamics near one state.

A Jacobian belongs to one state and one input. It has Schur coordinates, sectors and couplings as a
recurrent matrix has, but no ablation of the network removes them: weights are shared by all states.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from .._internal.checks import Rng, fraction, real_array
from .._internal.frozen import ReadOnly
from .._internal.html import facts, table
from ..ablation.batch import Batch
from ..ablation.plan import Ablation, removed_masses
from ..coordinates.forms import Coordinates
from ..coordinates.schur import OrderedSchur, ordered_schur
from ..coordinates.sectors import COUPLINGS, Sectors
from ..networks.network import Network
from .arguments import inputs_at, sampled, states_given
from .steps import StepFunction, noiseless, state_size, step_of, trajectory

__all__ = ["Jacobian", "Jacobians", "described", "jacobians"]

_Float64: TypeAlias = npt.NDArray[np.float64]
_Int64: TypeAlias = npt.NDArray[np.int64]

NOT_ABLATABLE = (
    "a description of the dynamics near one state, not ablatable: W_hh acts at all states"
)


class _Description(ReadOnly):
    """Refuses to pass for a matrix."""

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is {NOT_ABLATABLE}; ablate the network instead")


@dataclass(frozen=True, eq=False, repr=False)
class Jacobian(_Description):
    """J = ∂h_t/∂h_(t-1) at one state, in its ordered Schur coordinates J = Q T Qᵀ.

    This is a *description* of the dynamics near that state and not ablatable: removing a coupling
    of J from the weights has no meaning, since J changes with the state while the weights act at
    all of them. `ablate` and `ablate_with` refuse it. Sectors and couplings are defined as those of
    a recurrent matrix (`ordered_schur`, `Sectors`), and as eigenvalues of J their moduli are growth
    per step.

    Attributes
    ----------
    matrix : (D, D)
        J. Row: unit of h_t, column: unit of h_(t-1).
    state : (D,)
        h_(t-1).
    input : (N_x,)
        x_t.
    alpha : float
        Cut: R holds the eigenvalues of modulus >= alpha times the largest.
    kinks : int
        Number of units whose relu has the argument 0 exactly. J takes their slope as 0; from the
        other side it is 1.
    """

    matrix: _Float64
    state: _Float64
    input: _Float64
    alpha: float
    kinks: int
    _schur: OrderedSchur = field(repr=False)

    @property
    def Q(self) -> _Float64:
        """Orthogonal: (D, D)."""
        return self._schur.Q

    @property
    def T(self) -> _Float64:
        """Quasi-upper-triangular, in the order of `ordered_schur`: (D, D)."""
        return self._schur.T

    @property
    def starts(self) -> _Int64:
        """First row of each diagonal block of T: (n_blocks,)."""
        return self._schur.starts

    @property
    def eigenvalues(self) -> npt.NDArray[np.complex128]:
        """In the order of the rows of T: (D,)."""
        return self._schur.eigenvalues

    @property
    def spectral_radius(self) -> float:
        """The largest modulus; below 1 a fixed point is stable."""
        return self._schur.rho

    @property
    def departure(self) -> float:
        """Henrici's departure from normality, ``sqrt(‖J‖_F² - Σ |λ|²)``."""
        return self._schur.departure

    @property
    def nonnormality(self) -> float:
        """`departure` over ‖J‖_F: 0 if J is normal, 1 if it is nilpotent."""
        norm = float(np.linalg.norm(self.matrix))
        return self.departure / norm if norm > 0 else 0.0

    @property
    def n_R(self) -> int:
        """Number of rows in the sector R of slow modes."""
        return self._sectors.n_R

    @property
    def gap(self) -> float:
        """Margin of the cut, see `Sectors`."""
        return self._sectors.gap

    @property
    def masses(self) -> dict[str, float]:
        """Coupling → its share of ‖T‖_F; of BB, the nonnormality of the 2x2 blocks."""
        removals = [Ablation.of(name, self._sectors) for name in COUPLINGS]
        shares = removed_masses(Coordinates(("",), (self._schur,)), Batch.of(removals))
        return dict(zip(COUPLINGS, shares.tolist(), strict=True))

    @property
    def _sectors(self) -> Sectors:
        return self._schur.sectors(self.alpha)

    def _facts(self) -> dict[str, object]:
        masses = ", ".join(f"{name} {mass:.3g}" for name, mass in self.masses.items())
        return {
            "size": f"{len(self.matrix)}, at one state",
            "spectral radius": f"{self.spectral_radius:.6g}",
            "departure from normality": f"{self.departure:.4g}, {self.nonnormality:.3g} of ‖J‖",
            f"sectors at alpha {self.alpha:g}": f"n_R {self.n_R}, gap {self.gap:.3g}",
            "masses": masses,
        }

    def __repr__(self) -> str:
        radius, relative = self.spectral_radius, self.nonnormality
        return f"Jacobian(D={len(self.matrix)}, rho={radius:.6g}, nonnormality={relative:.3g})"

    def __str__(self) -> str:
        lines = [f"  {name}: {told}" for name, told in self._facts().items()]
        return "\n".join([f"Jacobian: {NOT_ABLATABLE}", *lines, *_kink_notes(self.kinks > 0, 1)])

    def _repr_html_(self) -> str:
        return facts("Jacobian", self._facts(), [NOT_ABLATABLE, *_kink_notes(self.kinks > 0, 1)])


@dataclass(frozen=True, eq=False, repr=False)
class Jacobians(_Description):
    """Jacobians J = ∂h_t/∂h_(t-1) at n states, each in its own ordered Schur coordinates.

    These are a *description* of the dynamics and not ablatable, see `Jacobian`; `ablate` and
    `ablate_with` refuse them. ``jacobians[i]`` is one Jacobian with its matrix and Schur form,
    computed on access; ``print`` shows quantiles over the states.

    Attributes
    ----------
    network : Network
        In float64, without noise.
    states : (n, D)
        h_(t-1), where the Jacobian is taken; of an LSTM h_(t-1) and c_(t-1), D = 2 N_h.
    inputs : (n, N_x)
        x_t.
    places : (n, 2) int64 or None
        Trial and step (from 0) of x_t along trajectories; None for given states.
    alpha : float
        The cut of every Jacobian.
    eigenvalues : (n, D) complex128
        In nonincreasing order of modulus, as the rows of T.
    norms : (n,)
        ‖J‖_F.
    departures : (n,)
        Henrici's departures from normality.
    n_R : (n,) int64
        Rows in R.
    gaps : (n,)
        Margins of the cuts.
    masses : (n, 4)
        Shares of ‖T‖_F of RR, CR, CC and BB.
    kinks : (n,) int64
        Units whose relu has the argument 0 exactly, where the slope is taken as 0.
    """

    network: Network
    states: _Float64
    inputs: _Float64
    places: _Int64 | None
    alpha: float
    eigenvalues: npt.NDArray[np.complex128]
    norms: _Float64
    departures: _Float64
    n_R: _Int64
    gaps: _Float64
    masses: _Float64
    kinks: _Int64

    @property
    def spectral_radii(self) -> _Float64:
        """The largest modulus of each: (n,)."""
        radii: _Float64 = np.abs(self.eigenvalues).max(axis=1)
        return radii

    @property
    def nonnormality(self) -> _Float64:
        """Departures over norms: (n,), 0 for J = 0."""
        ratio = np.zeros_like(self.norms)
        return np.divide(self.departures, self.norms, out=ratio, where=self.norms > 0)

    def __len__(self) -> int:
        """Number of states n."""
        return len(self.states)

    def __iter__(self) -> Iterator[Jacobian]:
        """Jacobians in order."""
        return (self[place] for place in range(len(self)))

    def __getitem__(self, place: int) -> Jacobian:
        """The Jacobian of one state; IndexError if there is no such place."""
        place = range(len(self))[place]
        return _jacobian(step_of(self.network), self.states[place], self.inputs[place], self.alpha)

    def _rows(self) -> Iterator[tuple[str, ...]]:
        quantities = {
            "spectral radius": self.spectral_radii,
            "departure": self.departures,
            "nonnormality": self.nonnormality,
            "n_R": self.n_R,
            "gap": self.gaps,
            **{f"mass {name}": self.masses[:, i] for i, name in enumerate(COUPLINGS)},
        }
        for name, values in quantities.items():
            ends = np.quantile(values, [0, 0.5, 1], method="nearest")
            yield name, *(f"{end:.4g}" for end in ends)

    def _notes(self) -> list[str]:
        origin = "given states" if self.places is None else "states of trajectories"
        size = f"{len(self)} {origin}, D {self.states.shape[1]}, alpha {self.alpha:g}"
        return [size, *_kink_notes(int((self.kinks > 0).sum()), len(self))]

    def __repr__(self) -> str:
        return f"Jacobians({len(self)} states, D={self.states.shape[1]}, alpha={self.alpha:g})"

    def __str__(self) -> str:
        lines = [f"{'':16}{'lowest':>10}{'median':>10}{'highest':>10}"]
        lines += [
            f"{row[0]:16}{''.join(cell.rjust(10) for cell in row[1:])}" for row in self._rows()
        ]
        return "\n".join([f"Jacobians: each {NOT_ABLATABLE}", *self._notes(), *lines])

    def _repr_html_(self) -> str:
        notes = [f"each {NOT_ABLATABLE}", *self._notes()]
        return table("Jacobians", ("", "lowest", "median", "highest"), self._rows(), notes)


def jacobians(
    network: Network,
    inputs: npt.ArrayLike | None = None,
    *,
    states: npt.ArrayLike | None = None,
    h_0: npt.ArrayLike | None = None,
    c_0: npt.ArrayLike | None = None,
    n_states: int | None = None,
    rng: Rng = 0,
    alpha: float = 0.9,
) -> Jacobians:
    """Jacobians of a network's step along trajectories, or at given states.

    With h_t = F(h_(t-1), x_t), the Jacobian is ∂F/∂h at (h_(t-1), x_t), leaks included, in float64:

    - rate form: diag(1 - a) + diag(a ∘ φ'(u_t)) W_hh, with u_t = W_hh h_(t-1) + W_xh x_t + b_h;
    - current form: diag(1 - a) + diag(a) W_hh diag(φ'(h_(t-1)));
    - GRU: D = N_h; LSTM: D = 2 N_h, the state being h followed by c. All their gates' matrices act
      in one J, whose eigenvalues are therefore not those of any gate.

    The slope of relu at 0 is 0, as in training; see `Jacobians.kinks`. Noise is left out, of the
    step and of the trajectories.

    Parameters
    ----------
    network : Network
    inputs : array
        Without `states`: inputs of trajectories, (trials, steps, N_x); J is taken at the state
        before every step. With `states`: x_t at each, in the same leading axes, or one for all,
        (N_x,); None means 0.
    states : (n, D) or (trials, steps, D), optional
        h_(t-1).
    h_0, c_0 : (trials, N_h), optional
        Start of the trajectories, c_0 of an LSTM; None means the network's.
    n_states : int, optional
        Take that many of the states, drawn without replacement; None means all. Each takes
        a Schur form.
    rng : numpy.random.Generator, SeedSequence or int
        Draws them.
    alpha : float
        Cut of each Jacobian's spectrum, in (0, 1].

    Returns
    -------
    Jacobians
        A description; no ablation takes it.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong type or shape; there are neither inputs nor states; `h_0` is
        given with states.
    """
    network, alpha = noiseless(network), fraction(alpha, "alpha")
    if states is None:
        h, x, places = _along_trajectories(network, inputs, h_0, c_0)
    elif h_0 is not None or c_0 is not None:
        name = "c_0" if h_0 is None else "h_0"
        raise ValueError(f"{name} must be None where states are given, as no trajectory is run")
    else:
        h, places = states_given(network, states, "states"), None
        x = inputs_at(network, states, inputs)
    chosen = sampled(len(h), n_states, "n_states", rng)
    places = None if places is None else places[chosen]
    return described(network, h[chosen], x[chosen], places, alpha)


def described(
    network: Network, h: _Float64, x: _Float64, places: _Int64 | None, alpha: float
) -> Jacobians:
    """The Jacobians at states (n, D) with inputs (n, N_x), of a network without noise."""
    n, size = h.shape
    step = step_of(network)
    eigenvalues = np.empty((n, size), dtype=np.complex128)
    norms, departures, gaps = np.empty((3, n))
    n_R, kinks = np.empty((2, n), dtype=np.int64)
    masses = np.empty((n, len(COUPLINGS)))
    for place in range(n):
        found = _jacobian(step, h[place], x[place], alpha)
        eigenvalues[place], departures[place] = found.eigenvalues, found.departure
        norms[place], kinks[place] = np.linalg.norm(found.matrix), found.kinks
        n_R[place], gaps[place] = found.n_R, found.gap
        masses[place] = list(found.masses.values())
    return Jacobians(
        network, h, x, places, alpha, eigenvalues, norms, departures, n_R, gaps, masses, kinks
    )


def _jacobian(step: StepFunction, h: _Float64, x: _Float64, alpha: float) -> Jacobian:
    """The Jacobian at one state."""
    found = step(h[None], x[None])
    schur = ordered_schur(found.jacobian()[0])
    return Jacobian(schur.W, h, x, alpha, int(found.kinks[0]), schur)


def _along_trajectories(
    network: Network,
    inputs: npt.ArrayLike | None,
    h_0: npt.ArrayLike | None,
    c_0: npt.ArrayLike | None,
) -> tuple[_Float64, _Float64, _Int64]:
    """States before each step, inputs, and trial and step of each."""
    if inputs is None:
        raise ValueError("inputs must be given, of trajectories or with states, got None for both")
    because = f"W_xh has shape {network.W_xh.shape}"
    shape = ("trials", "steps", network.n_inputs)
    x = real_array(inputs, "inputs", shape, because=because).astype(np.float64)
    n_trials, n_steps, _ = x.shape
    h = np.zeros((n_trials, state_size(network)))
    start = network.start(h_0, c_0, n_trials, f"inputs has shape {x.shape}")
    h[:] = 0 if start is None else start
    states = trajectory(network, h, x).reshape(n_trials * n_steps, -1)
    places = np.indices((n_trials, n_steps)).reshape(2, -1).T.astype(np.int64)
    return states, x.reshape(-1, network.n_inputs), places


def _kink_notes(at_kink: int, n: int) -> list[str]:
    if not at_kink:
        return []
    where = "this state" if n == 1 else f"{at_kink} of {n} states"
    return [
        f"caution: at {where} the argument of some relu is 0, where J takes its slope as 0; from "
        "the other side it is 1"
    ]
