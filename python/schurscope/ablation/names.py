"""Names of ablations: couplings, and in gated networks the gates they are removed from.

``"CR"`` is T_CR of the one W_hh, or of every gate; ``"n:CR"`` that of the gate n; ``"z:CR+CC"``
several couplings of a gate; ``"r:CR,z:CR"`` several gates together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .._internal.checks import shown, suggest
from ..coordinates.sectors import COUPLINGS

__all__ = [
    "SUBSETS",
    "alone",
    "default_names",
    "is_of_couplings",
    "joined_name",
    "named_couplings",
    "single_names",
]

SUBSETS = ("full", "RR", "CR", "CC", "RR+CR", "RR+CC", "CR+CC", "RR+CR+CC", "BB")
"""The full network, every nonempty subset of the couplings of N, and BB."""

_OF_GATE = ("RR", "CR", "CC", "RR+CR+CC", "BB")


def default_names(gates: Sequence[str]) -> tuple[str, ...]:
    """`SUBSETS`, in all gates together; then of each named gate RR, CR, CC, all of N, and BB.

    Of a single gate with a name, `SUBSETS` alone.
    """
    if len(gates) == 1 and gates[0]:
        return ("full", *alone(SUBSETS[1:], gates))
    return (*SUBSETS, *alone(_OF_GATE, gates))


def alone(couplings: Iterable[str], gates: Sequence[str]) -> tuple[str, ...]:
    """The names of couplings such as ``"CR+CC"`` of each named gate by itself: ``"n:CR+CC"``."""
    return tuple(f"{gate}:{names}" for gate in gates if gate for names in couplings)


def single_names(gates: Sequence[str]) -> tuple[str, ...]:
    """Each coupling in all gates together; then each of each named gate: ``"n:CR"``."""
    return (*COUPLINGS, *alone(COUPLINGS, gates))


def is_of_couplings(name: str, gates: Sequence[str]) -> bool:
    """Whether a name says which couplings are removed; false for "full"."""
    try:
        return bool(named_couplings(name, gates))
    except ValueError:
        return False


def named_couplings(name: str, gates: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Gate → its couplings in the order of COUPLINGS; empty for "full".

    Parameters
    ----------
    name : str
    gates : sequence of str
        ``("",)`` for the vanilla cell.

    Raises
    ------
    TypeError, ValueError
        `name` is no text, or names an unknown coupling or gate, or one twice.
    """
    if not isinstance(name, str):
        raise TypeError(f"ablations must be names or Ablation objects, got {shown(name)}")
    if name == "full":
        return {}
    if ":" not in name:
        return dict.fromkeys(gates, _couplings(name, name, gates))
    found: dict[str, tuple[str, ...]] = {}
    for part in name.split(","):
        gate, _, couplings = part.partition(":")
        if gate not in gates or not gate:
            _refuse_gate(name, gate, gates)
        if gate in found:
            raise ValueError(f"ablations must name each gate once, got {gate!r} twice in {name!r}")
        found[gate] = _couplings(couplings, name, gates)
    return {gate: found[gate] for gate in gates if gate in found}


def joined_name(couplings: Mapping[str, Sequence[str]], gates: Sequence[str]) -> str:
    """The name of the couplings that each gate loses; without gates where several lose the same."""
    joined = {gate: "+".join(couplings[gate]) for gate in gates if couplings.get(gate)}
    if not joined:
        return "full"
    several_or_vanilla = len(gates) > 1 or gates[0] == ""
    if several_or_vanilla and len(joined) == len(gates) and len(set(joined.values())) == 1:
        return joined[gates[0]]
    return ",".join(f"{gate}:{names}" for gate, names in joined.items())


def _couplings(couplings: str, name: str, gates: Sequence[str]) -> tuple[str, ...]:
    parts = couplings.split("+")
    if not set(parts) <= set(COUPLINGS) or len(set(parts)) < len(parts):
        listed = ", ".join(map(repr, SUBSETS))
        of_gates = f", also of gates as in '{gates[0]}:CR' or '{gates[0]}:CR,{gates[-1]}:CR+CC'"
        raise ValueError(
            f"ablations must be one of {listed}{of_gates if gates[0] else ''}, got {shown(name)}"
            f"{_nearest(parts)}"
        )
    return tuple(coupling for coupling in COUPLINGS if coupling in parts)


def _nearest(parts: Sequence[str]) -> str:
    """The end of the message: the couplings that may be meant."""
    if "RC" in parts:
        return "; did you mean 'CR', the coupling from C to R?"
    return suggest("+".join(parts), SUBSETS)


def _refuse_gate(name: str, gate: str, gates: Sequence[str]) -> None:
    if tuple(gates) == ("",):
        raise ValueError(
            f"ablations must name no gate, because the cell has none, got {name!r}; write "
            f"{name.rpartition(':')[2]!r}"
        )
    listed = ", ".join(map(repr, gates))
    raise ValueError(f"ablations must name gates of {listed}, got {gate!r} in {name!r}")
