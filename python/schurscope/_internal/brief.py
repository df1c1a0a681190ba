"""Short reprs of results that hold arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Brief", "brief"]

FEW = 3  # entries of a collection that a repr shows


class Brief:
    """Base of results whose repr shows the sizes of arrays, tables and long collections."""

    def __repr__(self) -> str:
        return brief(type(self).__name__, vars(self))


def brief(kind: str, values: Mapping[str, Any]) -> str:
    """The repr of a `kind` with these attributes."""
    return f"{kind}({', '.join(f'{name}={_brief(value)}' for name, value in values.items())})"


def _brief(value: object) -> str:
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        kind = getattr(value, "dtype", type(value).__name__)  # a table has no one dtype
        return f"<{kind} {' × '.join(map(str, shape))}>"
    if isinstance(value, (Mapping, tuple, list)) and not hasattr(value, "_fields"):
        return f"<{len(value)} entries>" if len(value) > FEW else repr(value)
    return repr(value)
