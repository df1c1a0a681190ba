"""Tasks of a sweep, built in or custom: their requirements and their identity."""

from __future__ import annotations

import pickle
import re
import sys
from collections.abc import Mapping, Set
from dataclasses import fields, is_dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np

from .._internal.checks import choice, positive_int, shown
from ..trials.tasks import TASKS, Task, as_task
from .checks import at

__all__ = ["checked_task", "described", "identity", "task_of_table"]

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+>")


def checked_task(task: object, name: str) -> Task:
    """The task, if a sweep can train on it and identify it; else TypeError or ValueError."""
    wanted = "must have name, n_inputs, n_outputs and trials()"
    for attribute in ("name", "n_inputs", "n_outputs", "trials"):
        if isinstance(task, type) or not hasattr(task, attribute):
            raise TypeError(f"{name} {wanted}, got {shown(task)}{as_task(task)}")
    for attribute in ("n_inputs", "n_outputs"):
        positive_int(getattr(task, attribute), f"{attribute} of {name}")
    described(task, name)
    try:
        pickle.dumps(task)
    except Exception as error:  # pickling may raise anything
        raise TypeError(
            f"{name} must be picklable, because it goes to worker processes: "
            f"{error}; define its class at the top level of a module"
        ) from error
    return task  # type: ignore[return-value]  # as far as can be checked


def described(task: object, name: str = "task") -> str:
    """The task's repr, whatever NumPy's print options; ValueError if it holds an address."""
    with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
        text = repr(task)
    if _ADDRESS.search(text):
        raise ValueError(
            f"{name} must have a repr that shows its parameters, because it identifies jobs, got "
            f"{text}: make {type(task).__name__} a dataclass or define its __repr__"
        )
    return text


def identity(task: object) -> dict[str, str]:
    """Identity of a task: the import path of its class, and its repr."""
    kind = type(task)
    return {"class": f"{kind.__module__}:{kind.__qualname__}", "repr": described(task)}


def task_of_table(table: Mapping[str, Any], own: Set[str]) -> tuple[Task, Task | None]:
    """Task and evaluation of ``{task = "copy", horizon = 16, evaluation = {horizon = 128}, …}``.

    ``"module:name"`` is an object, a class or a function of that module; the latter two are called
    with the parameters. `own` holds the keys of the table that are not parameters.
    """
    if "task" not in table:
        raise ValueError('a task needs its name, such as task = "flip-flop"')
    parameters = {name: value for name, value in table.items() if name not in own}
    with at("task"):
        made = _found(table["task"])
    task: Any = _with_parameters(made, parameters, own)
    if "evaluation" not in table:
        return task, None
    with at("evaluation"):
        changes = table["evaluation"]
        if not isinstance(changes, Mapping):
            raise TypeError(
                f"evaluation must be a table of the task's parameters, got {shown(changes)}"
            )
        from_task = is_dataclass(task)
        start = task if from_task else made
        every = changes if from_task else {**parameters, **changes}
        return task, _with_parameters(start, every, frozenset())


def _found(name: object) -> Any:
    """A task, or its class or factory."""
    if not isinstance(name, str) or ":" not in name:
        return TASKS[choice(name, 'task (or "module:name")', TASKS)]()
    module, _, path = name.partition(":")
    try:
        found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"task {name!r} cannot be imported: {error}; the folder of its module must be on "
            "PYTHONPATH"
        ) from error
    return found


def _with_parameters(made: Any, parameters: Mapping[str, Any], own: Set[str]) -> Any:
    """The task with these parameters, set one by one in a dataclass or passed to its factory."""
    if isinstance(made, type) or not hasattr(made, "trials"):
        if not callable(made):
            raise TypeError(
                f"task must be a task, or a class or function of one, got {shown(made)}"
            )
        return made(**parameters)
    if parameters and not is_dataclass(made):
        names = ", ".join(parameters)
        raise TypeError(f"{shown(made)} is not a dataclass: it cannot take {names}")
    for name, value in parameters.items():
        with at(name):
            known = sorted({item.name for item in fields(made)} | own)
            choice(name, f"a key of the task {made.name}", known)
            made = replace(made, **{name: value})
    return made
