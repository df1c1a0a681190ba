"""Ablations: gains on parts of T, named or defined by the user."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import _core
from .._internal.checks import choice, nonnegative_int, real_number, shown
from ..coordinates.schur import OrderedSchur
from ..coordinates.sectors import COUPLINGS, Sectors
from .batch import Batch

__all__ = ["SUBSETS", "Ablation", "ablated_matrix", "ablation_rows", "removed_masses"]

SUBSETS = ("full", "RR", "CR", "CC", "RR+CR", "RR+CC", "CR+CC", "RR+CR+CC", "BB")
"""The full network, every nonempty subset of the couplings of N, and BB."""

_Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ablation:
    """Gains on entries of T above the diagonal blocks, and on the nonnormality of 2x2 blocks.

    Every ablation keeps the eigenvalues. A standardised 2x2 block ``[[a, b], [c, a]]`` becomes
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
    """

    name: str
    rectangles: tuple[tuple[int, int, int, int], ...]
    gains: tuple[float, ...]
    blocks: tuple[tuple[int, int], ...] = ()
    block_gains: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not str.isprintable(self.name) or not self.name:
            raise ValueError(f"name must be printable text, got {shown(self.name)}")
        rectangles = tuple(_rectangle(rectangle) for rectangle in self.rectangles)
        gains = tuple(real_number(gain, "gains") for gain in self.gains)
        blocks = tuple(_block_range(block) for block in self.blocks)
        block_gains = tuple(real_number(gain, "block_gains") for gain in self.block_gains)
        for name, places, factors in (
            ("gains", "rectangles", (gains, rectangles)),
            ("block_gains", "ranges of blocks", (block_gains, blocks)),
        ):
            if len(factors[0]) != len(factors[1]):
                raise ValueError(
                    f"{name} must hold one factor for each of the {len(factors[1])} {places}, "
                    f"got {len(factors[0])}"
                )
        object.__setattr__(self, "rectangles", rectangles)
        object.__setattr__(self, "gains", gains)
        object.__setattr__(self, "blocks", blocks)
        object.__setattr__(self, "block_gains", block_gains)

    @classmethod
    def of(cls, name: str, sectors: Sectors, gain: float = 0.0) -> Ablation:
        """The ablation of couplings, e.g. ``Ablation.of("RR+CC", schur.sectors(0.9))``.

        Parameters
        ----------
        name : str
            ``"RR"``, ``"CR"``, ``"CC"`` or ``"BB"``, the nonnormality of the 2x2 blocks, several
            joined by ``+``, or ``"full"`` for none. A gain other than 0 becomes part of the
            ablation's name: ``"0.5*RR+CC"``.
        sectors : Sectors
        gain : float
            Factor on the couplings.
        """
        names = _coupling_names(name)
        rectangles, blocks = (place.tolist() for place in sectors.places(names))
        joined = "+".join(names) if names else "full"
        called = joined if gain == 0 or not names else f"{real_number(gain, 'gain'):g}*{joined}"
        return cls(
            called,
            tuple(rectangles),
            (gain,) * len(rectangles),
            tuple(blocks),
            (gain,) * len(blocks),
        )


def ablation_rows(ablations: Iterable[str | Ablation] | None, sectors: Sectors) -> list[Ablation]:
    """The full network, row 0, and the requested ablations; errors as for `ablate`."""
    if isinstance(ablations, (str, Ablation)):
        raise TypeError(
            f"ablations must be an iterable of names or Ablation objects, got {shown(ablations)}; "
            f"write [{shown(ablations)}]"
        )
    full = Ablation.of("full", sectors)
    rows = [full]
    for given in SUBSETS if ablations is None else ablations:
        row = given if isinstance(given, Ablation) else Ablation.of(given, sectors)
        if row == full:
            continue
        if row.name in (other.name for other in rows):
            raise ValueError(f"ablations must have distinct names, got {row.name!r} twice")
        rows.append(row)
    _check_rectangles(rows, sectors.n_hidden)
    return rows


def removed_masses(schur: OrderedSchur, batch: Batch) -> _Float64:
    """‖ΔT‖_F / ‖T‖_F of each ablation; 0 for the zero matrix."""
    norm = float(np.linalg.norm(schur.T))
    removed = np.zeros(len(batch))
    if norm > 0:
        _core.removed_masses(schur.T, batch.core_arguments(), removed)
        removed /= norm
    return removed


def ablated_matrix(schur: OrderedSchur, row: Batch) -> _Float64:
    """W̃ = Q T̃ Qᵀ of a batch of one ablation: (N_h, N_h)."""
    W_ablated = np.empty_like(schur.W)
    _core.ablated_matrix(schur.W, (schur.Q, schur.T), row.core_arguments(), W_ablated)
    return W_ablated


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


def _coupling_names(name: str) -> tuple[str, ...]:
    """The couplings in a name such as "RR+CC", in the order of COUPLINGS; none for "full"."""
    if not isinstance(name, str):
        raise TypeError(f"ablations must be names or Ablation objects, got {shown(name)}")
    if name == "full":
        return ()
    parts = name.split("+")
    known = set(parts) <= set(COUPLINGS) and len(set(parts)) == len(parts)
    if not known:
        choice(name, "ablations", SUBSETS)
    return tuple(coupling for coupling in COUPLINGS if coupling in parts)


def _check_rectangles(rows: Sequence[Ablation], n_hidden: int) -> None:
    for row in rows:
        for rectangle in row.rectangles:
            if max(rectangle[1], rectangle[3]) > n_hidden:
                raise ValueError(
                    f"ablations must lie inside T, which has shape ({n_hidden}, {n_hidden}); "
                    f"{row.name!r} has the rectangle {rectangle}"
                )
        for block in row.blocks:
            if block[1] > n_hidden:
                raise ValueError(
                    f"ablations must lie inside T, which has {n_hidden} rows; {row.name!r} has "
                    f"blocks in the rows {block}"
                )
