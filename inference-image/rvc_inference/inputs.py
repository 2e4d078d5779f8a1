"""What a conversion reads: its request checked, its input listed once, its prompt fetched once."""

from __future__ import annotations

from pathlib import Path

from rvc.audio import open_audio
from rvc.contract import LONGEST_PROMPT_SECONDS, ConversionRequest
from rvc.errors import InvalidAudio, InvalidConfiguration, ObjectNotFound, RvcError
from rvc.store import open_store
from rvc_inference.pauses import Sleep
from rvc_inference.plan import InputFile, is_audio, is_input

LARGEST_PROMPT_BYTES = 16 << 20


class InputInvalid(RvcError):
    """There is nothing to convert at the input. Final."""

    reason = "InputInvalid"


class InputNotFound(RvcError):
    """The object to convert is not there. Final."""

    reason = "InputNotFound"


def check_request(request: ConversionRequest) -> None:
    """Raise `InvalidConfiguration` for what the shapes of the contract allow but no conversion can do."""
    if bool(request.input.object) == bool(request.input.prefix):
        raise InvalidConfiguration("input needs exactly one of object and prefix")
    if request.input.object.endswith("/"):
        raise InvalidConfiguration(
            f"input.object {request.input.object} is a folder; name it as input.prefix"
        )
    for name, uri in (("input.prefix", request.input.prefix), ("output.prefix", request.output.prefix)):
        if uri and not uri.endswith("/"):
            raise InvalidConfiguration(f"{name} {uri} must end in /")
    if request.output.signed_links_seconds and not request.output.prefix.startswith("oss://"):
        raise InvalidConfiguration(
            f"output.signedLinks needs an output.prefix on oss://; there are no links to "
            f"{request.output.prefix}"
        )


def input_prefix(request: ConversionRequest) -> str:
    """URI of the folder that the names of the inputs are relative to; ends in `/`."""
    return request.input.prefix or request.input.object.rpartition("/")[0] + "/"


def list_inputs(request: ConversionRequest, sleep: Sleep) -> list[InputFile]:
    """The inputs as they are now; raises `InputNotFound` or `InputInvalid` when there is nothing to do."""
    if request.input.object:
        return [_named_input(request, sleep)]
    store, prefix = open_store(request.input.prefix, request.voice.store, sleep=sleep)
    own_outputs = _outputs_within(request)
    found = []
    try:
        for info in store.list(prefix):
            name = info.key.removeprefix(prefix)
            if is_input(name) and not (own_outputs and name.startswith(own_outputs)):
                found.append(InputFile(name=name, size=info.size, etag=info.etag))
    except ObjectNotFound as error:
        raise InputInvalid(f"the folder {request.input.prefix} is not there: {error}") from error
    if not any(is_audio(source.name) for source in found):
        raise InputInvalid(
            f"no recordings below {request.input.prefix} ({len(found)} other files); put them there and "
            "apply the Conversion again"
        )
    return sorted(found, key=lambda source: source.name)


def fetched_prompt(request: ConversionRequest, sleep: Sleep) -> bytes:
    """The recording of the audible label; raises `InvalidConfiguration` when there is none."""
    uri = request.output.audible_label_prompt
    try:
        store, key = open_store(uri, request.voice.store, sleep=sleep)
        found = store.stat(key)
        if found is not None and found.size <= LARGEST_PROMPT_BYTES:
            return store.read_bytes(key)
    except ObjectNotFound as error:
        raise _wrong_prompt(uri, str(error)) from error
    raise _wrong_prompt(uri, "it is not there" if found is None else f"it has {found.size} bytes")


def check_prompt(path: Path, uri: str) -> None:
    """Raise `InvalidConfiguration` unless the local copy of a prompt is a recording, and short enough."""
    try:
        with open_audio(path, name=uri) as reader:
            left = LONGEST_PROMPT_SECONDS * reader.sample_rate_hertz
            for block in reader.blocks():
                left -= len(block)
                if left < 0:
                    raise _wrong_prompt(uri, "it is longer")
    except InvalidAudio as error:
        raise _wrong_prompt(uri, str(error)) from error


def _wrong_prompt(uri: str, why: str) -> InvalidConfiguration:
    return InvalidConfiguration(
        f"output.audibleLabelPrompt {uri} must be a recording of at most {LONGEST_PROMPT_SECONDS} s and "
        f"{LARGEST_PROMPT_BYTES >> 20} MiB ({why}); apply another Conversion with such a one, or without"
    )


def _named_input(request: ConversionRequest, sleep: Sleep) -> InputFile:
    store, key = open_store(request.input.object, request.voice.store, sleep=sleep)
    info = store.stat(key)
    if info is None:
        raise InputNotFound(f"{request.input.object} is not there; apply the Conversion again when it is")
    return InputFile(name=key.rpartition("/")[2], size=info.size, etag=info.etag)


def _outputs_within(request: ConversionRequest) -> str:
    """Path of the outputs below the input prefix, "" when they are elsewhere or mixed with the inputs."""
    if request.output.prefix.startswith(request.input.prefix):
        return request.output.prefix.removeprefix(request.input.prefix)
    return ""
