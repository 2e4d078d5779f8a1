"""Rules of the API that no plain schema can say, each written twice side by side: as CEL and as Python.

The API server evaluates the CEL expression (Kubernetes 1.25 and newer; older servers drop it), the operator
its Python twin. Both carry the same message, which says what is allowed. The twins live in one place, on the
struct that they speak about, so that neither can be changed without the other being seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar, cast

import msgspec
from msgspec import Struct

T = TypeVar("T")
S = TypeVar("S", bound=Struct)


class InvalidSpec(Exception):
    """An object asks for what is not allowed; `path` names the field, the message says what is allowed."""

    reason = "InvalidSpec"

    def __init__(self, message: str, path: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class Rule(Generic[T]):
    """A condition on one object: `expression` in CEL over `self`, `holds` in Python over the struct."""

    def __init__(self, expression: str, message: str, holds: Callable[[T], bool], field: str = "") -> None:
        self.expression = expression
        self.message = message
        self.holds = holds
        self.field = field
        """JSON name of the field that the message is about; empty for the object itself."""


class Immutable:
    """A field that must not change; CEL sees `oldSelf`, Python is given both values of the owning struct."""

    def __init__(self, field: str) -> None:
        self.field = field
        self.expression = f"self.{field} == oldSelf.{field}"
        self.message = f"{field} must not change; create another object instead"

    def holds(self, old: Struct, new: Struct) -> bool:
        """Whether the field is the same in both."""
        return bool(attribute(old, self.field) == attribute(new, self.field))


def rule(expression: str, field: str = "") -> Callable[[Callable[[T], bool]], Rule[T]]:
    """Turn a method into a `Rule`: it is the CEL expression's twin, its docstring is the message of both."""

    def decorate(holds: Callable[[T], bool]) -> Rule[T]:
        return Rule(expression, " ".join((holds.__doc__ or "").split()), holds, field)

    return decorate


def folder(name: str) -> Rule[Any]:
    """Rule: the URI in field `name`, if there is one, names a folder."""
    return _location(
        name, f"{name} must name a folder: end in /, without empty, . or .. parts", _NOT_A_FOLDER
    )


def file(name: str) -> Rule[Any]:
    """Rule: the URI in field `name`, if there is one, names a single file."""
    return _location(
        name, f"{name} must name one file: not end in /, without empty, . or .. parts", _NOT_A_FILE
    )


_NOT_A_FOLDER = "(^|/)[.]{0,2}/|[^/]$"
_NOT_A_FILE = "(^|/)[.]{0,2}(/|$)"
_SCHEME_LENGTH = len("oss://")
"""Of every scheme that the API takes."""


def _location(name: str, message: str, wrong: str) -> Rule[Any]:
    def holds(value: Struct) -> bool:
        uri = attribute(value, name)
        return uri is None or re.search(wrong, uri[_SCHEME_LENGTH:]) is None

    expression = f"!has(self.{name}) || !self.{name}.substring({_SCHEME_LENGTH}).matches('{wrong}')"
    return Rule(expression, message, holds, name)


def attribute(value: Struct, name: str) -> Any:
    """The value of the field whose JSON name is `name`."""
    fields = dict(zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True))
    return getattr(value, fields[name])


def rules_of(kind: type[Struct]) -> list[Rule[Any]]:
    """The rules declared on a struct, in the order of their declaration."""
    return [value for value in vars(kind).values() if isinstance(value, Rule)]


def immutable_fields_of(kind: type[Struct]) -> list[Immutable]:
    """The immutable fields declared on a struct, in the order of their declaration."""
    return [value for value in vars(kind).values() if isinstance(value, Immutable)]


def decode(kind: type[S], data: object, path: str = "") -> S:
    """Read JSON data as a struct and check its rules; fields that the struct does not know are ignored.

    A field may be unknown because a newer schema stored it; the API server has already pruned misspelt ones.
    Raises `InvalidSpec`.
    """
    try:
        value = msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        raise InvalidSpec(what, (path + where.rstrip("`")).lstrip(".")) from None
    check(value, path)
    return value


def check(value: Struct, path: str) -> None:
    """Raise `InvalidSpec` for the first rule that does not hold in the struct or in what it contains."""
    for broken in rules_of(type(value)):
        if not broken.holds(value):
            raise InvalidSpec(broken.message, ".".join(filter(None, (path, broken.field))))
    for name, child in children(value):
        check(child, f"{path}.{name}" if path else name)


def children(value: Struct) -> Iterator[tuple[str, Struct]]:
    """The structs that a struct holds directly or in a list, with their JSON names."""
    for name in value.__struct_encode_fields__:
        child = attribute(value, name)
        if isinstance(child, Struct):
            yield name, child
        elif isinstance(child, tuple):
            yield from ((f"{name}[{i}]", item) for i, item in enumerate(child) if isinstance(item, Struct))


def to_object(value: Struct) -> dict[str, Any]:
    """The struct as plain JSON data; absent values (None) are left out."""
    return cast(dict[str, Any], _without_none(msgspec.to_builtins(value)))


def _without_none(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_none(value) for key, value in data.items() if value is not None}
    if isinstance(data, list | tuple):
        return [_without_none(value) for value in data]
    return data
