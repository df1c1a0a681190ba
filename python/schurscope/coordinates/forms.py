"""The Schur coordinates of a network: of its one recurrent matrix, or of each gate's.

The vanilla cell is the case of one matrix, whose gate has the empty name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from .._internal.checks import choice, shown
from ..networks.gates import recurrent_matrix
from ..networks.network import Network
from .orders import Order, order_named
from .schur import OrderedSchur, ordered_schur
from .sectors import Sectors

__all__ = ["Coordinates", "Cuts", "Schurs", "by_gate", "warning_of"]

T = TypeVar("T")

Schurs: TypeAlias = "OrderedSchur | Mapping[str, OrderedSchur]"
"""The Schur form of the vanilla cell's W_hh, or one for each gate."""

Cuts: TypeAlias = Mapping[str, Sectors]
"""Gate → its sectors; the one gate of the vanilla cell is ``""``."""


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Ordered Schur forms of all recurrent matrices of a network.

    Attributes
    ----------
    gates : tuple of str
        In the order of `Cell.gates`; ``("",)`` for the vanilla cell.
    schurs : tuple of OrderedSchur
        One for each gate, of one size and order.
    """

    gates: tuple[str, ...]
    schurs: tuple[OrderedSchur, ...]

    @classmethod
    def of(cls, network: Network, schur: Schurs | None, order: Order | None) -> Coordinates:
        """The given Schur forms, checked to be the network's, or else new ones in that order.

        Raises
        ------
        TypeError, ValueError
            `schur` is not an OrderedSchur, or for a gated network a mapping with one for each gate;
            one is of another matrix, or in another order.
        """
        named = network.cell.gates
        order = None if order is None else order_named(order)
        if schur is None:
            forms = [
                ordered_schur(network, order or "modulus", gate=gate) for gate in named or [None]
            ]
            return cls(named or ("",), tuple(forms))
        given = _given(schur, named)
        for gate, form in given.items():
            what = f"schur[{gate!r}]" if gate else "schur"
            matrix = f"network.gates[{gate!r}].W_hh" if gate else "network.W_hh"
            if not isinstance(form, OrderedSchur):
                raise TypeError(
                    f"{what} must be an OrderedSchur or None, got {type(form).__name__}"
                )
            if not np.array_equal(form.W, recurrent_matrix(network, gate or None)):
                raise ValueError(
                    f"{what} must be the Schur form of {matrix}, got that of another matrix"
                )
            if order is not None and order != form.order:
                raise ValueError(f"order must be that of {what}, {form.order!r}, got {order!r}")
        return cls(named or ("",), tuple(given.values()))

    @property
    def is_gated(self) -> bool:
        """Whether there are gates with names."""
        return self.gates != ("",)

    @property
    def argument(self) -> Schurs:
        """The forms as the argument `schur` of `schurscope.ablate` and its like."""
        return dict(self) if self.is_gated else self.schurs[0]

    @property
    def only(self) -> OrderedSchur:
        """The form of the one matrix; AttributeError if there are several."""
        if len(self) > 1:
            listed = ", ".join(map(repr, self.gates))
            raise AttributeError(
                f"there is a Schur form for each of the gates {listed}: gates[…].schur of a "
                "profile, or coordinates[…]"
            )
        return self.schurs[0]

    def __getitem__(self, gate: str | None) -> OrderedSchur:
        """The form of a gate; None is the one of the vanilla cell. ValueError for another gate."""
        return self.schurs[self.number(gate)]

    def number(self, gate: str | None) -> int:
        """The place of a gate; ValueError if there is no such gate, or none is named."""
        if not self.is_gated:
            if gate:
                raise ValueError(
                    f"gate must be None for the vanilla cell, which has none, got {gate!r}"
                )
            return 0
        if gate is None:
            listed = ", ".join(map(repr, self.gates))
            raise ValueError(f"gate must be one of {listed}, because the cell is gated, got None")
        return self.gates.index(choice(gate, "gate", self.gates))

    @property
    def n_hidden(self) -> int:
        """N_h."""
        return self.schurs[0].n_hidden

    @property
    def tie_rule(self) -> str:
        """See `OrderedSchur.tie_rule`."""
        return self.schurs[0].tie_rule

    @property
    def norms(self) -> npt.NDArray[np.float64]:
        """‖T‖_F of each gate: (gates,)."""
        return np.array([np.linalg.norm(schur.T) for schur in self.schurs])

    def sectors(self, alpha: float) -> dict[str, Sectors]:
        """The cut of each gate's spectrum at alpha; ValueError as for `OrderedSchur.sectors`."""
        return {gate: _cut(gate, schur, alpha) for gate, schur in self}

    def __iter__(self) -> Iterator[tuple[str, OrderedSchur]]:
        """Pairs of a gate and its Schur form."""
        return iter(zip(self.gates, self.schurs, strict=True))

    def __len__(self) -> int:
        """Number of gates."""
        return len(self.gates)


def by_gate(cuts: Cuts, value: Callable[[Sectors], T]) -> T | dict[str, T]:
    """The value of the one cut of the vanilla cell, or of each gate's by its name."""
    if set(cuts) == {""}:
        return value(cuts[""])
    return {gate: value(cut) for gate, cut in cuts.items()}


def warning_of(cuts: Cuts) -> str:
    """Why cuts are not determined, and what to do; empty if all are."""
    if set(cuts) == {""}:
        return cuts[""].warning
    reasons = {gate: cut.conditioning.reason for gate, cut in cuts.items() if not cut.determined}
    if not reasons:
        return ""
    alpha = next(iter(cuts.values())).alpha
    listed = "; ".join(f"{gate}: {reason}" for gate, reason in reasons.items())
    gates = "gate" if len(reasons) == 1 else "gates"
    return (
        f"the cut at alpha={alpha:g} is not determined in {gates} {', '.join(reasons)} ({listed}). "
        "RR, CR and CC mean little there; choose an alpha where the gates' spectra have larger gaps"
    )


def _given(schur: Schurs, gates: tuple[str, ...]) -> dict[str, OrderedSchur]:
    """The forms by gate, in the network's order."""
    if not gates:
        if isinstance(schur, Mapping):
            raise TypeError(
                "schur must be an OrderedSchur or None, got a mapping: no cell with gates"
            )
        return {"": schur}
    if not isinstance(schur, Mapping) or set(schur) != set(gates):
        got = list(schur) if isinstance(schur, Mapping) else schur
        raise TypeError(
            f"schur must map each of the gates {', '.join(gates)} to its OrderedSchur, got "
            f"{shown(got)}"
        )
    return {gate: schur[gate] for gate in gates}


def _cut(gate: str, schur: OrderedSchur, alpha: float) -> Sectors:
    try:
        return schur.sectors(alpha)
    except ValueError as error:
        if not gate:
            raise
        raise ValueError(f"{error} (gate {gate})") from error
