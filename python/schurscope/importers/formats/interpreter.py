"""The pickles that ``torch.save`` writes, interpreted without Python's unpickler.

The interpreter makes lists, dictionaries, tuples and the objects of a given table; nothing is ever
imported or called by name. Source: the descriptions of the opcodes in Python's ``pickletools``.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from ..._internal.checks import shown

__all__ = ["UnknownObjectError", "interpret"]

MAX_OPERATIONS = 400_000
"""Of one pickle. A tensor takes about thirty."""


class UnknownObjectError(ValueError):
    """The pickle needs an object that is not in the table."""


def interpret(
    stream: BinaryIO, table: Mapping[str, Any], load_persistent: Callable[[Any], object]
) -> Any:
    """The object in a pickle of protocol 2; the stream is left at its end.

    Parameters
    ----------
    stream
    table
        Full name → object: a function that the pickle may call, or any other value.
    load_persistent
        Returns the object of a persistent identifier.

    Raises
    ------
    UnknownObjectError
        The pickle names an object that is not in the table.
    ValueError
        It is damaged or absurdly long.
    """
    machine = _Machine(table, load_persistent)
    for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if count == MAX_OPERATIONS:
            raise ValueError(f"its pickle has more than {MAX_OPERATIONS} operations")
        try:
            machine.step(opcode.name, argument)
        except (IndexError, KeyError, TypeError) as error:
            raise ValueError(f"its pickle is damaged at {opcode.name}: {error}") from error
    return machine.stack.pop()


class _Machine:
    def __init__(self, table: Mapping[str, Any], load_persistent: Callable[[Any], object]) -> None:
        self.stack: list[Any] = []
        self._below: list[list[Any]] = []  # the stacks below each mark
        self._memo: dict[int, Any] = {}
        self._table, self._load_persistent = table, load_persistent

    def step(self, name: str, argument: Any) -> None:
        """Carry out one operation."""
        stack = self.stack
        match name:
            case "PROTO" | "STOP":
                pass
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(name == "NEWTRUE")
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE":
                stack.append(argument)
            case "EMPTY_TUPLE" | "EMPTY_LIST" | "EMPTY_DICT":
                stack.append({"T": (), "L": [], "D": {}}[name[6]])
            case "MARK":
                self._below.append(stack)
                self.stack = []
            case "TUPLE":
                self._end_mark().append(tuple(stack))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                length = int(name[-1])
                stack[-length:] = [tuple(stack[-length:])]
            case "APPEND":
                _extend(stack[-2], [stack.pop()])
            case "APPENDS":
                _extend(self._end_mark()[-1], stack)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _update(stack[-1], [key, value])
            case "SETITEMS":
                _update(self._end_mark()[-1], stack)
            case "GLOBAL":
                full = argument.replace(" ", ".")
                if full not in self._table:
                    raise UnknownObjectError(full)
                stack.append(self._table[full])
            case "REDUCE":
                arguments = stack.pop()
                stack[-1] = stack[-1](*arguments)
            case "BUILD":  # the state of an object, such as a state dict's _metadata
                stack.pop()
            case "BINPERSID":
                stack[-1] = self._load_persistent(stack[-1])
            case "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self._memo[argument])
            case _:
                raise UnknownObjectError(f"the operation {name}")

    def _end_mark(self) -> list[Any]:
        """Return to the stack below the last mark."""
        self.stack = self._below.pop()
        return self.stack


def _extend(target: object, items: list[Any]) -> None:
    if not isinstance(target, list):
        raise TypeError("items for what is no list")
    target.extend(items)


def _update(target: object, items: list[Any]) -> None:
    if not isinstance(target, dict):
        raise TypeError("entries for what is no dictionary")
    for key, value in zip(items[::2], items[1::2], strict=True):
        # The hash of a tuple of shared tuples can take forever, and so can its text.
        if not isinstance(key, (str, int, float)):
            raise TypeError(f"a name is a {type(key).__name__}")
        if key in target:
            raise ValueError(f"it has two entries of the name {shown(key)}")
        target[key] = value
