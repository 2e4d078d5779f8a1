"""Every rule as CEL and as Python: the twins agree, on hand-made cases and on generated ones."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from cel_expr_python import cel
from cel_expr_python.ext import ext_strings
from hypothesis import given, settings
from hypothesis import strategies as st

from rvc_operator.api.conversion import Conversion, ConversionSpec
from rvc_operator.api.rules import InvalidSpec, decode, immutable_fields_of
from rvc_operator.api.sources import Storage
from rvc_operator.api.voicemodel import VoiceModel

from .objects import conversion, defaulted, escaped, rules, schema, voice

CEL = cel.NewEnv(
    variables={"self": cel.Type.DYN, "oldSelf": cel.Type.DYN}, extensions=[ext_strings.ExtStrings()]
)
KINDS = {"VoiceModel": VoiceModel, "Conversion": Conversion}


compiled = cache(CEL.compile)


def holds(expression: str, **values: Any) -> bool:
    data = {name: escaped(value) for name, value in values.items()}
    result = compiled(expression).eval(data=data).value()
    assert isinstance(result, bool), f"{expression}: {result}"
    return result


def broken_by_cel(data: dict[str, Any]) -> list[str]:
    """Messages of the rules that an API server would refuse the object for."""
    tree = schema(KINDS[data["kind"]].PLURAL)
    applying = rules(tree, defaulted(tree, data))
    return [
        rule["message"]
        for rule, value in applying
        if "oldSelf" not in rule["rule"] and not holds(rule["rule"], self=value)
    ]


def broken_by_python(data: dict[str, Any]) -> str | None:
    """Message of the rule that the operator refuses the object for."""
    try:
        KINDS[data["kind"]].from_object(data)
    except InvalidSpec as error:
        return str(error)
    return None


OSS = "oss://bucket/models/"
VALID = {
    "pvc": voice(),
    "claim named twice": voice(storage={"uri": "pvc://voices/models/", "volumeClaimName": "voices"}),
    "oss by key": voice(storage={"uri": OSS, "secretRef": {"name": "oss"}}),
    "oss by role": voice(storage={"uri": OSS, "serviceAccountName": "voices"}, dataset={"uri": "oss://b/r/"}),
    "pvc storage, oss dataset": voice(
        storage={"uri": "pvc://voices/models/", "secretRef": {"name": "oss"}}, dataset={"uri": "oss://b/r/"}
    ),
    "import": voice(dataset=None, **{"import": {"modelUri": "pvc://voices/old/alice.pth"}}),
    "telephone": voice(training={"architecture": "Light", "sampleRateHertz": 16000}),
    "few epochs": voice(training={"epochs": 5}),
    "public": voice(serving={"service": {"type": "LoadBalancer"}, "tokenSecretRef": {"name": "token"}}),
    "labels": voice(podTemplate={"labels": {"team": "speech"}}),
    "a file": conversion(),
    "a folder": conversion(input={"prefix": "pvc://voices/inbox/"}),
    "a folder of a similar name": conversion(
        input={"prefix": "pvc://voices/in/"}, output={"prefix": "pvc://voices/in-converted/"}
    ),
    "a file from below the output": conversion(
        input={"object": "pvc://voices/a/b/hello.wav"}, output={"prefix": "pvc://voices/a/"}
    ),
    "dots in names": conversion(input={"object": "pvc://voices/.hidden/..hello/a...wav"}),
    "links": conversion(output={"prefix": "oss://bucket/out/", "signedLinks": {}}),
    "a notice of one's own": conversion(
        output={"prefix": "pvc://v/out/", "audibleLabel": "Start", "audibleLabelPrompt": "pvc://v/notice.mp3"}
    ),
    "resampled": conversion(parameters={"resampleHertz": 8000}),
}

INVALID = {
    "no origin": (voice(dataset=None), "spec: set exactly one of dataset and import"),
    "two origins": (
        voice(**{"import": {"modelUri": "pvc://voices/a.pth"}}),
        "spec: set exactly one of dataset and import",
    ),
    "dataset is a file": (voice(dataset={"uri": "pvc://voices/a.wav"}), "spec.dataset.uri: uri must name a"),
    "dataset climbs": (voice(dataset={"uri": "pvc://voices/../etc/"}), "spec.dataset.uri: uri must name a"),
    "dataset of nothing": (voice(dataset={"uri": "pvc://voices/a//"}), "spec.dataset.uri: uri must name a"),
    "storage is a file": (voice(storage={"uri": "pvc://voices/a"}), "spec.storage.uri: uri must name a"),
    "model is a folder": (
        voice(dataset=None, **{"import": {"modelUri": "pvc://voices/a/"}}),
        "spec.import.modelUri: modelUri must name one file",
    ),
    "index climbs": (
        voice(dataset=None, **{"import": {"modelUri": "pvc://v/a.pth", "indexUri": "pvc://v/.."}}),
        "spec.import.indexUri: indexUri must name one file",
    ),
    "two identities": (
        voice(storage={"uri": OSS, "secretRef": {"name": "oss"}, "serviceAccountName": "voices"}),
        "spec.storage: set at most one of secretRef and serviceAccountName",
    ),
    "oss without credentials": (voice(storage={"uri": OSS}), "spec.storage: an oss:// uri needs secretRef"),
    "oss dataset without credentials": (
        voice(dataset={"uri": "oss://bucket/recordings/"}),
        "spec.storage: reading oss:// needs storage.secretRef",
    ),
    "oss import without credentials": (
        voice(dataset=None, **{"import": {"modelUri": "pvc://v/a.pth", "indexUri": "oss://b/a.index"}}),
        "spec.storage: reading oss:// needs storage.secretRef",
    ),
    "oss base models without credentials": (
        voice(training={"baseModelsUri": "oss://bucket/base/"}),
        "spec.storage: reading oss:// needs storage.secretRef",
    ),
    "another claim": (
        voice(storage={"uri": "pvc://voices/models/", "volumeClaimName": "other"}),
        "spec.storage.volumeClaimName: volumeClaimName must be the claim that uri names",
    ),
    "a claim for oss": (
        voice(storage={"uri": OSS, "secretRef": {"name": "oss"}, "volumeClaimName": "bucket"}),
        "spec.storage.volumeClaimName: volumeClaimName must be the claim that uri names",
    ),
    "base models in a file": (
        voice(training={"baseModelsUri": "pvc://voices/base"}),
        "spec.training.baseModelsUri: baseModelsUri must name a folder",
    ),
    "speakers of Light": (
        voice(training={"architecture": "Light", "multiSpeaker": True}),
        "spec.training.multiSpeaker: multiSpeaker is for architecture RVC2; Light learns one speaker",
    ),
    "telephone RVC2": (
        voice(training={"sampleRateHertz": 16000}),
        "spec.training.sampleRateHertz: 16000 is for architecture Light only",
    ),
    "replicas": (
        voice(serving={"minReplicas": 2}),
        "spec.serving.minReplicas: minReplicas must not be greater than maxReplicas",
    ),
    "public without a token": (
        voice(serving={"service": {"type": "LoadBalancer"}}),
        "spec.serving.tokenSecretRef: a LoadBalancer may be public",
    ),
    "our label": (
        voice(podTemplate={"labels": {"voice.rvc.dev/voice": "bob"}}),
        "spec.podTemplate.labels: labels must not use voice.rvc.dev/",
    ),
    "no source": (conversion(input={}), "spec.input: set exactly one of object (one file) and prefix"),
    "two sources": (
        conversion(input={"object": "pvc://v/a.wav", "prefix": "pvc://v/a/"}),
        "spec.input: set exactly one of object (one file) and prefix",
    ),
    "file is a folder": (conversion(input={"object": "pvc://v/a/"}), "spec.input.object: object must name"),
    "folder is a file": (conversion(input={"prefix": "pvc://v/a"}), "spec.input.prefix: prefix must name"),
    "output is a file": (conversion(output={"prefix": "pvc://v/a"}), "spec.output.prefix: prefix must name"),
    "output below input": (
        conversion(input={"prefix": "pvc://voices/"}),
        "spec.output.prefix: input.prefix and output.prefix must not lie one inside the other",
    ),
    "input below output": (
        conversion(input={"prefix": "pvc://voices/converted/inbox/"}),
        "spec.output.prefix: input.prefix and output.prefix must not lie one inside the other",
    ),
    "output beside the source": (
        conversion(output={"prefix": "pvc://voices/inbox/"}),
        "spec.output.prefix: output.prefix must not be the folder of input.object",
    ),
    "links to a volume": (
        conversion(output={"prefix": "pvc://v/out/", "signedLinks": {"expirySeconds": 60}}),
        "spec.output.signedLinks: signedLinks needs a prefix on oss://",
    ),
    "a notice that is not heard": (
        conversion(output={"prefix": "pvc://v/out/", "audibleLabelPrompt": "pvc://v/notice.wav"}),
        "spec.output.audibleLabelPrompt: audibleLabelPrompt needs audibleLabel",
    ),
    "a notice that is a folder": (
        conversion(
            output={"prefix": "pvc://v/out/", "audibleLabel": "Start", "audibleLabelPrompt": "pvc://v/in/"}
        ),
        "spec.output.audibleLabelPrompt: audibleLabelPrompt must name one file",
    ),
    "inaudible rate": (
        conversion(parameters={"resampleHertz": 1}),
        "spec.parameters.resampleHertz: resampleHertz must be 0",
    ),
}


@pytest.mark.parametrize("data", VALID.values(), ids=VALID)
def test_valid_objects_pass_both(data: dict[str, Any]) -> None:
    assert broken_by_python(data) is None
    assert broken_by_cel(data) == []


@pytest.mark.parametrize(("data", "message"), INVALID.values(), ids=INVALID)
def test_invalid_objects_are_refused_by_both_with_one_message(data: dict[str, Any], message: str) -> None:
    said = broken_by_python(data)
    assert said is not None
    assert said.startswith(message)
    assert said.split(": ", 1)[1] in broken_by_cel(data)


@pytest.mark.parametrize("kind", ["VoiceModel", "Conversion"])
def test_every_rule_is_broken_by_some_case(kind: str) -> None:
    """A new rule without a case of its own fails here."""
    tree = schema(KINDS[kind].PLURAL)
    declared = {
        rule["message"]
        for path_schema in _all(tree)
        for rule in path_schema.get("x-kubernetes-validations", ())
        if "oldSelf" not in rule["rule"]
    }
    seen = {message for data, _ in INVALID.values() for message in broken_by_cel(data)}
    seen |= set(broken_by_cel(voice() | {"metadata": {"name": "x" * 41}}))
    assert declared <= seen


@pytest.mark.parametrize("name", ["a" * 41, "1alice", "alice-", "Alice", "al.ice"])
def test_names_that_children_could_not_bear(name: str) -> None:
    data = voice()
    data["metadata"]["name"] = name
    assert (broken_by_python(data) or "").startswith(
        "metadata.name: the name must have at most 40 characters"
    )
    assert broken_by_cel(data)


_part = st.sampled_from(["", ".", "..", "a", "b", "a.wav"])
_uri = st.builds(
    lambda scheme, parts, end: f"{scheme}://claim/{'/'.join(parts)}{end}",
    st.sampled_from(["oss", "pvc"]),
    st.lists(_part, max_size=3),
    st.sampled_from(["", "/"]),
)


def _some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


_name = st.just({"name": "x"})
_voices = st.builds(
    lambda spec: voice(**spec),
    _some(
        dataset=st.none() | st.fixed_dictionaries({"uri": _uri}),
        storage=st.fixed_dictionaries(
            {"uri": _uri},
            optional={
                "secretRef": _name,
                "serviceAccountName": st.just("x"),
                "volumeClaimName": st.sampled_from(["claim", "other"]),
            },
        ),
        training=_some(
            epochs=st.integers(1, 20),
            saveEveryEpochs=st.integers(1, 20),
            baseModelsUri=_uri,
            architecture=st.sampled_from(["RVC2", "Light"]),
            sampleRateHertz=st.sampled_from([16000, 48000]),
        ),
        serving=_some(
            minReplicas=st.integers(0, 3),
            maxReplicas=st.integers(1, 3),
            service=st.fixed_dictionaries({"type": st.sampled_from(["ClusterIP", "LoadBalancer"])}),
            tokenSecretRef=_name,
        ),
        **{"import": st.none() | st.fixed_dictionaries({"modelUri": _uri}, optional={"indexUri": _uri})},
    ),
)
_conversions = st.builds(
    lambda spec: conversion(**spec),
    _some(
        input=_some(object=_uri, prefix=_uri),
        output=st.fixed_dictionaries({"prefix": _uri}),
        parameters=_some(resampleHertz=st.integers(0, 192000)),
    ),
)


@settings(deadline=None)
@given(_voices | _conversions)
def test_twins_agree(data: dict[str, Any]) -> None:
    said, refused = broken_by_python(data), broken_by_cel(data)
    assert (said is None) == (refused == [])
    if said is not None:
        assert said.split(": ", 1)[1] in refused


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("voiceModelRef", {"name": "bob"}),
        ("input", {"prefix": "pvc://voices/inbox/"}),
        ("output", {"prefix": "pvc://voices/elsewhere/"}),
        ("parameters", {"transposeSemitones": 12}),
    ],
)
def test_what_a_conversion_does_is_immutable(field: str, change: dict[str, Any]) -> None:
    tree = schema("conversions")
    before, after = (defaulted(tree, data)["spec"] for data in (conversion(), conversion(**{field: change})))
    (immutable,) = (rule for rule in immutable_fields_of(ConversionSpec) if rule.field == field)
    assert immutable.holds(decode(ConversionSpec, before, "spec"), decode(ConversionSpec, before, "spec"))
    assert not immutable.holds(decode(ConversionSpec, before, "spec"), decode(ConversionSpec, after, "spec"))
    assert holds(immutable.expression, self=before, oldSelf=before)
    assert not holds(immutable.expression, self=after, oldSelf=before)


def test_where_a_voice_is_stored_is_immutable() -> None:
    (immutable,) = immutable_fields_of(Storage)
    before, after = ({"uri": "pvc://voices/models/"}, {"uri": "pvc://voices/elsewhere/"})
    assert not immutable.holds(decode(Storage, before, ""), decode(Storage, after, ""))
    assert not holds(immutable.expression, self=after, oldSelf=before)


def _all(tree: dict[str, Any]) -> list[dict[str, Any]]:
    found = [tree]
    for child in tree.get("properties", {}).values():
        found += _all(child)
    return found
