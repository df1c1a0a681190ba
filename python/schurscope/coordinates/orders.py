"""The sort keys of the blocks of a Schur form."""

from __future__ import annotations

from typing import Literal, cast

import numpy as np
import numpy.typing as npt

from .._internal.checks import choice
from ..networks.cell import Cell

__all__ = [
    "ORDERS",
    "TIE_RULE",
    "Order",
    "keys_of",
    "leak_of_order",
    "order_named",
    "tie_rule_of",
]

Order = Literal["modulus", "leaky_modulus", "real_part"]
ORDERS: tuple[Order, ...] = ("modulus", "leaky_modulus", "real_part")

TIE_RULE = "modulus-1"
"""Version of the tie-breaking rule. Blocks have nonincreasing modulus. Moduli that agree to 1e-12
rho, directly or through a chain of such agreements, are tied: the larger real part comes first, and
real parts that agree to 1e-12 rho keep LAPACK's order. The other orders apply the rule to their own
key, and their versions begin with their names: see `OrderedSchur.tie_rule`."""


def order_named(order: str) -> Order:
    """The order of that name, also in the spelling before 0.2, with a space: "leaky modulus"."""
    return cast(Order, choice(str(order).replace(" ", "_"), "order", ORDERS))


def keys_of(
    eigenvalues: npt.NDArray[np.complex128], order: Order, leak: float
) -> npt.NDArray[np.float64]:
    """See `OrderedSchur.keys`."""
    return eigenvalues.real if order == "real_part" else np.abs(1 - leak + leak * eigenvalues)


def tie_rule_of(order: Order, leak: float) -> str:
    """See `OrderedSchur.tie_rule`."""
    if order == "leaky_modulus":
        return f"leaky-modulus-1 (a {leak:g})"
    return TIE_RULE if order == "modulus" else "real-part-1"


def leak_of_order(order: Order, cell: Cell) -> float | None:
    """The leak that `ordered_schur` needs for an order; None if it needs none.

    Raises
    ------
    ValueError
        The leaky modulus |1 - a + a λ| of a cell that has no one a: its units have different leaks,
        or it is gated.
    """
    if order != "leaky_modulus":
        return None
    low, high = np.min(cell.leak), np.max(cell.leak)
    if cell.gates or low != high:
        why = "no leak" if cell.gates else f"different leaks, here {low:g} … {high:g}"
        raise ValueError(
            f"order must be 'modulus' or 'real_part' for a cell with {why}, got 'leaky_modulus', "
            "which needs one leak"
        )
    return float(low)
