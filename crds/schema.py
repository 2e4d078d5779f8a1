"""Struct to structural OpenAPI schema: type, bounds, default, description and CEL rules of every field."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any

import msgspec
from msgspec import NODEFAULT, Struct
from msgspec import inspect as types

from rvc_operator.api.common import ApiStruct, SpecStruct
from rvc_operator.api.rules import Immutable, Rule, immutable_fields_of, rules_of

Schema = dict[str, Any]

INT32_MAXIMUM = 2**31 - 1


def struct_schema(kind: type[Struct]) -> Schema:
    """Schema of an object."""
    info = types.type_info(kind)
    assert isinstance(info, types.StructType)
    said = descriptions(kind)
    properties = {}
    for field in info.fields:
        schema = type_schema(field.type)
        if field.name in said:
            schema = {"description": said[field.name]} | schema
        default = field_default(field)
        if default is not None and issubclass(kind, SpecStruct):
            schema["default"] = default
        properties[field.encode_name] = schema
    schema = {"type": "object"}
    if required := [field.encode_name for field in info.fields if field.required]:
        schema["required"] = required
    schema["properties"] = properties
    rules: list[Rule[Any] | Immutable] = [*rules_of(kind), *immutable_fields_of(kind)]
    if rules:
        schema["x-kubernetes-validations"] = [validation(rule) for rule in rules]
    return schema


def type_schema(kind: types.Type) -> Schema:
    """Schema of a field's type; an optional type is that of the value when it is there."""
    if isinstance(kind, types.Metadata):
        return type_schema(kind.type) | (kind.extra_json_schema or {})
    if isinstance(kind, types.UnionType):
        return union_schema([member for member in kind.types if not isinstance(member, types.NoneType)])
    return SCHEMAS[type(kind)](kind)


def union_schema(members: list[types.Type]) -> Schema:
    """The only union of several types that the API has is Kubernetes' quantity, a text or a whole number."""
    if len(members) == 1:
        return type_schema(members[0])
    text = next(member for member in members if isinstance(member, types.StrType))
    return {
        "x-kubernetes-int-or-string": True,
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "pattern": text.pattern,
        "maxLength": text.max_length,
    }


def _integer(kind: types.IntType) -> Schema:
    small = kind.le is not None and kind.le <= INT32_MAXIMUM
    bounds = {"minimum": kind.ge, "maximum": kind.le}
    return {"type": "integer", "format": "int32" if small else "int64"} | given(bounds)


def _string(kind: types.StrType) -> Schema:
    bounds = {"minLength": kind.min_length, "maxLength": kind.max_length, "pattern": kind.pattern}
    return {"type": "string"} | given(bounds)


def _literal(kind: types.LiteralType) -> Schema:
    return {"type": "integer", "format": "int32", "enum": list(kind.values)}


def _array(kind: types.VarTupleType) -> Schema:
    # A list is atomic for server-side apply unless its `Meta` names a key (see `common.by_key`).
    return {
        "type": "array",
        "items": type_schema(kind.item_type),
        "maxItems": kind.max_length,
        "x-kubernetes-list-type": "atomic",
    }


def _map(kind: types.DictType) -> Schema:
    if isinstance(kind.value_type, types.AnyType):
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    value = type_schema(kind.value_type)
    return {"type": "object", "additionalProperties": value} | given({"maxProperties": kind.max_length})


def _struct(kind: types.StructType) -> Schema:
    # `metadata` has a schema of Kubernetes' own.
    return struct_schema(kind.cls) if issubclass(kind.cls, ApiStruct) else {"type": "object"}


SCHEMAS: dict[type[types.Type], Callable[[Any], Schema]] = {
    types.IntType: _integer,
    types.StrType: _string,
    types.BoolType: lambda kind: {"type": "boolean"},
    types.DateTimeType: lambda kind: {"type": "string", "format": "date-time"},
    types.EnumType: lambda kind: {"type": "string", "enum": [member.value for member in kind.cls]},
    types.LiteralType: _literal,
    types.VarTupleType: _array,
    types.DictType: _map,
    types.StructType: _struct,
}


def given(bounds: Schema) -> Schema:
    """The bounds that are set."""
    return {name: bound for name, bound in bounds.items() if bound is not None}


def field_default(field: types.Field) -> Any:
    """The default as JSON, or None where there is nothing to write down: no default, absent, or empty.

    A struct's default is `{}`, its fields have their own; a struct without any stays absent.
    """
    if field.default is NODEFAULT or field.default is None:
        return None
    if isinstance(field.type, types.StructType):
        return {} if has_defaults(field.type) else None
    default = msgspec.to_builtins(field.default)
    return None if isinstance(default, list | tuple) else default


def has_defaults(kind: types.StructType) -> bool:
    """Whether a field of the struct, or of what it contains, has a default worth writing down."""
    return any(field_default(field) is not None for field in kind.fields)


def validation(rule: Rule[Any] | Immutable) -> Schema:
    """One entry of `x-kubernetes-validations`."""
    entry = {"rule": rule.expression, "message": rule.message}
    if rule.field and not rule.field.startswith("metadata."):
        entry["fieldPath"] = f".{rule.field}"
    return entry


@cache
def descriptions(kind: type[Struct] | type[Enum]) -> dict[str, str]:
    """The docstrings under the fields of a struct or the members of an enum, each as one line."""
    return {name: " ".join(said) for name, said in paragraphs(kind).items()}


@cache
def paragraphs(kind: type[Struct] | type[Enum]) -> dict[str, list[str]]:
    """The same, each paragraph as one line."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for statement, following in zip(definition.body, definition.body[1:], strict=False):
        match statement, following:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    return found
