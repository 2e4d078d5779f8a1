"""The CRDs are what the typed views say, and nothing in them is unbounded, floating or undescribed."""

import pytest
from msgspec import Struct, structs

from crds.generate import FOLDER, definitions, text
from rvc import contract
from rvc_operator.api.conversion import Conversion, Parameters
from rvc_operator.api.rules import to_object
from rvc_operator.api.voicemodel import Training, VoiceModel

from .objects import conversion, crd, defaulted, fields, schema, voice

PLURALS = [VoiceModel.PLURAL, Conversion.PLURAL]


@pytest.mark.parametrize("name", ["voicemodels.yaml", "conversions.yaml"])
def test_the_shipped_files_are_up_to_date(name: str) -> None:
    assert (FOLDER / name).read_text() == text(definitions()[name]), "run `python -m crds.generate`"


@pytest.mark.parametrize("plural", PLURALS)
def test_every_field_is_described(plural: str) -> None:
    named = [(path, field) for path, field in fields(schema(plural)) if path and path[-1] not in "]}"]
    silent = [path for path, field in named if not field.get("description", "").endswith(".")]
    assert silent == [".metadata"]


@pytest.mark.parametrize("plural", PLURALS)
def test_everything_is_bounded_and_nothing_floats(plural: str) -> None:
    for path, field in fields(schema(plural)):
        match field.get("type"):
            case "array":
                assert field["maxItems"] <= 32, path
            case "object" if "additionalProperties" in field:
                assert field["maxProperties"] <= 64, path
            case "integer":
                assert "enum" in field or "minimum" in field, path
                assert path.startswith(".status") or "enum" in field or "maximum" in field, path
            case "string" if path not in (".apiVersion", ".kind"):
                bounded = "maxLength" in field or "enum" in field or field.get("format") == "date-time"
                assert bounded, path
            case kind:
                assert kind in ("object", "boolean", "string") or field["x-kubernetes-int-or-string"], path


@pytest.mark.parametrize("plural", PLURALS)
def test_defaults_lie_within_bounds(plural: str) -> None:
    for path, field in fields(schema(plural)):
        default = field.get("default")
        if isinstance(default, int) and "minimum" in field:
            assert field["minimum"] <= default <= field.get("maximum", default), path
        if "enum" in field and default is not None:
            assert default in field["enum"], path


def test_server_defaults_are_the_views_defaults() -> None:
    small, full = voice(), defaulted(schema("voicemodels"), voice())
    assert full["spec"]["training"]["epochs"] == 200
    assert full["status"] == {"observedGeneration": -1}
    assert VoiceModel.from_object(small) == VoiceModel.from_object(full)

    small, full = conversion(), defaulted(schema("conversions"), conversion())
    assert full["spec"]["parameters"]["indexRatePercent"] == 75
    assert Conversion.from_object(small) == Conversion.from_object(full)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(Training, contract.TrainingSettings), (Parameters, contract.ConversionParameters)],
)
def test_trainer_and_server_have_the_same_defaults(ours: type[Struct], theirs: type[Struct]) -> None:
    expected = {field.encode_name: field.default for field in structs.fields(ours)}
    # Not the user's to choose: the operator does, after memory ran out.
    for field in (field for field in structs.fields(theirs) if field.name != "batch_parts"):
        default = expected[field.encode_name]
        assert (default or field.default) == field.default, field.name


@pytest.mark.parametrize("plural", PLURALS)
def test_columns_name_fields_that_exist(plural: str) -> None:
    version = crd(plural)["spec"]["versions"][0]
    known = {path for path, _ in fields(schema(plural))}
    paths = [column["jsonPath"] for column in version["additionalPrinterColumns"]]
    plain = {path for path in paths if "conditions" not in path and not path.startswith(".metadata")}
    assert plain <= known


def test_columns_are_those_of_the_design() -> None:
    def shown(plural: str) -> list[str]:
        columns = crd(plural)["spec"]["versions"][0]["additionalPrinterColumns"]
        return [column["name"].upper() for column in columns if column["priority"] == 0]

    assert shown("voicemodels") == ["READY", "REASON", "PROGRESS", "REPLICAS", "AGE"]
    assert shown("conversions") == ["VOICE", "READY", "REASON", "DONE", "TOTAL", "FAILED", "AGE"]


def test_what_is_written_is_what_the_schema_knows() -> None:
    """The names that the operator writes to status are the names that the API server keeps."""
    known = {path for path, _ in fields(schema("voicemodels"))}
    status = to_object(VoiceModel.from_object(voice()).status)
    assert {f".status.{name}" for name in status} <= known
    assert {f".status.training.{name}" for name in status["training"]} <= known
