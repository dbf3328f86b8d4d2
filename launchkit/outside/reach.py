"""Which modules an object needs where it is unpickled."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

MAIN = "__main__"
DEPTH = 4
"""How far the attributes of objects are followed."""
OURS = (
    "launchkit.",
    "hydra_plugins.launchkit_launcher.",
    "hydra.types",
    "hydra._internal.callbacks",
)
"""Modules with classes that may hold what is the user's."""


class Reach:
    """The modules that objects need.

    A module is imported whole, so it needs all that it has imported. What is in the main
    module is pickled by itself, with the globals that its functions use.

    Parameters
    ----------
    enters
        Whether to look into a module, for what it needs itself.

    Attributes
    ----------
    entered
        The names of modules that were looked into.
    others
        The names of modules that were not.
    """

    def __init__(self, enters: Callable[[ModuleType], bool]) -> None:
        self.entered: set[str] = set()
        self.others: set[str] = set()
        self._enters = enters
        self._seen: set[int] = set()

    def module(self, name: str) -> None:
        """Add a module by its name, and what it needs."""
        waiting = [name]
        while waiting:
            name = waiting.pop()
            if name in self.entered or name in self.others:
                continue
            module = sys.modules.get(name)
            if not isinstance(module, ModuleType) or not self._is_entered(module):
                self.others.add(name)
                continue
            self.entered.add(name)
            above = name.rpartition(".")[0]
            waiting += [*needed_by(module), *([above] if above else [])]

    def _is_entered(self, module: ModuleType) -> bool:
        # A namespace has nothing of its own: what is needed is in it.
        is_namespace = hasattr(module, "__path__") and getattr(module, "__file__", None) is None
        return is_namespace or self._enters(module)

    def objects(self, values: Iterable[Any], depth: int = DEPTH) -> None:
        """Add what objects need."""
        for value in values:
            if id(value) not in self._seen:
                self._seen.add(id(value))
                self._object(value, depth)

    def _object(self, value: Any, depth: int) -> None:
        name = _module_of(value)
        if isinstance(value, FunctionType | type):
            if _is_by_value(value, name):
                self.objects(_used_by(value) if isinstance(value, FunctionType) else _of(value))
                return
            wrapped = getattr(value, "__wrapped__", None)
            if wrapped is not None:
                self.objects([wrapped], depth)
        elif depth:
            self.objects(_parts(value, follow=self._is_followed(name)), depth - 1)
        self.module(name)

    def _is_followed(self, name: str) -> bool:
        """Tell whether the attributes of objects of a module's classes are looked at."""
        module = sys.modules.get(name)
        ours = name.startswith(OURS)
        return ours or name == MAIN or (module is not None and self._enters(module))


def needed_by(module: ModuleType) -> set[str]:
    """Return the names of the modules that what is in a module comes from."""
    return {_module_of(value) for value in tuple(vars(module).values())}


def _module_of(value: Any) -> str:
    """Return the name of the module that a value is, or that it or its type comes from.

    Nothing of the value is asked but what Python itself has put there: an attribute of a
    proxy might import what it stands for.
    """
    if isinstance(value, ModuleType):
        name = vars(value).get("__name__")
    elif isinstance(value, FunctionType | BuiltinFunctionType | type):
        name = value.__module__
    else:
        name = type(value).__module__
    return name if isinstance(name, str) else "builtins"


def _is_by_value(value: FunctionType | type, name: str) -> bool:
    """Tell whether cloudpickle takes a function or class itself, not where to import it from."""
    if name == MAIN:
        return True
    found: Any = sys.modules.get(name)
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is not value and isinstance(value, FunctionType)


def _used_by(function: FunctionType) -> Iterator[Any]:
    """Yield the values of the globals and the closure that a function uses."""
    for name in _names(function.__code__):
        if name in function.__globals__:
            yield function.__globals__[name]
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not set yet
            continue
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _of(cls: type) -> list[Any]:
    """Return what a class is made of."""
    return [*cls.__bases__, *vars(cls).values()]


def _parts(value: Any, *, follow: bool) -> Iterable[Any]:
    """Return what an object is made of; its attributes only if they are to be followed."""
    for kind, parts in PARTS:
        if isinstance(value, kind):
            return parts(value)
    if type(value) in CONTAINERS:
        return list(value)
    try:
        return list(object.__getattribute__(value, "__dict__").values()) if follow else []
    except AttributeError:
        return []


CONTAINERS = {list, tuple, set, frozenset}
PARTS: tuple[tuple[Any, Callable[[Any], list[Any]]], ...] = (
    (MethodType, lambda method: [method.__func__, method.__self__]),
    (functools.partial, lambda call: [call.func, *call.args, *call.keywords.values()]),
    ((staticmethod, classmethod), lambda method: [method.__func__]),
    (property, lambda prop: [prop.fget, prop.fset, prop.fdel]),
    (dict, lambda values: list(values.values())),
)
"""What objects of Python's own kinds are made of."""
