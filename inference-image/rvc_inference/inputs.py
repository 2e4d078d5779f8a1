"""What a conversion reads: its request checked, its input listed once."""

from __future__ import annotations

from rvc.contract import ConversionRequest
from rvc.errors import InvalidConfiguration, ObjectNotFound, RvcError
from rvc.store import open_store
from rvc_inference.pauses import Sleep
from rvc_inference.plan import InputFile, is_audio, is_input


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
