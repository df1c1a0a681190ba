"""Whether a cut of the spectrum is determined at the precision of the weights.

Eigenvalues of a nonnormal matrix can move much further than its weights: those of a feedforward
chain, all 0, come out of float32 weights on a circle. So the weights are perturbed by the size of
their own rounding, W + E with E_ij = u W_ij ξ_ij, ξ ~ Unif[-1, 1], u the unit roundoff of the
weights; a cut is determined if no such perturbation moves an eigenvalue across it or turns the
invariant subspace of R.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy  # loads scipy.linalg lazily: it is slow to import

__all__ = ["Conditioning", "Perturbation", "conditioning_of", "perturbed_by_rounding"]

_Float64 = npt.NDArray[np.float64]
_Complex128 = npt.NDArray[np.complex128]

SAFETY = 3.0  # factor on the largest of a few random movements
MOST_MOVEMENT = 0.01  # of the projector on R: at most 1e-4 for sound cuts, 1e4 for unsound ones
FEW_DRAWS_FROM = 256  # N_h; from here one draw takes as long as several rollouts
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
    eigenvalues : (n_draws, N_h) complex128
        Eigenvalues of the perturbed W for each draw, unordered.
    """

    unit_roundoff: float
    rank: int
    exponent: int
    E: _Float64
    eigenvalues: _Complex128


@dataclass(frozen=True)
class Conditioning:
    """How well a cut into R and C is determined.

    Attributes
    ----------
    noise_radius : float
        Largest movement of an eigenvalue's key under rounding, in units of the key.
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
    reason : str
        Why the cut is not determined; empty if it is.
    """

    noise_radius: float
    null_dimensions: tuple[int, int]
    n_R_range: tuple[int, int]
    s: float
    sep: float
    projector_movement: float
    reason: str

    @property
    def determined(self) -> bool:
        """Whether rounding leaves the cut as it is."""
        return not self.reason


def perturbed_by_rounding(W: _Float64) -> Perturbation:
    """The eigenvalues of W under a few seeded perturbations of the size of rounding."""
    with np.errstate(over="ignore", under="ignore"):
        is_single = np.array_equal(W, W.astype(np.float32))
    unit = 2.0**-24 if is_single else 2.0**-53
    exponent = int(np.frexp(np.abs(W).max())[1])
    W = np.ldexp(W, -exponent)
    random = np.random.default_rng(SEED)
    n_draws = 1 if len(W) >= FEW_DRAWS_FROM else 2
    perturbations = [unit * W * random.uniform(-1, 1, W.shape) for _ in range(n_draws)]
    eigenvalues = [scipy.linalg.eigvals(W + E, check_finite=False) for E in perturbations]
    (R,) = scipy.linalg.qr(W, mode="r", pivoting=True, check_finite=False)[:1]
    rank = int((np.abs(np.diag(R)) > RANK_MARGIN * np.linalg.norm(perturbations[0])).sum())
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.ldexp(np.array(eigenvalues).view(np.float64), exponent).view(np.complex128)
    return Perturbation(unit, rank, exponent, perturbations[0], scaled)


def conditioning_of(
    Q: _Float64,
    T: _Float64,
    n_R: int,
    alpha: float,
    keys: _Float64,
    moduli: _Float64,
    perturbation: Perturbation,
    perturbed_keys: _Float64,
) -> Conditioning:
    """How well the cut after the first `n_R` rows of T is determined.

    Parameters
    ----------
    Q, T : (N_h, N_h)
        The ordered Schur form.
    n_R : int
    alpha : float
        The cut lies at alpha times the largest key.
    keys, moduli : (N_h,)
        Keys and moduli of the eigenvalues, in the order of T.
    perturbation : Perturbation
    perturbed_keys : (n_draws, N_h)
        Keys of the perturbed eigenvalues.
    """
    descending, radii = _movement(keys, perturbed_keys)
    # The threshold moves with the largest key.
    reach = SAFETY * (radii + alpha * radii[0])
    above = descending - alpha * descending[0]
    n_R_range = (int((above > reach).sum()), int((above >= -reach).sum()))
    is_null = np.empty(len(T), np.bool_)
    by_rank = _null(*_movement(moduli, np.abs(perturbation.eigenvalues)), perturbation)
    is_null[np.argsort(-moduli, kind="stable")] = by_rank
    null_dimensions = (int(is_null[:n_R].sum()), int(is_null[n_R:].sum()))
    T = np.ldexp(T, -perturbation.exponent)
    s, sep = _separation(T, n_R)
    movement = _projector_movement(Q, T, n_R, s, perturbation.E)
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
    radius = float(radii.max())
    sep = float(np.ldexp(sep, perturbation.exponent))
    return Conditioning(radius, null_dimensions, n_R_range, s, sep, movement, reason)


def _movement(values: _Float64, perturbed: _Float64) -> tuple[_Float64, _Float64]:
    """Values in decreasing order, and the largest movement at each rank."""
    descending = np.sort(values)[::-1]
    moved = np.sort(perturbed, axis=1)[:, ::-1]
    return descending, np.abs(moved - descending).max(axis=0)


def _null(moduli: _Float64, radii: _Float64, perturbation: Perturbation) -> npt.NDArray[np.bool_]:
    """Mask of the decreasing moduli that rounding does not distinguish from 0."""
    # Null: within the movement of it or a smaller one, unless it hardly moves itself.
    reach = SAFETY * np.maximum.accumulate(radii[::-1])[::-1]
    null: npt.NDArray[np.bool_] = (moduli <= reach) & (moduli <= 100 * radii)
    # Also null: the zero eigenvalues of a low-rank matrix, scattered differently by each draw.
    size = np.ldexp(np.linalg.norm(perturbation.E), perturbation.exponent)
    null[perturbation.rank :] |= moduli[perturbation.rank :] <= NULL_MARGIN * size
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
    """S and sep, the latter by inverse iteration on the Sylvester operator."""
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


def _projector_movement(Q: _Float64, T: _Float64, n_R: int, s: float, E: _Float64) -> float:
    """‖Z‖_F / s, with Z the turn of R's subspace: T_CC Z - Z T_RR = -Q_Cᵀ E Q_R."""
    if n_R == len(T):
        return 0.0
    # The transposed equation: T_RRᵀ Zᵀ - Zᵀ T_CCᵀ = (Q_Cᵀ E Q_R)ᵀ.
    Z = _Coupled(T, n_R).solve((Q[:, n_R:].T @ E @ Q[:, :n_R]).T, transposed=True)
    with np.errstate(divide="ignore", over="ignore"):
        return float(np.linalg.norm(Z) / s) if s > 0 else np.inf
