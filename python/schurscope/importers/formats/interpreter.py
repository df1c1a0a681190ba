"""Pickles, interpreted without Python's unpickler.

A pickle is a program for a small stack machine. This one makes numbers, text, lists, dictionaries,
tuples, and what the caller offers in place of other objects; nothing is ever imported or called by
name. Source: the descriptions of the opcodes in Python's ``pickletools``.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from typing import Any

from ..._internal.checks import shown

__all__ = ["Placeholder", "UnknownObjectError", "dictionary", "interpret"]

MAX_OPERATIONS = 400_000
"""Of one pickle. A tensor takes about thirty."""

_MAX_ARGUMENTS = 100
"""Of one call. A tensor has seven."""


class UnknownObjectError(ValueError):
    """The pickle needs an object for which there is nothing."""


class Placeholder:
    """In place of an object: ignores items and entries, keeps its state."""

    state: Any = None


def interpret(
    content: bytes,
    find: Callable[[str], Any],
    load_persistent: Callable[[Any], object],
    start: int = 0,
) -> tuple[Any, int]:
    """The object in a pickle of any protocol, and the place after the pickle.

    Parameters
    ----------
    content
    find
        Returns what stands in for the object of a full name, such as ``"torch.Size"``: a function,
        called in place of that object, or any other value.
    load_persistent
        Returns the object of a persistent identifier.
    start
        Place of the pickle in the content.

    Raises
    ------
    UnknownObjectError
        `find` raises it; the pickle needs an operation that is not known.
    ValueError
        It is damaged or absurdly long.
    """
    machine = _Machine(find, load_persistent)
    # Of a file, pickletools would read as much as an operation claims to have.
    stream = io.BytesIO(content)
    stream.seek(start)
    for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if count == MAX_OPERATIONS:
            raise ValueError(f"its pickle has more than {MAX_OPERATIONS} operations")
        try:
            machine.step(opcode.name, argument)
        except (IndexError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"its pickle is damaged at {opcode.name}: {error}") from error
    if not machine.stack:
        raise ValueError("its pickle is empty")
    return machine.stack.pop(), stream.tell()


_CONSTANTS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}


class _Machine:
    def __init__(
        self, find: Callable[[str], Any], load_persistent: Callable[[Any], object]
    ) -> None:
        self.stack: list[Any] = []
        self._below: list[list[Any]] = []  # the stacks below each mark
        self._memo: dict[int, Any] = {}
        self._find, self._load_persistent = find, load_persistent

    def step(self, name: str, argument: Any) -> None:
        """Carry out one operation."""
        stack = self.stack
        if name in _CONSTANTS:
            stack.append(argument)
        elif not self._build(name, argument):
            match name:
                case "PROTO" | "FRAME" | "STOP":
                    pass
                case "NONE":
                    stack.append(None)
                case "NEWTRUE" | "NEWFALSE":
                    stack.append(name == "NEWTRUE")
                case "POP":
                    stack.pop()
                case "POP_MARK":
                    self._end_mark()
                case "MARK":
                    self._below.append(stack)
                    self.stack = []
                case "PUT" | "BINPUT" | "LONG_BINPUT":
                    self._memo[argument] = stack[-1]
                case "MEMOIZE":
                    self._memo[len(self._memo)] = stack[-1]
                case "GET" | "BINGET" | "LONG_BINGET":
                    stack.append(self._memo[argument])
                case _:
                    raise UnknownObjectError(f"the operation {name}")

    def _build(self, name: str, argument: Any) -> bool:
        """Carry out an operation on containers or objects; False if it is none."""
        stack = self.stack
        match name:
            case "EMPTY_TUPLE" | "EMPTY_LIST" | "EMPTY_DICT" | "EMPTY_SET":
                stack.append({"T": (), "D": {}}.get(name[6], []))
            case "TUPLE" | "LIST" | "FROZENSET":
                self._end_mark().append(tuple(stack) if name == "TUPLE" else stack)
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                length = int(name[-1])
                stack[-length:] = [tuple(stack[-length:])]
            case "DICT":
                made: dict[Any, Any] = {}
                _update(made, stack)
                self._end_mark().append(made)
            case "APPEND":
                _extend(stack[-2], [stack.pop()])
            case "APPENDS" | "ADDITEMS":
                _extend(self._end_mark()[-1], stack)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _update(stack[-1], [key, value])
            case "SETITEMS":
                _update(self._end_mark()[-1], stack)
            case "GLOBAL":
                stack.append(self._find(argument.replace(" ", ".")))
            case "STACK_GLOBAL":
                attribute, module = stack.pop(), stack.pop()
                if not isinstance(module, str) or not isinstance(attribute, str):
                    raise TypeError("a name that is no text")
                stack.append(self._find(f"{module}.{attribute}"))
            case "REDUCE" | "NEWOBJ":
                arguments = stack.pop()
                # Each call copies its arguments, which calls can share.
                if not isinstance(arguments, tuple) or len(arguments) > _MAX_ARGUMENTS:
                    raise TypeError(f"arguments that are no tuple of at most {_MAX_ARGUMENTS}")
                stack[-1] = stack[-1](*arguments)
            case "BUILD":  # otherwise no entry, such as a state dict's _metadata
                state = stack.pop()
                if isinstance(stack[-1], Placeholder):
                    stack[-1].state = state
            case "BINPERSID":
                stack[-1] = self._load_persistent(stack[-1])
            case "PERSID":
                stack.append(self._load_persistent(argument))
            case _:
                return False
        return True

    def _end_mark(self) -> list[Any]:
        """Return to the stack below the last mark."""
        self.stack = self._below.pop()
        return self.stack


def dictionary(pairs: object = ()) -> dict[Any, Any]:
    """As ``dict(pairs)``, but it takes the pairs out of their list, which calls can share."""
    made: dict[Any, Any] = {}
    if not isinstance(pairs, (list, tuple)) or (pairs and isinstance(pairs, tuple)):
        raise TypeError("a dictionary of what is no list")
    for pair in pairs:
        key, value = pair
        _update(made, [key, value])
    if isinstance(pairs, list):
        pairs.clear()
    return made


def _extend(target: object, items: list[Any]) -> None:
    if isinstance(target, list):
        target.extend(items)
    elif not isinstance(target, Placeholder):
        raise TypeError("items for what is no list")


def _update(target: object, items: list[Any]) -> None:
    if isinstance(target, Placeholder):
        return
    if not isinstance(target, dict):
        raise TypeError("entries for what is no dictionary")
    for key, value in zip(items[::2], items[1::2], strict=True):
        # The hash of a tuple of shared tuples can take forever, and so can its text.
        if not isinstance(key, (str, bytes, int, float, type(None))):
            raise TypeError(f"a name is a {type(key).__name__}")
        if key in target:
            raise ValueError(f"it has two entries of the name {shown(key)}")
        target[key] = value
