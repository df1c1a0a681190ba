"""Ablations of several recurrent matrices at once: the gates of a GRU or an LSTM.

A name such as ``"r:CR,z:CR+CC"`` gives the couplings of each gate that changes; gates that are not
named stay as they are. Each gate has its own Schur form, cut at the same alpha.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .._internal.checks import shown, suggest
from ..coordinates.sectors import Sectors, couplings
from .plan import SUBSETS, Ablation, ablation_rows

__all__ = ["GatedAblation", "Row", "gated_rows", "rows_of"]

OF_N = tuple(name for name in SUBSETS if name not in ("full", "BB"))
"""Every nonempty subset of the couplings of N."""


@dataclass(frozen=True)
class GatedAblation:
    """Ablations of gates, together: gate → `Ablation`.

    Attributes
    ----------
    name : str
        Such as ``"n:CR"`` or ``"r:CR,z:CR"``.
    gates : mapping from str to Ablation
        Gates that are not named stay as they are.
    """

    name: str
    gates: Mapping[str, Ablation]

    def __post_init__(self) -> None:
        if not str.isprintable(self.name) or not self.name:
            raise ValueError(f"name must be printable text, got {shown(self.name)}")
        for gate, part in self.gates.items():
            if not isinstance(part, Ablation):
                raise TypeError(f"gates[{gate!r}] must be an Ablation, got {shown(part)}")
        object.__setattr__(self, "gates", MappingProxyType(dict(self.gates)))

    @classmethod
    def of(cls, name: str, sectors: Mapping[str, Sectors]) -> GatedAblation:
        """The ablation of that name, given the sectors of every gate.

        Raises
        ------
        TypeError, ValueError
            The name is not like ``"r:CR,z:CR"`` or ``"full"``, has no such gate, or names one
            twice; a coupling is unknown.
        """
        if not isinstance(name, str):
            raise TypeError(f"ablations must be names or GatedAblation objects, got {shown(name)}")
        if name == "full":
            return cls(name, {})
        parts: dict[str, Ablation] = {}
        for text in name.split(","):
            gate, colon, named = text.strip().partition(":")
            if not colon or gate not in sectors or gate in parts:
                example = ",".join(f"{known}:CR" for known in list(sectors)[:2])
                raise ValueError(
                    f"ablations must name each gate once, among {', '.join(sectors)}, and its "
                    f"couplings, such as {example!r}, got {name!r}{suggest(gate, sectors)}"
                )
            parts[gate] = Ablation.of(named, sectors[gate])
        ordered = {gate: parts[gate] for gate in sectors if gate in parts}
        return cls(",".join(f"{gate}:{part.name}" for gate, part in ordered.items()), ordered)


@dataclass(frozen=True)
class Row:
    """One row of a profile: what happens to each recurrent matrix, by gate, ``""`` for the only."""

    name: str
    parts: Mapping[str, Ablation]
    named: frozenset[str]


def rows_of(
    ablations: Iterable[str | Ablation] | Iterable[str | GatedAblation] | None,
    sectors: Mapping[str, Sectors],
) -> list[Row]:
    """The full network, row 0, and the requested ablations; errors as for `ablate`."""
    if list(sectors) == [""]:
        plain = ablation_rows(ablations, sectors[""])  # type: ignore[arg-type]
        return [Row(row.name, {"": row}, frozenset({""})) for row in plain]
    full = {gate: Ablation.of("full", cut) for gate, cut in sectors.items()}
    rows = gated_rows(ablations, sectors)  # type: ignore[arg-type]
    return [Row(row.name, {**full, **row.gates}, frozenset(row.gates)) for row in rows]


def gated_rows(
    ablations: Iterable[str | GatedAblation] | None, sectors: Mapping[str, Sectors]
) -> list[GatedAblation]:
    """The full network, row 0, and the requested ablations.

    None means every subset of RR, CR and CC of each gate alone, and each of the three in all gates
    together.
    """
    if isinstance(ablations, (str, GatedAblation)):
        raise TypeError(
            "ablations must be an iterable of names or GatedAblation objects, got "
            f"{shown(ablations)}; write [{shown(ablations)}]"
        )
    if ablations is None:
        ablations = [f"{gate}:{subset}" for gate in sectors for subset in OF_N]
        if len(sectors) > 1:
            ablations += [",".join(f"{gate}:{name}" for gate in sectors) for name in couplings]
    rows = [GatedAblation.of("full", sectors)]
    for given in ablations:
        row = given if isinstance(given, GatedAblation) else GatedAblation.of(given, sectors)
        if not row.gates:
            continue
        if row.name in (other.name for other in rows):
            raise ValueError(f"ablations must have distinct names, got {row.name!r} twice")
        if unknown := set(row.gates) - set(sectors):
            raise ValueError(
                f"ablations must be of the gates {', '.join(sectors)}, got {row.name!r} of "
                f"{', '.join(sorted(unknown))}"
            )
        for gate, part in row.gates.items():
            ablation_rows([part], sectors[gate])  # which checks that it lies inside T
        rows.append(row)
    return rows
