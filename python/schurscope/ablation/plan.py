"""Ablations: rectangles of T with gains, named or defined by the user."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import _core
from .._internal.checks import choice, nonnegative_int, real_number, shown
from ..coordinates.schur import OrderedSchur
from ..coordinates.sectors import Sectors, couplings

__all__ = ["SUBSETS", "Ablation", "ablated_matrix", "ablation_rows", "compact", "removed_masses"]

SUBSETS = ("full", "RR", "CR", "CC", "RR+CR", "RR+CC", "CR+CC", "RR+CR+CC")
"""The full network and every nonempty subset of the three couplings."""

_Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ablation:
    """Rectangles of T whose entries above the diagonal blocks are scaled.

    Attributes
    ----------
    name : str
    rectangles : tuple of (first_row, end_row, first_column, end_column)
        Half-open. Only entries strictly above the diagonal blocks are scaled, so a rectangle may
        cover blocks. Where rectangles overlap, their gains multiply.
    gains : tuple of float
        One factor per rectangle; 0 removes the entries, 1 leaves them.
    """

    name: str
    rectangles: tuple[tuple[int, int, int, int], ...]
    gains: tuple[float, ...]

    def __post_init__(self) -> None:
        if not str.isprintable(self.name) or not self.name:
            raise ValueError(f"name must be printable text, got {shown(self.name)}")
        rectangles = tuple(_rectangle(rectangle) for rectangle in self.rectangles)
        gains = tuple(real_number(gain, "gains") for gain in self.gains)
        if len(rectangles) != len(gains):
            raise ValueError(
                f"gains must hold one factor for each of the {len(rectangles)} rectangles, "
                f"got {len(gains)}"
            )
        object.__setattr__(self, "rectangles", rectangles)
        object.__setattr__(self, "gains", gains)

    @classmethod
    def of(cls, name: str, sectors: Sectors, gain: float = 0.0) -> Ablation:
        """The ablation of couplings, e.g. ``Ablation.of("RR+CC", schur.sectors(0.9))``.

        Parameters
        ----------
        name : str
            ``"RR"``, ``"CR"`` or ``"CC"``, several joined by ``+``, or ``"full"`` for none. A
            gain other than 0 becomes part of the ablation's name: ``"0.5*RR+CC"``.
        sectors : Sectors
        gain : float
            Factor on the couplings.
        """
        names = _coupling_names(name)
        rectangles = sectors.rectangles(names).tolist() if names else []
        joined = "+".join(names) if names else "full"
        called = joined if gain == 0 or not names else f"{real_number(gain, 'gain'):g}*{joined}"
        return cls(called, tuple(rectangles), (gain,) * len(rectangles))


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


def removed_masses(schur: OrderedSchur, rows: Sequence[Ablation]) -> _Float64:
    """‖ΔT‖_F / ‖T‖_F of each row; 0 for the zero matrix."""
    norm = float(np.linalg.norm(schur.T))
    removed = np.zeros(len(rows))
    if norm > 0:
        _core.removed_masses(schur.T, compact(rows), removed)
        removed /= norm
    return removed


def ablated_matrix(schur: OrderedSchur, row: Ablation) -> _Float64:
    """W̃ = Q T̃ Qᵀ of one row: (N_h, N_h)."""
    _, rectangles, gains = compact([row])
    W_ablated = np.empty_like(schur.W)
    _core.ablated_matrix(schur.W, (schur.Q, schur.T), (rectangles, gains), W_ablated)
    return W_ablated


def compact(
    rows: Sequence[Ablation],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], _Float64]:
    """Offsets (rows + 1,), rectangles (n, 4) and gains (n,) as the core reads them."""
    offsets = np.cumsum([0, *(len(row.gains) for row in rows)], dtype=np.int64)
    rectangles = [rectangle for row in rows for rectangle in row.rectangles]
    gains = [gain for row in rows for gain in row.gains]
    return (
        offsets,
        np.array(rectangles, dtype=np.int64).reshape(-1, 4),
        np.array(gains, dtype=np.float64),
    )


def _rectangle(values: Sequence[int]) -> tuple[int, int, int, int]:
    sides = tuple(nonnegative_int(value, "rectangles") for value in values)
    if len(sides) != 4 or sides[0] > sides[1] or sides[2] > sides[3]:
        raise ValueError(
            "rectangles must be (first_row, end_row, first_column, end_column) with first <= end, "
            f"got {shown(values)}"
        )
    return sides[0], sides[1], sides[2], sides[3]


def _coupling_names(name: str) -> tuple[str, ...]:
    """The couplings in a name such as "RR+CC", in the order RR, CR, CC; none for "full"."""
    if not isinstance(name, str):
        raise TypeError(f"ablations must be names or Ablation objects, got {shown(name)}")
    if name == "full":
        return ()
    parts = name.split("+")
    known = set(parts) <= set(couplings) and len(set(parts)) == len(parts)
    if not known:
        choice(name, "ablations", SUBSETS)
    return tuple(coupling for coupling in couplings if coupling in parts)


def _check_rectangles(rows: Sequence[Ablation], n_hidden: int) -> None:
    for row in rows:
        for rectangle in row.rectangles:
            if max(rectangle[1], rectangle[3]) > n_hidden:
                raise ValueError(
                    f"ablations must lie inside T, which has shape ({n_hidden}, {n_hidden}); "
                    f"{row.name!r} has the rectangle {rectangle}"
                )
