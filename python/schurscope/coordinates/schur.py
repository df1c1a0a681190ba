"""Ordered real Schur coordinates of a recurrent matrix, W = Q T Qᵀ, and their sectors R and C.

T = B + N: B holds the diagonal blocks (1x1 for a real eigenvalue, 2x2 for a conjugate pair), N
everything strictly above them. The leading blocks form the sector R of slow modes, the rest C; this
splits N into the couplings T_RR, T_CR and T_CC. Source: Dräger, arXiv:2606.18457.

LAPACK computes the Schur form, through SciPy; direct swaps of adjacent blocks order it (Bai &
Demmel, Linear Algebra and its Applications 186, 1993).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import scipy

from .. import _core
from .._internal.checks import fraction, real_array, real_number, shown
from .._internal.forks import load_before_forks
from .._internal.html import facts
from ..networks.gates import recurrent_matrix
from ..networks.network import Network
from .conditioning import Conditioning, Perturbation, conditioning_of, perturbed_by_rounding
from .orders import Order, keys_of, leak_of_order, order_named, tie_rule_of
from .sectors import Sectors

__all__ = ["OrderedSchur", "ordered_schur"]

load_before_forks("scipy.linalg")

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]
_Complex128 = npt.NDArray[np.complex128]
_Scalar = TypeVar("_Scalar", bound=np.generic)

_TOLERANCE = 1e-12


@dataclass(frozen=True, eq=False, repr=False)
class OrderedSchur:
    """W = Q T Qᵀ with the diagonal blocks of T in order; made by `ordered_schur`.

    All arrays are read-only; matrices are C-contiguous.

    Attributes
    ----------
    W : (N_h, N_h) float64
        The matrix that was factored.
    Q : (N_h, N_h) float64
        Orthogonal.
    T : (N_h, N_h) float64
        Quasi-upper-triangular. A 2x2 block is ``[[a, b], [c, a]]`` with ``b c < 0``; its
        eigenvalues are ``a ± i sqrt(-b c)``. Exact zeros on the subdiagonal separate the blocks.
    starts : (n_blocks,) int64
        First row of each diagonal block.
    eigenvalues : (N_h,) complex128
        In the order of the rows of T; in a pair, the positive imaginary part first.
    residual : float
        ``‖Q T Qᵀ - W‖_F / ‖W‖_F``; 0 for W = 0.
    n_swaps : int
        Number of swaps of adjacent blocks that led to this order.
    refused : (n_refused, 2) complex128
        Eigenvalues of the upper and the lower block of each swap that was refused because rounding
        would have moved the eigenvalues beyond tolerance. Those two blocks kept their order.
    order : {"modulus", "leaky_modulus", "real_part"}
        Sort key of the blocks, see `keys`.
    leak : float
        a of the leaky modulus; 1 in the other orders.
    """

    W: _Float64
    Q: _Float64
    T: _Float64
    starts: _Int64
    eigenvalues: _Complex128
    residual: float
    n_swaps: int
    refused: _Complex128
    order: Order = "modulus"
    leak: float = 1.0
    _noise: list[Perturbation] = field(default_factory=list, init=False)
    _cuts: dict[tuple[float, int], Conditioning] = field(default_factory=dict, init=False)

    @property
    def n_hidden(self) -> int:
        """N_h, the number of rows of W."""
        return len(self.W)

    @property
    def block_sizes(self) -> _Int64:
        """1 or 2 for each diagonal block: (n_blocks,) int64."""
        return np.diff(self.starts, append=self.n_hidden)

    @property
    def block_of_row(self) -> _Int64:
        """Index of the diagonal block that each row of T belongs to: (N_h,) int64."""
        return np.repeat(np.arange(len(self.starts)), self.block_sizes)

    @property
    def moduli(self) -> _Float64:
        """Modulus of the eigenvalue of each row of T: (N_h,)."""
        return np.abs(self.eigenvalues)

    @property
    def keys(self) -> _Float64:
        """Sort key of the eigenvalue of each row of T: (N_h,).

        ``|lambda|`` (modulus), ``|1 - a + a lambda|`` (leaky modulus) or the real part.
        """
        return keys_of(self.eigenvalues, self.order, self.leak)

    @property
    def tie_rule(self) -> str:
        """The order and the version of its tie-breaking rule, such as ``"modulus-1"``."""
        return tie_rule_of(self.order, self.leak)

    @property
    def rho(self) -> float:
        """Spectral radius of W, the largest modulus."""
        return float(self.moduli.max())

    @property
    def departure(self) -> float:
        """Henrici's departure from normality, ``sqrt(‖W‖_F² - sum |lambda|²)``."""
        N = np.where(self.block_of_row[:, None] < self.block_of_row, self.T, 0.0)
        pairs = self.starts[self.block_sizes == 2]
        asymmetry = self.T[pairs, pairs + 1] + self.T[pairs + 1, pairs]
        parts = np.concatenate([N.ravel(), asymmetry])
        # Without that cancellation. SciPy's norm does not overflow or underflow when it squares.
        return float(scipy.linalg.norm(parts))

    def sectors(self, alpha: float = 0.9) -> Sectors:
        """Cut the spectrum: R holds the eigenvalues whose key is at least alpha times the largest.

        In the order by modulus, that is modulus at least alpha * rho.

        Parameters
        ----------
        alpha : float
            In (0, 1]. If the largest key is 0, every eigenvalue is in R.

        Raises
        ------
        TypeError
            `alpha` is not a real number.
        ValueError
            `alpha` is outside (0, 1], or the order is by real part and no real part is positive.
        """
        alpha = fraction(alpha, "alpha")
        keys = self.keys
        largest = float(keys.max())
        if self.order == "real_part" and largest <= 0:
            raise ValueError(
                "alpha cuts at alpha times the largest real part, which must be positive, "
                f"got {largest:.3g}; use another order, such as 'leaky_modulus'"
            )
        n_R = int(np.flatnonzero(keys >= (alpha - _TOLERANCE) * largest)[-1]) + 1
        all_in_R = n_R == self.n_hidden
        gap = np.inf if all_in_R else (keys[:n_R].min() - keys[n_R:].max()) / largest
        return Sectors(alpha, n_R, float(gap), self)

    def conditioning(self, sectors: Sectors) -> Conditioning:
        """How well a cut of this form is determined, see `Conditioning`.

        The movement of the eigenvalues is computed once for all cuts.
        """
        key = (sectors.alpha, sectors.n_R)
        if key not in self._cuts:
            if not self._noise:  # threads that race here compute the same
                self._noise.append(perturbed_by_rounding(self.W, self.Q, self.T, self.residual))
            self._cuts[key] = conditioning_of(
                (self.Q, self.T),
                sectors.n_R,
                sectors.alpha - _TOLERANCE,
                self.eigenvalues,
                self._noise[0],
                lambda eigenvalues: keys_of(eigenvalues, self.order, self.leak),
                self.leak,
            )
        return self._cuts[key]

    def ablated(self, couplings: Iterable[str], alpha: float = 0.9, gain: float = 0.0) -> _Float64:
        """W̃ = Q T̃ Qᵀ with couplings removed or scaled: (N_h, N_h) float64.

        Computed as ``W - Q (T - T̃) Qᵀ``, so that removing nothing gives W bit for bit. W̃ has the
        eigenvalues of W.

        Parameters
        ----------
        couplings : collection of str
            Any of ``"RR"``, ``"CR"`` (C to R), ``"CC"`` and ``"BB"``, such as ``{"RR", "CC"}``.
            Without all four, W̃ is normal.
        alpha : float
            Cut of the spectrum, see `sectors`.
        gain : float
            Factor on the couplings, see `schurscope.Ablation`; 0 removes them.

        Raises
        ------
        TypeError, ValueError
            As for `sectors` and `Sectors.rectangles`, or `gain` is not a finite number.
        """
        sectors, factor = self.sectors(alpha), real_number(gain, "gain")
        rectangles, blocks = sectors.places(couplings)
        places = [
            (np.array([0, len(place)]), place, np.full(len(place), factor))
            for place in (rectangles, blocks)
        ]
        W_ablated = np.empty_like(self.W)
        _core.ablated_matrix(self.W, (self.Q, self.T), (places[0], places[1]), W_ablated)
        return W_ablated

    def reordered(self, order: npt.ArrayLike) -> OrderedSchur:
        """The same matrix with its diagonal blocks in another order.

        Parameters
        ----------
        order : (n_blocks,) integers
            ``order[i]`` is the index in this form of the block that moves to place i.

        Returns
        -------
        OrderedSchur
            Its `n_swaps` and `refused` count the swaps from this form. A pair that a swap turns
            into two real eigenvalues becomes two blocks.

        Raises
        ------
        TypeError
            `order` does not hold integers.
        ValueError
            `order` is not a permutation of the blocks.
        """
        order = _permutation(order, len(self.starts))
        exponent = _exponent(self.W)
        T = np.asfortranarray(_scaled(self.T, -exponent))
        Q = self.Q.copy(order="F")
        n_swaps, refused = _core.reorder_schur(T, Q, order)
        return _assembled(self.W, Q, T, exponent, n_swaps, refused, self.order, self.leak)

    def __repr__(self) -> str:
        return (
            f"OrderedSchur(N_h={self.n_hidden}, blocks={len(self.starts)}, rho={self.rho:.6g}, "
            f"residual={self.residual:.1e}, swaps={self.n_swaps}, refused={len(self.refused)})"
        )

    def _repr_html_(self) -> str:
        named = {
            "blocks": f"{len(self.starts)} in {self.n_hidden} rows",
            "spectral radius": f"{self.rho:.6g}",
            "departure from normality": f"{self.departure:.4g}",
            "order": self.tie_rule,
            "swaps": f"{self.n_swaps}, {len(self.refused)} refused",
        }
        return facts("Ordered Schur form", named)


def ordered_schur(
    W: npt.ArrayLike | Network,
    order: Order = "modulus",
    leak: float | None = None,
    *,
    gate: str | None = None,
) -> OrderedSchur:
    """Real Schur form of W with its diagonal blocks in nonincreasing order of modulus.

    Where its activation is steep, a leaky network is the map (1 - a) I + a W, and for small a the
    flow of W - I. Both have the Schur vectors of W but sort them by other keys: the leaky modulus
    and the real part.

    `TIE_RULE` breaks ties. The result does not depend on the scale of W: W is multiplied by
    a power of two before the factorisation, and T divided by it after, which is exact.

    Parameters
    ----------
    W : (N_h, N_h) array_like, or Network
        Real and finite; float32, integers and booleans are converted to float64, exactly. Of a
        network its W_hh, or that of one gate.
    order : {"modulus", "leaky_modulus", "real_part"}
        By ``|lambda|``, ``|1 - a + a lambda|`` or the real part of lambda, the largest first.
    leak : float, optional
        a of the leaky modulus, in (0, 1]; the other orders have none. None means the leak of the
        network's cell.
    gate : str, optional
        The gate of a gated network, such as ``"n"``. Its eigenvalues are not the network's.

    Returns
    -------
    OrderedSchur

    Raises
    ------
    TypeError
        W is not an array of float32, float64 or integers: complex, float16, object, text.
    ValueError
        W is empty, not square, not finite, or so large that T overflows; an unknown order; a leak
        outside (0, 1], missing, or given for an order that has none; a gated network without a
        gate, or a gate that W does not have.
    numpy.linalg.LinAlgError
        LAPACK's QR iteration did not converge.
    """
    order = order_named(order)
    if isinstance(W, Network):
        leak = leak_of_order(order, W.cell) if leak is None else leak
        W = recurrent_matrix(W, gate)
    elif gate is not None:
        raise ValueError(f"gate must be None for a matrix, which has no gates, got {gate!r}")
    W = _frozen(real_array(W, "W", ("N_h", "N_h")).astype(np.float64))
    if (leak is None) == (order == "leaky_modulus"):
        raise ValueError(
            f"leak must be given for order='leaky_modulus', and for no other, got leak={leak} for "
            f"order={order!r}"
        )
    leak = 1.0 if leak is None else fraction(leak, "leak")
    exponent = _exponent(W)
    # T belongs to the scaled matrix, so the shift is scaled too.
    shift = float(_scaled(np.float64((1 - leak) / leak), -exponent))
    T, Q = scipy.linalg.schur(_scaled(W, -exponent), output="real")
    T, Q = np.array(T, order="F"), np.array(Q, order="F")
    n_swaps, refused = _core.sort_blocks(T, Q, order == "real_part", shift)
    return _assembled(W, Q, T, exponent, n_swaps, refused, order, leak)


def _scaled(array: Any, exponent: int) -> Any:
    """2**exponent times the float64 array; infinite where that overflows."""
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(array, exponent)


def _exponent(W: _Float64) -> int:
    """The power of two that brings the largest entry of W to [0.5, 1)."""
    return int(np.frexp(np.abs(W).max())[1])


def _assembled(
    W: _Float64,
    Q: _Float64,
    T: _Float64,
    exponent: int,
    n_swaps: int,
    refused: _Complex128,
    order: Order,
    leak: float,
) -> OrderedSchur:
    """The Schur form of W from the factors of 2**-exponent W."""
    W_scaled = _scaled(W, -exponent)
    norm = float(np.linalg.norm(W_scaled))
    residual = float(np.linalg.norm(Q @ T @ Q.T - W_scaled)) / norm if norm > 0 else 0.0
    starts = _core.block_starts(T)
    T = _scaled(T, exponent)
    if not np.isfinite(T).all():
        raise ValueError(
            f"W must be small enough for its Schur form to fit float64, got entries up to "
            f"{np.abs(W).max():.3g}"
        )
    return OrderedSchur(
        W=W,
        Q=_frozen(Q),
        T=_frozen(T),
        starts=_frozen(starts),
        eigenvalues=_frozen(_eigenvalues(T, starts)),
        residual=residual,
        n_swaps=n_swaps,
        refused=_frozen(_scaled(refused.view(np.float64), exponent).view(np.complex128)),
        order=order,
        leak=leak,
    )


def _frozen(array: npt.NDArray[_Scalar]) -> npt.NDArray[_Scalar]:
    """An array that the package owns, made C-contiguous and read-only."""
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array


def _eigenvalues(T: _Float64, starts: _Int64) -> _Complex128:
    """Eigenvalues of the standardised blocks, in the order of the rows of T."""
    eigenvalues = np.diag(T).astype(np.complex128)
    pairs = starts[np.diff(starts, append=len(T)) == 2]
    imaginary = np.sqrt(np.abs(T[pairs, pairs + 1])) * np.sqrt(np.abs(T[pairs + 1, pairs]))
    eigenvalues.imag[pairs] = imaginary
    eigenvalues.imag[pairs + 1] = -imaginary
    return eigenvalues


def _permutation(order: npt.ArrayLike, n_blocks: int) -> _Int64:
    given = np.asarray(order)
    if given.dtype.kind not in "iu":
        raise TypeError(f"order must hold integers, got dtype {given.dtype}")
    if not np.array_equal(np.sort(given, axis=None), np.arange(n_blocks)) or given.ndim != 1:
        raise ValueError(
            f"order must be a permutation of the {n_blocks} blocks, 0 to {n_blocks - 1}, "
            f"got {shown(given.tolist())}"
        )
    return given.astype(np.int64)
