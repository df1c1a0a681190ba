"""Keys for matrices under unknown names, as far as shapes and names tell them."""

from __future__ import annotations

import re

from .._internal.files import Array
from .parts import Parts, by_keys, components, quoted

__all__ = ["proposal"]

_INPUT = re.compile(r"(^|[^a-z])(in|inp|inputs?|ih|wi|win|xh|u|wu)([^a-z]|$)|inp", re.IGNORECASE)
_OUTPUT = re.compile(
    r"(^|[^a-z])(out|outputs?|wo|wout|hy|fc|dec|decoder|readout)([^a-z]|$)|out", re.IGNORECASE
)
_BIASES = ", and b_h, b_y and h_0 if it has them"


def proposal(parts: Parts) -> str:
    """How to name the matrices; an ellipsis stands for what shapes and names do not tell.

    The recurrent matrix is the only square one. Its shape does not tell whether it acts on columns
    or rows; that of the others does, unless they are square too.
    """
    arrays = parts.parameters()
    matrices = {n: a for n, a in arrays.items() if a.ndim == 2 and a.dtype.kind == "f"}
    named = {"W_hh": "…", "W_xh": "…", "W_hy": "…"}
    square = [name for name, a in matrices.items() if a.shape[0] == a.shape[1] > 1]
    recurrent = square[0] if len(square) == 1 else None
    low_rank = None if square else _low_rank(matrices)
    if recurrent is not None:
        named["W_hh"], n_hidden = quoted(recurrent), len(matrices[recurrent])
    elif low_rank is not None:
        named["W_hh"], n_hidden = low_rank
    else:
        return f"Name the entries with {by_keys(**named)}{_BIASES}"
    for part, words, axis in (("W_xh", _INPUT, 0), ("W_hy", _OUTPUT, 1)):
        found = [
            name
            for name, a in matrices.items()
            if name != recurrent and n_hidden in a.shape and words.search(components(name)[-1])
        ]
        if len(found) == 1:
            is_turned = matrices[found[0]].shape[axis] != n_hidden
            named[part] = quoted(found[0]) + (".T" if is_turned else "")
    told = f"Name the entries with {by_keys(**named)}{_BIASES}. "
    if recurrent is None:
        return told + "Leave out / n_h if its code does not divide by the number of units"
    return (
        f"{told}If states are rows, h @ W, W_hh is {quoted(recurrent) + '.T'!r}, which its square "
        "shape does not tell"
    )


def _low_rank(matrices: dict[str, Array]) -> tuple[str, int] | None:
    """The product of two factors called m and n, and N_h."""
    factors = {components(name)[-1]: name for name in matrices}
    if not {"m", "n"} <= set(factors):
        return None
    m, n = (matrices[factors[name]] for name in ("m", "n"))
    left, right = quoted(factors["m"]), quoted(factors["n"])
    if m.shape == n.shape:
        return f"{left} @ {right}.T / n_h", len(m)
    return (f"{left} @ {right} / n_h", len(m)) if m.shape == n.shape[::-1] else None
