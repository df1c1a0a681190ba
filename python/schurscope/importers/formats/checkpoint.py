"""The common result of all readers: arrays by name, and the stated fields of the cell."""

from __future__ import annotations

import contextlib
import numbers
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..._internal.files import Array, check_size

__all__ = ["Checkpoint", "from_tree", "listed", "to_numpy"]


@dataclass
class Checkpoint:
    """The content of a file or an object, neither transposed nor selected.

    Attributes
    ----------
    origin : str
        The file, or the kind of object, for messages.
    arrays : dict
        By name. Nested names are joined by a dot, or by a slash in HDF5 files.
    skipped : dict
        Entries that are not arrays of numbers → the reason.
    narrow : dict
        Arrays widened to float32 → their dtype before, such as bfloat16.
    numbers : dict
        The skipped entries that are single numbers.
    texts : dict
        The skipped entries that are text.
    cell : dict
        Fields of `Cell` that the source states, and ``residual``.
    config : dict
        The configuration of a neuralrnn model; empty for everything else.
    notes : list of str
    warnings : list of str
        Notes of possible differences from the trained network.
    """

    origin: str
    arrays: dict[str, Array] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    narrow: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    cell: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, name: str, value: object) -> None:
        """Keep an array, widened to float32 if narrower, or the reason for skipping it."""
        try:
            array, narrow = to_numpy(value)
        except TypeError as error:
            self.skipped[name] = str(error)
            if isinstance(value, numbers.Real) and not isinstance(value, bool):
                with contextlib.suppress(OverflowError):
                    self.numbers[name] = float(value)
            elif isinstance(value, np.ndarray) and value.dtype.kind == "U" and value.size == 1:
                self.texts[name] = str(value.item())
            elif isinstance(value, str):
                self.texts[name] = value
            return
        self.arrays[name] = array
        if narrow:
            self.narrow[name] = narrow

    def within(self, file_size: int, max_bytes: int) -> Checkpoint:
        """The checkpoint itself; ValueError if its arrays exceed the size limit."""
        check_size(sum(array.nbytes for array in self.arrays.values()), file_size, max_bytes)
        return self


def to_numpy(value: object) -> tuple[Array, str]:
    """An array of any framework as NumPy's, and its dtype if that is narrower than float32.

    TypeError, naming the type, if it holds no numbers.
    """
    if hasattr(value, "detach"):  # a PyTorch tensor; NumPy refuses one that requires grad
        tensor: Any = value.detach().cpu()
        narrow = str(tensor.dtype).removeprefix("torch.")
        is_narrow = tensor.is_floating_point() and tensor.element_size() < 4
        return (tensor.float().numpy(), narrow) if is_narrow else (tensor.numpy(), "")
    if isinstance(value, (str, bytes)) or value is None or np.isscalar(value):
        raise TypeError(f"{type(value).__name__}, not an array")
    array = np.asarray(value)
    if (array.dtype.kind in "iubfc" and array.dtype.itemsize >= 4) or array.dtype.kind in "iub":
        return array, ""
    # Dtypes of other packages, such as bfloat16, have kind V.
    if array.dtype == np.float16 or array.dtype.name.startswith(("bfloat", "float8")):
        return array.astype(np.float32), array.dtype.name
    raise TypeError(f"{array.dtype}, not an array of numbers")


def from_tree(tree: Mapping[Any, Any], origin: str) -> Checkpoint:
    """A checkpoint of nested dictionaries and sequences of arrays of any framework."""
    found = Checkpoint(origin)
    for name, leaf in _leaves(tree, ""):
        found.add(name, leaf)
    return found


def _leaves(node: object, name: str) -> Iterator[tuple[str, object]]:
    items: Iterator[tuple[Any, Any]]
    if isinstance(node, Mapping):
        items = iter(node.items())
    elif isinstance(node, Sequence) and not isinstance(node, (str, bytes)) and not _is_array(node):
        items = iter(enumerate(node))
    elif not isinstance(node, Sequence) or isinstance(node, (str, bytes)):
        yield name, node
        return
    else:
        try:
            yield name, np.asarray(node)
            return
        except ValueError:  # lists of unequal length
            items = iter(enumerate(node))
    for key, child in items:
        yield from _leaves(child, f"{name}.{key}" if name else str(key))


def _is_array(node: Sequence[Any]) -> bool:
    """Whether a sequence is a list of numbers, or of lists of numbers, as in JSON."""
    first: Any = node
    while isinstance(first, Sequence) and not isinstance(first, (str, bytes)) and first:
        first = first[0]
    return isinstance(first, numbers.Real)


def listed(arrays: Mapping[str, Array], limit: int = 12) -> str:
    """Names with shapes, for a message."""
    texts = [f"{name} {array.shape}" for name, array in arrays.items()]
    more = f" and {len(texts) - limit} more" if len(texts) > limit else ""
    return ", ".join(texts[:limit]) + more if texts else "no arrays"
