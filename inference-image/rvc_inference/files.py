"""One file of a conversion: fetch, convert, publish.

The output appears under its name when it is complete and verified, or not at all: it is made in scratch and
`upload` publishes it at once.
"""

from __future__ import annotations

import errno
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from msgspec.structs import replace

from rvc.contract import ConversionRequest
from rvc.errors import ArtifactCorrupt, InvalidAudio, ObjectNotFound, PermissionDenied
from rvc.provenance import Provenance
from rvc.store import ObjectInfo, Store
from rvc.store.failures import from_os_error
from rvc_inference.plan import InputFile, Job
from rvc_inference.results import FileResult, Outcome
from rvc_inference.voices import VoiceConverter

_TROUBLE_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EIO}


@dataclass(frozen=True)
class Places:
    """Where the files of one conversion come from and go to; both prefixes are keys of their store."""

    inputs: Store
    input_prefix: str
    outputs: Store
    output_prefix: str
    rights_of_each_input: bool
    """Whether each input has rights of its own, as a file has its mode; objects have those of the keys."""
    prompt: Path | None = None
    """A local file with the recording of the audible label, if there is one."""


def convert_file(
    job: Job,
    uid: str,
    request: ConversionRequest,
    places: Places,
    converter: VoiceConverter,
    scratch: Path,
    fingerprint: str,
    abandoned: threading.Event,
) -> FileResult:
    """Convert one input of the conversion `uid` and return its outcome.

    Raises what concerns more than this file: `StoreUnavailable`, for a full disk here too, `PermissionDenied`
    for the output, or for an input without rights of its own, `AcceleratorError`, `InvalidConfiguration`,
    `Terminated`.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        source = Path(folder) / ("input" + PurePosixPath(job.source.name).suffix)
        output = Path(folder) / ("output" + PurePosixPath(job.output_name).suffix)
        try:
            _fetch(job.source, places, source)
        except (InvalidAudio, ArtifactCorrupt, ObjectNotFound) as error:
            return failed(job, fingerprint, error.reason, str(error))
        except PermissionDenied as error:
            if not places.rights_of_each_input:
                raise
            return failed(job, fingerprint, error.reason, str(error))
        try:
            done = converter.convert(
                source,
                output,
                request.parameters,
                request.output.format,
                Path(folder),
                stop=abandoned.is_set,
                name=job.source.name,
                provenance=_provenance(uid, request, places.prompt),
            )
        except InvalidAudio as error:
            return failed(job, fingerprint, error.reason, str(error))
        except OSError as error:
            if error.errno not in _TROUBLE_OF_THE_DISK:
                raise
            raise from_os_error(error, f"the server's scratch folder {scratch}") from error
        key = places.output_prefix + job.output_name
        published = places.outputs.upload(output, key, overwrite=True)
        return succeeded(job, fingerprint, published, done.seconds)


def failed(job: Job, fingerprint: str, reason: str, message: str) -> FileResult:
    """The outcome of a file that cannot be converted."""
    return FileResult(
        source=job.source, fingerprint=fingerprint, outcome=Outcome.FAILED, reason=reason, message=message
    )


def skipped(source: InputFile, fingerprint: str) -> FileResult:
    """The outcome of a file that is no recording."""
    return FileResult(
        source=source,
        fingerprint=fingerprint,
        outcome=Outcome.SKIPPED,
        reason="NotAudio",
        message="the name does not end like that of a recording",
    )


def succeeded(job: Job, fingerprint: str, published: ObjectInfo, seconds: float) -> FileResult:
    """The outcome of a file whose output is published."""
    return FileResult(
        source=job.source,
        fingerprint=fingerprint,
        outcome=Outcome.SUCCEEDED,
        output=job.output_name,
        output_size=published.size,
        output_etag=published.etag,
        seconds=seconds,
    )


def linked(results: Iterable[FileResult], places: Places, seconds: int) -> Iterator[FileResult]:
    """The outcomes, those with an output with a link to it that is good for so long from now."""
    for result in results:
        key = places.output_prefix + result.output
        yield replace(result, link=places.outputs.presigned_url(key, seconds)) if result.output else result


def _provenance(uid: str, request: ConversionRequest, prompt: Path | None) -> Provenance:
    conversion = request.conversion
    return Provenance(
        producer=request.content_producer,
        origin=f"{conversion.namespace}/{conversion.name}/{uid}",
        audible=request.output.audible_label,
        prompt=prompt,
    )


def _fetch(source: InputFile, places: Places, path: Path) -> None:
    """Bring the version that the conversion began with, or none."""
    key = places.input_prefix + source.name
    try:
        found = places.inputs.download(key, path)
    except ObjectNotFound as error:
        raise ObjectNotFound(
            f"{key} was removed after the conversion began", reason="InputRemoved"
        ) from error
    # What was read is judged, and not what a look before it showed: in between it may be replaced.
    if (found.size, found.etag) != (source.size, source.etag):
        raise InvalidAudio(
            f"{key} was changed after the conversion began; apply a new Conversion for it",
            reason="InputChanged",
        )
