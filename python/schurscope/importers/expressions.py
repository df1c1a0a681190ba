"""Arithmetic with the entries of a checkpoint, such as ``m @ n.T / n_h`` or ``kernel[:n_x].T``.

A parser of its own: names of entries contain dots and slashes, and nothing of the text is run.

    sum      = product {("+" | "-") product}
    product  = factor {("*" | "/" | "@") factor}
    factor   = ["-"] atom {".T" | "[" slices "]"}
    atom     = number | size | entry | "'" entry "'" | function "(" arguments ")" | "(" sum ")"
    slices   = slice {"," slice},  slice = [bound] ":" [bound] | bound
    bound    = ["-"] (integer | size) {("+" | "-") (integer | size)}
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from .._internal.checks import suggest
from .._internal.files import Array

__all__ = ["FUNCTIONS", "SIZES", "UnknownSize", "evaluate"]

SIZES = ("n_x", "n_h", "n_y")
"""Names for the numbers of inputs, hidden units and outputs."""

FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "abs": (1, np.abs),
    "relu": (1, lambda x: np.maximum(x, 0)),
    "maximum": (2, np.maximum),
    "diag": (1, np.diag),
}
"""Name → its number of arguments, and the function."""

_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_NAME = re.compile(r"[^\W\d]\w*([./:]\w+)*")
_MOST_NUMBERS = 2**25  # of a value: a matrix for 5,792 hidden units
_DEEPEST = 40


class UnknownSize(ValueError):
    """A size that the expression names, `name`, is not known yet."""

    def __init__(self, text: str, name: str) -> None:
        super().__init__(f"{text!r}: {name} is not known")
        self.name = name


def evaluate(
    text: str,
    names: Iterable[str],
    entry: Callable[[str], Array | float],
    sizes: Mapping[str, int],
    product: Callable[[Array, Array], Array] = operator.matmul,
) -> Array:
    """The value of an expression in entries with these names, which `entry` returns.

    `product` multiplies two matrices or vectors of shapes that fit, or raises ValueError.

    Entries are as stored: kernels are not transposed. A size that is missing in `sizes` is read
    from the matrix that it slices: one that acts on inputs and states together has shape
    (n_x + n_h, n_h), or the transposed.

    Raises
    ------
    UnknownSize
        A size is neither known nor read from a matrix.
    ValueError
        The text is no such expression, names no entry, or its shapes do not fit; the message
        points at the position.
    """
    return np.asarray(_Parser(text, list(names), entry, sizes, product).whole())


@dataclass
class _Parser:
    text: str
    names: list[str]
    entry: Callable[[str], Array | float]
    sizes: Mapping[str, int]
    product: Callable[[Array, Array], Array]
    place: int = 0
    depth: int = 0

    def whole(self) -> Any:
        value = self._sum()
        if self._peek():
            self._fail("expected an operator (+ - * / @), .T, a slice in [ ] or the end")
        return value

    def _fail(self, told: str, place: int | None = None) -> NoReturn:
        at = self.place if place is None else place
        where = "at its end" if at >= len(self.text.rstrip()) else f"before {self.text[at:]!r}"
        raise ValueError(f"{self.text!r}: {told}, {where} (position {at})")

    def _peek(self) -> str:
        while self.text[self.place : self.place + 1].isspace():
            self.place += 1
        return self.text[self.place : self.place + 1]

    def _take(self, symbol: str) -> bool:
        if self._peek() and self.text.startswith(symbol, self.place):
            self.place += len(symbol)
            return True
        return False

    def _need(self, symbol: str) -> None:
        if not self._take(symbol):
            self._fail(f"expected {symbol!r}")

    def _chain(self, symbols: str, operand: Callable[[], Any]) -> Any:
        value = operand()
        while (symbol := self._peek()) and symbol in symbols:
            place = self.place
            self.place += 1
            value = self._apply(symbol, value, operand(), place)
        return value

    def _sum(self) -> Any:
        self.depth += 1
        if self.depth > _DEEPEST:
            self._fail(f"has more than {_DEEPEST} parentheses within one another")
        value = self._chain("+-", self._product)
        self.depth -= 1
        return value

    def _product(self) -> Any:
        return self._chain("*/@", self._factor)

    def _factor(self) -> Any:
        signs = 0
        while self._take("-"):
            signs += 1
        value = self._atom()
        while True:
            place = self.place
            if self._take(".T"):
                value = np.asarray(value).T
            elif self._take("["):
                value = self._sliced(np.asarray(value), place)
            else:
                return -value if signs % 2 else value

    def _apply(self, symbol: str, left: Any, right: Any, place: int) -> Any:
        shapes = tuple(np.shape(side) for side in (left, right))
        try:
            shape = _product_shape(*shapes) if symbol == "@" else np.broadcast_shapes(*shapes)
        except ValueError:
            self._fail(f"{shapes[0]} {symbol} {shapes[1]} do not fit", place)
        # A product or a column with a row may be far larger than the file.
        if math.prod(shape) > _MOST_NUMBERS:
            self._fail(f"would make an array of shape {shape}", place)
        try:
            with np.errstate(all="ignore"):  # what is not finite is told later, with its name
                apply = self.product if symbol == "@" else _OPERATIONS[symbol]
                return apply(left, right)
        except ZeroDivisionError:
            self._fail("divides by zero", place)

    def _atom(self) -> Any:
        head, start = self._peek(), self.place
        if not head:
            self._fail("expected an entry, a number or a parenthesis")
        if self._take("("):
            value = self._sum()
            self._need(")")
            return value
        if head in "'\"":
            end = self.text.find(head, start + 1)
            if end < 0:
                self._fail(f"expected a closing {head}")
            self.place = end + 1
            return self._entry(self.text[start + 1 : end], start)
        if (name := self._known_entry()) is not None:
            self.place += len(name)
            return self._entry(name, start)
        if number := _NUMBER.match(self.text, start):
            self.place = number.end()
            return float(number[0])
        if not (name_found := _NAME.match(self.text, start)):
            self._fail(f"expected an entry, a number or a parenthesis, got {head!r}")
        name = name_found[0]
        self.place = name_found.end()
        if name in SIZES:
            return float(self._size(name, None))
        if self._peek() == "(":
            return self._call(name, start)
        return self._entry(name, start)

    def _known_entry(self) -> str | None:
        """The longest entry whose name starts here and is not part of a longer word."""
        here = [
            name
            for name in self.names
            if self.text.startswith(name, self.place)
            and re.search(r"\w", name)
            and not _NUMBER.fullmatch(name)
            and not re.match(r"\w\w", name[-1] + self.text[self.place + len(name) :])
        ]
        return max(here, key=len, default=None)

    def _entry(self, name: str, place: int) -> Any:
        if name not in self.names:
            near = suggest(name, self.names)
            self._fail(f"has no entry {name!r}{near}", place)
        return self.entry(name)

    def _call(self, name: str, start: int) -> Any:
        if name not in FUNCTIONS:
            self._fail(f"has no function {name!r}, only {', '.join(FUNCTIONS)}", start)
        self._need("(")
        arguments = [self._sum()]
        while self._take(","):
            arguments.append(self._sum())
        self._need(")")
        count, function = FUNCTIONS[name]
        if len(arguments) != count:
            self._fail(f"{name} takes {count} argument{'s' * (count > 1)}", start)
        if name == "diag" and np.ndim(arguments[0]) not in (1, 2):
            self._fail("diag takes a vector or a matrix", start)
        if name == "diag" and np.ndim(arguments[0]) == 1 and len(arguments[0]) ** 2 > _MOST_NUMBERS:
            self._fail(f"would make a matrix of {len(arguments[0])} rows", start)
        try:
            return function(*arguments)
        except ValueError:
            shapes = " and ".join(str(np.shape(argument)) for argument in arguments)
            self._fail(f"{name} of {shapes} does not fit", start)

    def _sliced(self, array: Array, place: int) -> Any:
        items = [self._slice(array)]
        while self._take(","):
            items.append(self._slice(array))
        self._need("]")
        if len(items) > array.ndim:
            self._fail(f"has {len(items)} slices for an array of shape {array.shape}", place)
        try:
            return array[tuple(items)]
        except IndexError:
            self._fail(f"has an index beyond an array of shape {array.shape}", place)

    def _slice(self, array: Array) -> slice | int:
        start = None if self._peek() in (":", "") else self._bound(array)
        if not self._take(":"):
            if start is None:
                self._fail("expected a slice such as :n_x")
            return start
        return slice(start, None if self._peek() in (",", "]", "") else self._bound(array))

    def _bound(self, array: Array) -> int:
        value, sign = 0, -1 if self._take("-") else 1
        while True:
            start = self._peek() and self.place
            word = re.compile(r"\w+").match(self.text, self.place)
            if word and word[0].isdecimal() and len(word[0]) < 10:
                self.place = word.end()
                value += sign * int(word[0])
            elif word and word[0] in SIZES:
                self.place = word.end()
                value += sign * self._size(word[0], array)
            else:
                self._fail(f"expected an integer, {', '.join(SIZES)}", int(start or self.place))
            if (symbol := self._peek()) not in ("+", "-") or not symbol:
                return value
            self.place += 1
            sign = 1 if symbol == "+" else -1

    def _size(self, name: str, sliced: Array | None) -> int:
        if name in self.sizes:
            return self.sizes[name]
        if sliced is not None and sliced.ndim == 2 and name != "n_y":
            larger, smaller = max(sliced.shape), min(sliced.shape)
            if larger > smaller:
                return int(smaller if name == "n_h" else larger - smaller)
        raise UnknownSize(self.text, name)


def _product_shape(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a product of matrices or vectors; ValueError if theirs do not fit."""
    if len(left) not in (1, 2) or len(right) not in (1, 2) or left[-1] != right[0]:
        raise ValueError("no product")
    return (*left[:-1], *right[1:])
