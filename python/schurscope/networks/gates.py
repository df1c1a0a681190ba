"""The gates of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from .._internal.checks import FloatArray, choice

if TYPE_CHECKING:
    from .network import Network

__all__ = ["Gate", "gates_of", "recurrent_matrix"]


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


def gates_of(network: Network) -> Mapping[str, Gate]:
    """See `Network.gates`."""
    n, gates = network.n_hidden, {}
    for place, name in enumerate(network.cell.gates):
        rows = slice(place * n, (place + 1) * n)
        b_h = None if network.b_h is None else network.b_h[rows]
        gates[name] = Gate(network.W_hh[rows], network.W_xh[rows], b_h)
    return MappingProxyType(gates)


def recurrent_matrix(network: Network, gate: str | None) -> FloatArray:
    """The W_hh (N_h, N_h) of a gate, or the one of the vanilla cell.

    ValueError if the network is gated and no gate is named, or the other way round.
    """
    names = network.cell.gates
    if not names:
        if gate is not None:
            raise ValueError(
                f"gate must be None for the vanilla cell, which has none, got {gate!r}"
            )
        return network.W_hh
    if gate is None:
        listed = ", ".join(map(repr, names))
        raise ValueError(
            f"gate must be one of {listed}, because {network.cell!r} has a W_hh for each, got None"
        )
    return gates_of(network)[choice(gate, "gate", names)].W_hh
