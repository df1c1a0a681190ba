"""Ablations: gains on parts of T, named or defined by the user."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._internal.checks import FloatArray, FloatDType, nonnegative_int, real_number, shown
from ..coordinates.forms import Coordinates, Cuts
from ..coordinates.schur import OrderedSchur
from ..coordinates.sectors import Sectors
from .batch import Batch, Places
from .names import default_names, joined_name, named_couplings

__all__ = [
    "Ablation",
    "ablated_matrix",
    "ablated_weights",
    "ablation_rows",
    "gate_masses",
    "removed_masses",
]

_Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class Ablation:
    """Gains on entries of T above the diagonal blocks, and on the nonnormality of 2x2 blocks.

    Every ablation keeps the eigenvalues of T. A standardised 2x2 block ``[[a, b], [c, a]]`` becomes
    ``[[a, b̃], [c̃, a]]`` with ``b̃ c̃ = b c`` and ``|b̃ / c̃| = |b / c| ** gain``: with gain 0 it is
    normal, ``b̃ = -c̃ = ±sqrt(-b c)``.

    Attributes
    ----------
    name : str
    rectangles : tuple of (first_row, end_row, first_column, end_column)
        Half-open. Only entries strictly above the diagonal blocks are scaled, so a rectangle may
        cover blocks. Where rectangles overlap, their gains multiply.
    gains : tuple of float
        One factor per rectangle; 0 removes the entries, 1 leaves them.
    blocks : tuple of (first_row, end_row)
        Half-open ranges of rows of T, whose 2x2 blocks change. Where ranges overlap, their gains
        multiply.
    block_gains : tuple of float
        One gain per range; 0 makes the blocks normal, 1 leaves them.
    gates : tuple of str
        The gate of each rectangle, whose T it lies in; a single name is that of all. Left out for
        the vanilla cell, which has one T.
    block_gates : tuple of str
        The same for the ranges of blocks.
    """

    name: str
    rectangles: tuple[tuple[int, int, int, int], ...]
    gains: tuple[float, ...]
    blocks: tuple[tuple[int, int], ...] = ()
    block_gains: tuple[float, ...] = ()
    gates: tuple[str, ...] | str = ""
    block_gates: tuple[str, ...] | str = ""

    def __post_init__(self) -> None:
        if not str.isprintable(self.name) or not self.name:
            raise ValueError(f"name must be printable text, got {shown(self.name)}")
        checked: dict[str, tuple[Any, ...]] = {
            "rectangles": tuple(_rectangle(rectangle) for rectangle in self.rectangles),
            "gains": tuple(real_number(gain, "gains") for gain in self.gains),
            "blocks": tuple(_block_range(block) for block in self.blocks),
            "block_gains": tuple(real_number(gain, "block_gains") for gain in self.block_gains),
        }
        for places, what, factors, gates in (
            ("rectangles", "rectangles", "gains", "gates"),
            ("blocks", "ranges of blocks", "block_gains", "block_gates"),
        ):
            n = len(checked[places])
            if len(checked[factors]) != n:
                raise ValueError(
                    f"{factors} must hold one factor for each of the {n} {what}, "
                    f"got {len(checked[factors])}"
                )
            named = getattr(self, gates)
            checked[gates] = (named,) * n if isinstance(named, str) else tuple(named)
            if len(checked[gates]) != n or not all(isinstance(x, str) for x in checked[gates]):
                raise ValueError(
                    f"{gates} must be the name of a gate, or one for each of the {n} {what}, got "
                    f"{shown(named)}"
                )
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, name: str, sectors: Sectors | Cuts, gain: float = 0.0) -> Ablation:
        """The ablation of couplings, e.g. ``Ablation.of("RR+CC", schur.sectors(0.9))``.

        Parameters
        ----------
        name : str
            ``"RR"``, ``"CR"``, ``"CC"`` or ``"BB"``, the nonnormality of the 2x2 blocks, several
            joined by ``+``, or ``"full"`` for none. In a gated network of every gate, or of those
            named: ``"n:CR"``, ``"r:CR,z:CR+CC"``. A gain other than 0 becomes part of the
            ablation's name: ``"0.5*RR+CC"``.
        sectors : Sectors, or mapping of gates to Sectors
            Such as ``profile.sectors``, or ``profile.gates`` of a gated network.
        gain : float
            Factor on the couplings.
        """
        cuts = {"": sectors} if isinstance(sectors, Sectors) else sectors
        couplings = named_couplings(name, tuple(cuts))
        rectangles: list[tuple[int, int, int, int]] = []
        blocks: list[tuple[int, int]] = []
        gates, block_gates = [], []
        for gate, names in couplings.items():
            of_N, of_B = (place.tolist() for place in cuts[gate].places(names))
            rectangles += map(tuple, of_N)
            blocks += map(tuple, of_B)
            gates += [gate] * len(of_N)
            block_gates += [gate] * len(of_B)
        joined = joined_name(couplings, tuple(cuts))
        return cls(
            joined if gain == 0 or not couplings else f"{real_number(gain, 'gain'):g}*{joined}",
            tuple(rectangles),
            (gain,) * len(rectangles),
            tuple(blocks),
            (gain,) * len(blocks),
            tuple(gates),
            tuple(block_gates),
        )

    @property
    def named_gates(self) -> tuple[str, ...]:
        """The gates that it changes, each once; ``("",)`` in the vanilla cell."""
        return tuple(dict.fromkeys([*self.gates, *self.block_gates]))

    def __repr__(self) -> str:
        shown_fields = [field.name for field in fields(self)]
        if not any(self.named_gates):
            shown_fields = shown_fields[:-2]
        values = (f"{name}={getattr(self, name)!r}" for name in shown_fields)
        return f"Ablation({', '.join(values)})"

    def places(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Gates and places: rectangles, four numbers each, then ranges of blocks, two each."""
        yield from zip(self.gates, self.rectangles, strict=True)
        yield from zip(self.block_gates, self.blocks, strict=True)


def ablation_rows(
    ablations: Iterable[str | Ablation] | None, sectors: Sectors | Cuts
) -> list[Ablation]:
    """The full network, row 0, and the requested ablations; errors as for `ablate`."""
    cuts = {"": sectors} if isinstance(sectors, Sectors) else sectors
    if isinstance(ablations, (str, Ablation)):
        raise TypeError(
            f"ablations must be an iterable of names or Ablation objects, got {shown(ablations)}; "
            f"write [{shown(ablations)}]"
        )
    full = Ablation.of("full", cuts)
    rows = [full]
    for given in default_names(tuple(cuts)) if ablations is None else ablations:
        row = given if isinstance(given, Ablation) else Ablation.of(given, cuts)
        if row == full:
            continue
        if row.name in (other.name for other in rows):
            raise ValueError(f"ablations must have distinct names, got {row.name!r} twice")
        rows.append(row)
    for row in rows:
        _check_places(row, cuts)
    return rows


def removed_masses(coordinates: Coordinates, batch: Batch) -> _Float64:
    """‖ΔT‖_F / ‖T‖_F of each ablation, over the gates that it names; 0 for the zero matrix."""
    masses = gate_masses(coordinates, batch)
    if not coordinates.is_gated:
        return masses[:, 0]
    norms = np.where(batch.named, coordinates.norms / (coordinates.norms.max() or 1.0), 0.0)
    return _ratio(np.linalg.norm(masses * norms, axis=1), np.linalg.norm(norms, axis=1))


def gate_masses(coordinates: Coordinates, batch: Batch) -> _Float64:
    """‖ΔT‖_F / ‖T‖_F of each gate under each ablation: (ablations, gates)."""
    masses = np.zeros((len(batch), len(coordinates)))
    for gate, (schur, places) in enumerate(zip(coordinates.schurs, batch.parts, strict=True)):
        removed = np.zeros(len(batch))
        _core.removed_masses(schur.T, places.core_arguments(), removed)
        masses[:, gate] = _ratio(removed, float(np.linalg.norm(schur.T)))
    return masses


def ablated_matrix(schur: OrderedSchur, row: Places) -> _Float64:
    """W̃ = Q T̃ Qᵀ of one T and one ablation of it: (N_h, N_h)."""
    W_ablated = np.empty_like(schur.W)
    _core.ablated_matrix(schur.W, (schur.Q, schur.T), row.core_arguments(), W_ablated)
    return W_ablated


def ablated_weights(coordinates: Coordinates, row: Batch, dtype: FloatDType) -> FloatArray:
    """W_hh of a batch of one ablation, the gates stacked and rounded: (gates · N_h, N_h).

    Infinite where a large gain overflows.
    """
    parts = zip(coordinates.schurs, row.parts, strict=True)
    W_ablated = np.concatenate([ablated_matrix(schur, places) for schur, places in parts])
    with np.errstate(over="ignore"):
        return W_ablated.astype(dtype)


def _rectangle(values: Sequence[int]) -> tuple[int, int, int, int]:
    sides = tuple(nonnegative_int(value, "rectangles") for value in values)
    if len(sides) != 4 or sides[0] > sides[1] or sides[2] > sides[3]:
        raise ValueError(
            "rectangles must be (first_row, end_row, first_column, end_column) with first <= end, "
            f"got {shown(values)}"
        )
    return sides[0], sides[1], sides[2], sides[3]


def _block_range(values: Sequence[int]) -> tuple[int, int]:
    ends = tuple(nonnegative_int(value, "blocks") for value in values)
    if len(ends) != 2 or ends[0] > ends[1]:
        raise ValueError(
            f"blocks must be (first_row, end_row) with first <= end, got {shown(values)}"
        )
    return ends[0], ends[1]


def _check_places(row: Ablation, cuts: Cuts) -> None:
    """ValueError unless the ablation lies inside the T of gates that there are."""
    n_hidden = next(iter(cuts.values())).n_hidden
    for gate, place in row.places():
        if gate not in cuts:
            wanted = "no gate" if "" in cuts else f"gates of {', '.join(map(repr, cuts))}"
            raise ValueError(
                f"ablations must name {wanted}, {row.name!r} has the gate {gate!r} for {place}"
            )
        if max(place) > n_hidden:
            what = (
                f"has the rectangle {place}"
                if len(place) == 4
                else f"has blocks in the rows {place}"
            )
            raise ValueError(
                f"ablations must lie inside T, which has shape ({n_hidden}, {n_hidden}); "
                f"{row.name!r} {what}"
            )


def _ratio(part: _Float64, whole: _Float64 | float) -> _Float64:
    """Part / whole; 0 where the whole is 0."""
    whole = np.broadcast_to(whole, part.shape)
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
