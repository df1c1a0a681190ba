"""Keys for matrices under unknown names, as far as shapes and names tell them."""

from __future__ import annotations

import re

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
    if len(square) != 1:
        return f"Name the entries with {by_keys(**named)}{_BIASES}"
    (recurrent,) = square
    n_hidden = len(matrices[recurrent])
    named["W_hh"] = quoted(recurrent)
    for part, words, axis in (("W_xh", _INPUT, 0), ("W_hy", _OUTPUT, 1)):
        found = [
            name
            for name, a in matrices.items()
            if name != recurrent and n_hidden in a.shape and words.search(components(name)[-1])
        ]
        if len(found) == 1:
            is_turned = matrices[found[0]].shape[axis] != n_hidden
            named[part] = quoted(found[0]) + (".T" if is_turned else "")
    return (
        f"Name the entries with {by_keys(**named)}{_BIASES}. If states are rows, h @ W, W_hh is "
        f"{quoted(recurrent) + '.T'!r}, which its square shape does not tell"
    )
