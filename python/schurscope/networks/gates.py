"""The gates of a network, and what has to do without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from .._internal.checks import FloatArray
from .cell import Cell

__all__ = ["Gate", "gates_of", "require_vanilla"]


class _Network(Protocol):
    @property
    def cell(self) -> Cell: ...
    @property
    def n_hidden(self) -> int: ...
    @property
    def W_hh(self) -> FloatArray: ...
    @property
    def W_xh(self) -> FloatArray: ...
    @property
    def b_h(self) -> FloatArray | None: ...


@dataclass(frozen=True, eq=False)
class Gate:
    """One gate's part of a network's weights: read-only views.

    Attributes
    ----------
    W_hh : (N_h, N_h)
        ``W_hh[post, pre]``. Its eigenvalues are the gate's, not the network's.
    W_xh : (N_h, N_x)
    b_h : (N_h,) or None
    """

    W_hh: FloatArray
    W_xh: FloatArray
    b_h: FloatArray | None


def gates_of(network: _Network) -> Mapping[str, Gate]:
    """See `Network.gates`."""
    n, gates = network.n_hidden, {}
    for place, name in enumerate(network.cell.gates):
        rows = slice(place * n, (place + 1) * n)
        b_h = None if network.b_h is None else network.b_h[rows]
        gates[name] = Gate(network.W_hh[rows], network.W_xh[rows], b_h)
    return MappingProxyType(gates)


def require_vanilla(cell: Cell, asked: str) -> None:
    """ValueError if the cell has gates, for what needs the one square W_hh of the vanilla cell."""
    if cell.gates:
        listed = ", ".join(cell.gates)
        raise ValueError(
            f"{asked} needs the vanilla cell and its one square W_hh, got {cell!r}, which has one "
            f"for each of its gates {listed}; use network.gates[…].W_hh with ordered_schur and "
            "ablate_with"
        )
