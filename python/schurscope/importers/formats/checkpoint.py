"""The common result of all readers: arrays by name, and the stated fields of the cell."""

from __future__ import annotations

import contextlib
import numbers
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..._internal.checks import printable, shown
from ..._internal.files import Array, plain_text
from ..._internal.limits import most_bytes, open_file, size_on_disk

__all__ = ["Checkpoint", "entry_name", "from_tree", "leaves", "listed", "to_numpy"]

# No network needs more; without limits, a kilobyte can describe a tree of any size.
MAX_ENTRIES, MAX_ARRAYS = 200_000, 50_000
MAX_NUMBERS = 16_000_000
MAX_NAME = 1000
MAX_NAMES = 2_000_000  # characters in all
MAX_DEPTH = 64


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
    gated : list of dict
        For each gated cell whose functions the source states: its ``kind``, ``activation``, that of
        the ``gates``, and ``reset``, empty for an LSTM.
    file_size : int, optional
        Of a file, in bytes; None for an object in memory.
    most_widened : int, optional
        Bytes of float32 to which a file's float16 arrays may widen, for they can share their bytes.
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
    gated: list[dict[str, str]] = field(default_factory=list)
    file_size: int | None = None
    most_widened: int | None = None
    config: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def of_file(cls, path: Path, max_bytes: int) -> Checkpoint:
        """Of a file, whose arrays are not read yet."""
        with open_file(path) as stream:
            most_widened = most_bytes(size_on_disk(stream), max_bytes)
        return cls(str(path), file_size=path.stat().st_size, most_widened=most_widened)

    def add(self, name: str, value: object) -> None:
        """Keep an array, widened to float32 if narrower, or the reason for skipping it."""
        self._count_widened(value)
        try:
            array, narrow = to_numpy(value)
        except TypeError as error:
            self.skip(name, str(error))
            if isinstance(value, numbers.Real) and not isinstance(value, bool):
                with contextlib.suppress(OverflowError):  # an integer beyond all floats
                    self.numbers[entry_name(name)] = float(value)
            elif isinstance(value, np.ndarray) and value.dtype.kind == "U" and value.size == 1:
                if isinstance(text := plain_text(value.reshape(())), str):
                    self.texts[entry_name(name)] = text
            elif isinstance(value, str):
                self.texts[entry_name(name)] = value
            return
        self._require_new(name)
        if len(self.arrays) >= MAX_ARRAYS:
            raise ValueError(f"it has more than {MAX_ARRAYS} arrays")
        name = entry_name(name)
        self.arrays[name] = array
        if narrow:
            self.narrow[name] = narrow

    def skip(self, name: str, reason: str) -> None:
        """Keep the reason for skipping an entry."""
        self._require_new(name)
        self.skipped[entry_name(name)] = printable(reason)

    def _count_widened(self, value: object) -> None:
        if self.most_widened is None or not isinstance(value, np.ndarray):
            return
        self.most_widened -= 4 * value.size if value.dtype == np.float16 else 0
        if self.most_widened < 0:
            raise ValueError(
                "its float16 arrays would be too large as float32; if you trust the file, raise "
                "max_bytes"
            )

    def _require_new(self, name: str) -> None:
        if entry_name(name) in self.arrays or entry_name(name) in self.skipped:
            raise ValueError(f"it has two entries of the name {shown(name)}")
        if len(self.arrays) + len(self.skipped) >= MAX_ENTRIES:
            raise ValueError(f"it has more than {MAX_ENTRIES} entries")


def to_numpy(value: object) -> tuple[Array, str]:
    """An array of any framework as NumPy's, and its dtype if that is narrower than float32.

    TypeError, naming the type, if it holds no numbers.
    """
    if hasattr(value, "detach"):  # a PyTorch tensor; NumPy refuses one that requires grad
        return _tensor_to_numpy(value)
    if isinstance(value, (str, bytes)) or value is None or np.isscalar(value):
        raise TypeError(f"{type(value).__name__}, not an array")
    try:
        array = np.asarray(value)
    except Exception as error:  # foreign array types fail in their own ways
        raise TypeError(f"{type(value).__name__}, not an array of numbers") from error
    if (array.dtype.kind in "iubfc" and array.dtype.itemsize >= 4) or array.dtype.kind in "iub":
        return array, ""
    # Dtypes of other packages, such as bfloat16, have kind V.
    if array.dtype == np.float16 or array.dtype.name.startswith(("bfloat", "float8")):
        return array.astype(np.float32), array.dtype.name
    raise TypeError(f"{array.dtype}, not an array of numbers")


def _tensor_to_numpy(value: Any) -> tuple[Array, str]:
    try:
        # Conjugation and negation may be pending.
        tensor = value.detach().cpu().resolve_conj().resolve_neg()
        narrow = str(tensor.dtype).removeprefix("torch.")
        is_narrow = tensor.is_floating_point() and tensor.element_size() < 4
        return (tensor.float().numpy(), narrow) if is_narrow else (tensor.numpy(), "")
    except (RuntimeError, NotImplementedError, TypeError) as error:
        kind = "nested" if value.is_nested else str(value.layout).removeprefix("torch.")
        kind = "meta" if value.is_meta else "quantized" if value.is_quantized else kind
        raise TypeError(f"a {kind} tensor, not an array of numbers") from error


def from_tree(tree: Mapping[Any, Any], found: Checkpoint) -> Checkpoint:
    """`found` with the arrays of nested dictionaries and sequences, of any framework."""
    try:
        for name, leaf in leaves(tree):
            found.add(name, leaf)
    except ValueError as error:
        raise ValueError(f"{found.origin}: {error}") from error
    return found


def leaves(tree: object) -> Iterator[tuple[str, object]]:
    """The leaves of nested dictionaries and sequences by name; a list of numbers is a leaf.

    ValueError if they are too many, which a few containers that share others can be.
    """
    return _Walk().leaves(tree, "", 0)


class _Walk:
    """A walk over a tree that ends with ValueError when it has seen too much."""

    def __init__(self) -> None:
        self._left = {
            "entries": MAX_ENTRIES,
            "numbers in lists": MAX_NUMBERS,
            "characters in names": MAX_NAMES,
        }

    def leaves(self, node: object, name: str, depth: int) -> Iterator[tuple[str, object]]:
        """The leaves of a node and their names."""
        self._count("entries", 1)
        items: Iterator[tuple[Any, Any]]
        if isinstance(node, Mapping):
            items = iter(node.items())
        elif (
            not isinstance(node, Sequence) or isinstance(node, (str, bytes)) or self._is_array(node)
        ):
            yield name, node
            return
        else:
            items = iter(enumerate(node))
        if depth == MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
        for key, child in items:
            inner = f"{name}.{key}" if name else str(key)
            self._count("characters in names", len(entry_name(inner)))
            yield from self.leaves(child, inner, depth + 1)

    def _is_array(self, node: Sequence[Any]) -> bool:
        """Whether a sequence is a list of numbers, or of lists of equal lengths, as in JSON."""
        if all(issubclass(kind, numbers.Real) for kind in set(map(type, node))):
            self._count("numbers in lists", len(node))
            return len(node) > 0
        self._count("entries", 1)
        return (
            all(isinstance(child, Sequence) and not isinstance(child, str) for child in node)
            and len({len(child) for child in node}) == 1
            and all(self._is_array(child) for child in node)
        )

    def _count(self, what: str, number: int) -> None:
        self._left[what] -= number
        if self._left[what] < 0:
            raise ValueError(f"it has too many {what}; use .safetensors or .npz instead")


def entry_name(name: str) -> str:
    """The name of an entry as it is shown and given; ValueError if it is absurdly long."""
    if len(name) > MAX_NAME:
        raise ValueError(f"it has a name of {len(name)} characters, {shown(name)}")
    return printable(name)


def listed(arrays: Mapping[str, Array], limit: int = 12) -> str:
    """Names with shapes, for a message."""
    texts = [f"{name} {array.shape}" for name, array in arrays.items()]
    more = f" and {len(texts) - limit} more" if len(texts) > limit else ""
    return ", ".join(texts[:limit]) + more if texts else "no arrays"
