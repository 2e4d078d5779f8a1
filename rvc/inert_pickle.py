"""Pickles as data: a machine that follows the instructions of a pickle and has nothing to call.

Python's own unpickler imports what a file names and calls it. Here a name in a file stays a `Global`, a pair
of strings. "Call this" on a name looks the name up in a table of pure functions that the caller of
`read_pickle` gives, or, for names on his list of inert ones, makes an `Inert` that keeps name, arguments and
state. Every other name is refused before anything is made of it. No attribute is read, none is set and no
module is imported on behalf of a file, whatever instructions it has.
"""

from __future__ import annotations

import pickletools
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rvc.errors import ArtifactCorrupt

UNSAFE_PICKLE = "UnsafePickle"
"""Reason of the `ArtifactCorrupt` for a file that would run code, or holds more than tensors and values."""

ARCHIVE_ERRORS = (zipfile.BadZipFile, RuntimeError, EOFError, OSError, ValueError, KeyError, struct.error)
"""What Python's `zipfile` raises for damaged archives."""


@dataclass(frozen=True)
class Global:
    """A class or function as a file names it."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Inert:
    """What stands for an object of a class that is not known here."""

    kind: Global
    arguments: object
    state: object = None
    items: list[object] = field(default_factory=list)


@dataclass(frozen=True)
class Allowed:
    """What the names of a file may be."""

    functions: Mapping[str, Callable[..., object]]
    """Pure functions of ours in the place of those that the file names."""
    inert: tuple[str, ...]
    """Names that give an `Inert`; ending in a dot, all names that begin so."""
    persistent: Callable[[object], object] | None = None
    """What a persistent id stands for, such as a tensor's storage beside the pickle."""

    def is_inert(self, name: str) -> bool:
        """Whether objects of this name are kept without being understood."""
        return any(name == one or (one.endswith(".") and name.startswith(one)) for one in self.inert)


def read_pickle(data: bytes, allowed: Allowed, shown: str) -> object:
    """The value of a pickle; `shown` names the file in messages.

    Raises `ArtifactCorrupt`: with the reason `UnsafePickle` for a name that is not allowed or an instruction
    that calls what is none, else for what is no whole pickle.
    """
    machine = _Machine(allowed, shown)
    try:
        for operation, argument, _ in pickletools.genops(data):
            machine.step(operation.name, argument)
        return machine.result()
    except (IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ArtifactCorrupt(f"{shown} is damaged: its pickle does not make sense ({error})") from error


_LITERALS = frozenset((
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING",
    "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
))  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_EMPTY: dict[str, Callable[[], object]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}
_SEQUENCES: dict[str, Callable[[list[Any]], object]] = {
    "TUPLE": tuple,
    "LIST": list,
    "FROZENSET": lambda items: frozenset(_keys(items)),
    "DICT": lambda items: dict(_pairs(items)),
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_WITHOUT_EFFECT = frozenset(("PROTO", "FRAME", "STOP"))


class _Machine:
    def __init__(self, allowed: Allowed, shown: str) -> None:
        self._allowed = allowed
        self._shown = shown
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def result(self) -> object:
        (value,) = self._stack
        return value

    def step(self, name: str, argument: Any) -> None:
        """One instruction; literals and containers here, everything else by its method."""
        if name in _WITHOUT_EFFECT:
            return
        if name in _LITERALS:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self._stack.append(_EMPTY[name]())
        elif name in _SEQUENCES:
            self._stack.append(_SEQUENCES[name](self._pop_to_mark()))
        elif name in _TUPLES:
            items = [self._stack.pop() for _ in range(_TUPLES[name])]
            self._stack.append(tuple(reversed(items)))
        else:
            method = _METHODS.get(name)
            if method is None:
                raise self._refusal(f"has the instruction {name}")
            method(self, argument)

    def _mark(self, _: None) -> None:
        self._marks.append(len(self._stack))

    def _pop_to_mark(self, _: None = None) -> list[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _pop(self, _: None) -> None:
        self._stack.pop()

    def _duplicate(self, _: None) -> None:
        self._stack.append(self._stack[-1])

    def _recall(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def _remember(self, index: int | None) -> None:
        self._memo[len(self._memo) if index is None else index] = self._stack[-1]

    def _append(self, _: None) -> None:
        self._extend([self._stack.pop()])

    def _append_all(self, _: None) -> None:
        self._extend(self._pop_to_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, set):
            target.update(_keys(items))
        elif isinstance(target, list | Inert):
            (target.items if isinstance(target, Inert) else target).extend(items)
        else:
            raise TypeError(f"{type(target).__name__} takes no items")

    def _set_item(self, _: None) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._update([key, value])

    def _set_items(self, _: None) -> None:
        self._update(self._pop_to_mark())

    def _update(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, Inert):
            target.items.extend(_pairs(items))
        elif isinstance(target, dict):
            target.update(_pairs(items))
        else:
            raise TypeError(f"{type(target).__name__} takes no named items")

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._name(module, name)

    def _stack_global(self, _: None) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._name(str(module), str(name))

    def _name(self, module: str, name: str) -> None:
        found = Global(module, name)
        if str(found) not in self._allowed.functions and not self._allowed.is_inert(str(found)):
            raise self._refusal(f"refers to {found}")
        self._stack.append(found)

    def _reduce(self, _: None) -> None:
        arguments, kind = self._stack.pop(), self._stack.pop()
        if not isinstance(kind, Global) or not isinstance(arguments, tuple):
            raise self._refusal(f"calls {_called(kind)}")
        function = self._allowed.functions.get(str(kind))
        self._stack.append(Inert(kind, arguments) if function is None else function(*arguments))

    def _new(self, _: None) -> None:
        arguments, kind = self._stack.pop(), self._stack.pop()
        self._stack.append(self._instance(kind, arguments))

    def _new_with_names(self, _: None) -> None:
        names, arguments, kind = self._stack.pop(), self._stack.pop(), self._stack.pop()
        self._stack.append(self._instance(kind, (arguments, names)))

    def _instance(self, kind: object, arguments: object) -> Inert:
        if not isinstance(kind, Global) or not self._allowed.is_inert(str(kind)):
            raise self._refusal(f"makes an object of {_called(kind)}")
        return Inert(kind, arguments)

    def _build(self, _: None) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if isinstance(target, Inert):
            target.state = state
        elif not isinstance(target, dict):  # an ordered dict may carry attributes, which nobody needs
            raise self._refusal(f"sets the state of {type(target).__name__}")

    def _persistent(self, _: None) -> None:
        if self._allowed.persistent is None:
            raise ValueError("a persistent id, and nothing that it could stand for")
        self._stack.append(self._allowed.persistent(self._stack.pop()))

    def _refusal(self, what: str) -> ArtifactCorrupt:
        return ArtifactCorrupt(
            f"{self._shown} {what}, which is neither tensor nor plain value; nothing of the file was run, "
            "and it cannot be used",
            reason=UNSAFE_PICKLE,
        )


def ordered_dict(pairs: object = ()) -> dict[Any, Any]:
    """What `collections.OrderedDict` makes of a list of pairs, for `Allowed.functions`."""
    if not isinstance(pairs, list | tuple) or not all(isinstance(pair, list | tuple) for pair in pairs):
        raise TypeError("an ordered dict of something else than pairs")
    return dict(_pairs([part for pair in pairs for part in pair]))


def _called(kind: object) -> str:
    return str(kind) if isinstance(kind, Global) else f"a value of type {type(kind).__name__}"


def _pairs(items: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(_keys(items[::2]), items[1::2], strict=True))


def _keys(items: list[Any]) -> list[Any]:
    """The items, if all may be keys; Python's hash of a tuple within a tuple and so on ends the process."""
    for item in items:
        if item is not None and not isinstance(item, str | bytes | int | float | Global | Inert):
            raise TypeError(f"{type(item).__name__} as a key")
    return items


_METHODS: dict[str, Callable[[_Machine, Any], object]] = {
    "MARK": _Machine._mark,
    "POP": _Machine._pop,
    "POP_MARK": _Machine._pop_to_mark,
    "DUP": _Machine._duplicate,
    "GET": _Machine._recall,
    "BINGET": _Machine._recall,
    "LONG_BINGET": _Machine._recall,
    "PUT": _Machine._remember,
    "BINPUT": _Machine._remember,
    "LONG_BINPUT": _Machine._remember,
    "MEMOIZE": _Machine._remember,
    "APPEND": _Machine._append,
    "APPENDS": _Machine._append_all,
    "ADDITEMS": _Machine._append_all,
    "SETITEM": _Machine._set_item,
    "SETITEMS": _Machine._set_items,
    "GLOBAL": _Machine._global,
    "STACK_GLOBAL": _Machine._stack_global,
    "REDUCE": _Machine._reduce,
    "NEWOBJ": _Machine._new,
    "NEWOBJ_EX": _Machine._new_with_names,
    "BUILD": _Machine._build,
    "BINPERSID": _Machine._persistent,
}
