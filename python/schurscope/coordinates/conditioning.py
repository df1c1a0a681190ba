"""Whether a cut of the spectrum is determined at the precision of the weights.

Eigenvalues of a nonnormal matrix can move much further than its weights: those of a feedforward
chain, all 0, come out of float32 weights on a circle. So the weights are perturbed by the size of
their own rounding, W + E with E_ij = u W_ij ξ_ij, ξ ~ Unif[-1, 1], u the unit roundoff of the
weights; a cut is determined if no such perturbation moves an eigenvalue across it or turns the
invariant subspace of R.

Eigenvalues of W + E for a few draws of E show the movement of small matrices. For large ones they
would take as long as the Schur form; where no eigenvalue nears another, the root mean square of the
first-order movement yᴴ E x / yᴴ x over all E takes less (Higham & Higham, SIAM Journal on Matrix
Analysis and Applications 20, 1998, on componentwise perturbations).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

__all__ = ["Conditioning", "Perturbation", "conditioning_of", "perturbed_by_rounding"]

_Float64 = npt.NDArray[np.float64]
_Complex128 = npt.NDArray[np.complex128]
_Key = Callable[[_Complex128], _Float64]

SAFETY = 3.0  # factor on the largest of a few random movements
MOST_MOVEMENT = 0.01  # of the projector on R: at most 1e-4 for sound cuts, 1e4 for unsound ones
FIRST_ORDER_FROM = 256  # N_h; from here eigenvalues take much longer than eigenvectors of T
RANK_MARGIN = 10.0  # over ‖E‖_F: a low-rank product has been rounded more than once
NULL_MARGIN = 1e3  # over ‖E‖_F: movement of a zero eigenvalue, its condition number included
INVERSE_ITERATIONS = 2
SEED = 0


@dataclass(frozen=True, eq=False)
class Perturbation:
    """The effect of rounding on the eigenvalues of a matrix.

    Attributes
    ----------
    unit_roundoff : float
        u: 2⁻²⁴ if every weight is a float32 number, else 2⁻⁵³.
    rank : int
        Numerical rank of W, by a pivoted QR factorisation.
    exponent : int
        E perturbs 2**-exponent W, which is scaled to avoid overflow and underflow.
    E : (N_h, N_h)
        The first perturbation.
    eigenvalues : (n, N_h) complex128
        Eigenvalues of the perturbed W for each draw, unordered; or of W itself, n = 1.
    spread : (N_h,) or None
        Root mean square movement of each eigenvalue of W, to first order; None if there are draws.
    """

    unit_roundoff: float
    rank: int
    exponent: int
    E: _Float64
    eigenvalues: _Complex128
    spread: _Float64 | None

    def movement(
        self, eigenvalues: _Complex128, key: _Key, slope: float = 1.0
    ) -> tuple[_Float64, _Float64]:
        """The keys of W's eigenvalues in decreasing order, and the movement at each rank.

        `slope` is how much a key changes at most where its eigenvalue moves by 1.
        """
        descending = np.sort(key(eigenvalues))[::-1]
        keys = key(self.eigenvalues)
        if self.spread is not None:
            return descending, slope * self.spread[np.argsort(-keys[0], kind="stable")]
        moved = np.sort(keys, axis=1)[:, ::-1]
        return descending, np.abs(moved - descending).max(axis=0)


@dataclass(frozen=True, repr=False)
class Conditioning:
    """How well a cut into R and C is determined.

    Attributes
    ----------
    unit_roundoff : float
        u: 2⁻²⁴ if every weight is a float32 number, else 2⁻⁵³.
    noise_radius : float
        Largest movement of an eigenvalue's key under rounding, in units of the key.
    rank : int
        Numerical rank of W.
    null_dimensions : (int, int)
        Dimensions of R and of C whose eigenvalues rounding does not distinguish from 0.
    n_R_range : (int, int)
        Smallest and largest n_R consistent with rounding at this alpha.
    s : float
        Reciprocal condition number of the mean of R's eigenvalues: 1 / √(1 + ‖X‖_F²) with
        T_RR X - X T_CC = -T_CR, the diagonal blocks whole; LAPACK's s of dtrsen. 1 for a normal W.
    sep : float
        Separation of R and C: the smallest singular value of X → T_RR X - X T_CC, estimated from
        above by inverse iteration. Infinite if C is empty.
    projector_movement : float
        First-order movement of the projector on R's invariant subspace under rounding.
    CR_movement : float
        First-order movement of T_CR under rounding over its own norm, ‖δT_CR‖_F / ‖T_CR‖_F, which
        bounds the relative change of the mass that removing CR removes. From 1 on, CR is noise.
    reason : str
        Why the cut is not determined; empty if it is.
    """

    unit_roundoff: float
    noise_radius: float
    rank: int
    null_dimensions: tuple[int, int]
    n_R_range: tuple[int, int]
    s: float
    sep: float
    projector_movement: float
    CR_movement: float
    reason: str

    @property
    def determined(self) -> bool:
        """Whether rounding leaves the cut as it is."""
        return not self.reason

    def __repr__(self) -> str:
        verdict = "determined" if self.determined else f"not determined: {self.reason}"
        return (
            f"Conditioning({verdict}; rank={self.rank}, null_dimensions={self.null_dimensions}, "
            f"n_R_range={self.n_R_range}, noise_radius={self.noise_radius:.2g}, s={self.s:.2g}, "
            f"sep={self.sep:.2g}, projector_movement={self.projector_movement:.2g}, "
            f"CR_movement={self.CR_movement:.2g})"
        )


def perturbed_by_rounding(W: _Float64, Q: _Float64, T: _Float64, residual: float) -> Perturbation:
    """The movement of the eigenvalues of W under perturbations of the size of rounding.

    `residual` is ‖Q T Qᵀ - W‖_F / ‖W‖_F, see `OrderedSchur`.
    """
    with np.errstate(over="ignore", under="ignore"):
        is_single = np.array_equal(W, W.astype(np.float32))
    unit = 2.0**-24 if is_single else 2.0**-53
    exponent = int(np.frexp(np.abs(W).max())[1])
    W, T = np.ldexp(W, -exponent), np.ldexp(T, -exponent)
    random = np.random.default_rng(SEED)
    is_large = len(W) >= FIRST_ORDER_FROM
    draws = [unit * W * random.uniform(-1, 1, W.shape) for _ in range(1 if is_large else 2)]
    size = float(np.linalg.norm(draws[0]))
    (R,) = scipy.linalg.qr(W, mode="r", pivoting=True, check_finite=False)[:1]
    rank = int((np.abs(np.diag(R)) > RANK_MARGIN * size).sum())
    error = residual * float(np.linalg.norm(W))
    linear = _first_order(W, Q, T, unit, error, rank, size) if is_large else None
    if linear is None:
        eigenvalues = np.array([scipy.linalg.eigvals(W + E, check_finite=False) for E in draws])
        spread = None
    else:
        eigenvalues, spread = linear
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.ldexp(eigenvalues.view(np.float64), exponent).view(np.complex128)
        spread = None if spread is None else np.ldexp(spread, exponent)
    return Perturbation(unit, rank, exponent, draws[0], scaled, spread)


def _first_order(
    W: _Float64, Q: _Float64, T: _Float64, unit: float, error: float, rank: int, size: float
) -> tuple[_Complex128, _Float64] | None:
    """Eigenvalues and their root mean square movement; None where first order does not hold."""
    real, imaginary, Y, X, info = scipy.linalg.lapack.dgeev(T)
    if info:
        return None
    eigenvalues = real + 1j * imaginary
    upper = np.flatnonzero(imaginary > 0)  # LAPACK has the imaginary parts in the next column
    product = np.einsum("ij,ij->j", Y, X).astype(np.complex128)
    cross = [np.einsum("ij,ij->j", Y[:, upper + i], X[:, upper + 1 - i]) for i in (0, 1)]
    product[upper] += product[upper + 1] + 1j * (cross[0] - cross[1])
    product[upper + 1] = product[upper]
    y, x = np.square(Q @ Y), np.square(Q @ X)
    for squares in (y, x):
        squares[:, upper] += squares[:, upper + 1]
        squares[:, upper + 1] = squares[:, upper]
    # The variance of ξ is 1/3. T itself is off by an error that moves the eigenvalues of a normal
    # matrix by error / √N_h in the root mean square (Hoffman & Wielandt).
    variance = np.einsum("ij,ij->j", y, (unit**2 / 3) * (np.square(W) @ x))
    variance += np.square(error) / len(W) * y.sum(axis=0) * x.sum(axis=0)
    moved = np.sqrt(variance)
    with np.errstate(divide="ignore"):
        spread = np.divide(moved, np.abs(product), out=np.zeros_like(moved), where=moved > 0)
    # The zero eigenvalues of a low-rank matrix are null by its rank, wherever rounding put them.
    null = np.argsort(-np.abs(eigenvalues), kind="stable")[rank:]
    null = null[np.abs(eigenvalues[null]) <= NULL_MARGIN * size]
    spread[null] = np.minimum(spread[null], NULL_MARGIN * size)
    distance = np.abs(eigenvalues[:, None] - eigenvalues)
    np.fill_diagonal(distance, np.inf)
    nearest = distance.min(axis=1)
    nearest[null] = np.inf
    if (SAFETY * spread > nearest / 2).any():
        return None
    return eigenvalues[None], spread


def conditioning_of(
    form: tuple[_Float64, _Float64],
    n_R: int,
    threshold: float,
    eigenvalues: _Complex128,
    perturbation: Perturbation,
    key: _Key,
    slope: float,
) -> Conditioning:
    """How well the cut after the first `n_R` rows of T is determined.

    Parameters
    ----------
    form : (N_h, N_h), (N_h, N_h)
        Q and T of the ordered Schur form.
    n_R : int
    threshold : float
        The cut lies at this times the largest key.
    eigenvalues : (N_h,) complex128
        In the order of T.
    perturbation : Perturbation
    key, slope : callable, float
        Sort key of eigenvalues, see `Perturbation.movement`.
    """
    Q, T = form
    descending, radii = perturbation.movement(eigenvalues, key, slope)
    # The cut moves with the largest key, and is rounded, as the keys are.
    reach = SAFETY * (radii + threshold * radii[0]) + 4 * np.finfo(np.float64).eps * descending[0]
    above = descending - threshold * descending[0]
    n_R_range = (int((above > reach).sum()), int((above >= -reach).sum()))
    is_null = np.empty(len(T), np.bool_)
    by_rank = _null(*perturbation.movement(eigenvalues, np.abs), perturbation)
    is_null[np.argsort(-np.abs(eigenvalues), kind="stable")] = by_rank
    null_dimensions = (int(is_null[:n_R].sum()), int(is_null[n_R:].sum()))
    T = np.ldexp(T, -perturbation.exponent)
    s, sep = _separation(T, n_R)
    movement, CR_movement = _movement(Q, T, n_R, s, perturbation.E)
    if null_dimensions[0]:
        reason = (
            f"{null_dimensions[0]} of the {n_R} eigenvalues in R cannot be distinguished from 0 at "
            f"the precision of the weights"
        )
    elif n_R_range != (n_R, n_R):
        low, high = n_R_range
        reason = f"n_R may be {low} to {high} at the precision of the weights"
    elif movement > MOST_MOVEMENT:
        reason = (
            "the invariant subspace of R is not determined at the precision of the weights "
            f"(rounding moves its projector by {movement:.1g})"
        )
    else:
        reason = ""
    return Conditioning(
        unit_roundoff=perturbation.unit_roundoff,
        noise_radius=float(radii.max()),
        rank=perturbation.rank,
        null_dimensions=null_dimensions,
        n_R_range=n_R_range,
        s=s,
        sep=float(np.ldexp(sep, perturbation.exponent)),
        projector_movement=movement,
        CR_movement=CR_movement,
        reason=reason,
    )


def _null(moduli: _Float64, radii: _Float64, perturbation: Perturbation) -> npt.NDArray[np.bool_]:
    """Mask of the decreasing moduli that rounding does not distinguish from 0."""
    # Null: within the movement of it or a smaller one, unless it hardly moves itself.
    reach = SAFETY * np.maximum.accumulate(radii[::-1])[::-1]
    null: npt.NDArray[np.bool_] = (moduli <= reach) & (moduli <= 100 * radii)
    # Also null: the zero eigenvalues of a low-rank matrix, scattered differently by each draw, or
    # on a circle if the matrix is far from normal. Nothing moves those that triangular zeros hold.
    size = np.ldexp(np.linalg.norm(perturbation.E), perturbation.exponent)
    reach = NULL_MARGIN * np.maximum(size, radii)
    null[perturbation.rank :] |= (moduli <= reach)[perturbation.rank :]
    return null


class _Coupled:
    """The Sylvester operator X → T_RR X - X T_CC between the two sectors, and its inverse."""

    def __init__(self, T: _Float64, n_R: int) -> None:
        self._R, self._C = T[:n_R, :n_R], T[n_R:, n_R:]

    def solve(self, right: _Float64, *, transposed: bool = False) -> _Float64:
        """X of T_RR X - X T_CC = right, or of the same with T_RR and T_CC transposed."""
        how = b"T" if transposed else b"N"
        X, scale, _info = scipy.linalg.lapack.dtrsyl(
            self._R, self._C, right, trana=how, tranb=how, isgn=-1
        )
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            solution: _Float64 = X / scale  # which is small where X would overflow
        return solution


def _separation(T: _Float64, n_R: int) -> tuple[float, float]:
    """Reciprocal condition number s, and the separation, by inverse iteration."""
    if n_R == len(T):
        return 1.0, np.inf
    coupled = _Coupled(T, n_R)
    s = 1 / np.hypot(1.0, np.linalg.norm(coupled.solve(-T[:n_R, n_R:])))
    X = np.random.default_rng(SEED).standard_normal((n_R, len(T) - n_R))
    sep = np.inf
    for _ in range(INVERSE_ITERATIONS):
        X = coupled.solve(X / np.linalg.norm(X))
        sep = float(1 / np.linalg.norm(X))
        if not sep > 0:
            break
        X = coupled.solve(X / np.linalg.norm(X), transposed=True)
    return float(s), sep


def _movement(Q: _Float64, T: _Float64, n_R: int, s: float, E: _Float64) -> tuple[float, float]:
    """First-order movement of the projector on R, and of T_CR over its norm, under E.

    R's subspace turns by Z, T_CC Z - Z T_RR = -Q_Cᵀ E Q_R; its projector moves by ‖Z‖_F / s, and
    T_CR by Q_Rᵀ E Q_C + Zᵀ T_CC - T_RR Zᵀ.
    """
    if n_R == len(T):
        return 0.0, 0.0
    Q_R, Q_C = Q[:, :n_R], Q[:, n_R:]
    T_CR = T[:n_R, n_R:]
    EQ_R, EQ_C = E @ Q_R, E @ Q_C
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        # The transposed equation: T_RRᵀ Zᵀ - Zᵀ T_CCᵀ = (Q_Cᵀ E Q_R)ᵀ.
        turn = _Coupled(T, n_R).solve((Q_C.T @ EQ_R).T, transposed=True)
        moved = np.linalg.norm(Q_R.T @ EQ_C + turn @ T[n_R:, n_R:] - T[:n_R, :n_R] @ turn)
        projector = np.linalg.norm(turn) / s if s > 0 else np.inf
        relative = np.divide(moved, np.linalg.norm(T_CR)) if moved > 0 else 0.0
    return float(projector), float(relative)
