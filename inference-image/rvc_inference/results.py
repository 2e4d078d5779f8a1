"""What a conversion notes in the store beside its outputs, for a person to read and another server to go on.

`inputs.jsonl` freezes what there was to do, `results.jsonl` has a line for each file with an outcome,
`begun.json` names the file under way, `results.json` is the summary and comes last. A line counts only for
the same input, voice and parameters (`fingerprint`).

Each shard of several has a folder of its own below `shards/` for its lines, and closes it with a list of all
its outcomes. Whoever closes the last one, or finds all closed, makes the union: the lines in `results.jsonl`
and the summary. A shard says that it is done only after that, so when all have said it, the summary is there.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from enum import StrEnum
from itertools import chain
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from rvc.contract import WHOLE, ConversionRequest, FileCounts, FileFailure, Shard
from rvc.errors import ArtifactCorrupt, ObjectExists
from rvc.pod import event
from rvc.store import Store
from rvc_inference.lines import read_lines, write_lines
from rvc_inference.plan import BOOKKEEPING_FOLDER, InputFile, Job

log = logging.getLogger(__name__)


class Outcome(StrEnum):
    """How it went with one file."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    """It is no recording, and counts for nothing."""


class FileResult(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """One line of `results.jsonl`."""

    source: InputFile
    fingerprint: str
    outcome: Outcome
    output: str = ""
    """Name below the output prefix."""
    output_size: int = 0
    output_etag: str = ""
    seconds: float = 0.0
    """Length of the converted audio."""
    reason: str = ""
    message: str = ""
    link: str = ""
    """For listening, where it was asked for; good for some days, and for whoever has it."""


class Begun(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`begun.json`: the file that a server is converting, or was when it died."""

    name: str
    times: int
    """How often a server has begun it without coming to an end with it."""


class Summary(Struct, frozen=True, rename="camel"):
    """`results.json`."""

    request: ConversionRequest
    files: FileCounts
    audio_seconds: float
    failures: tuple[FileFailure, ...]
    """All of them, unlike in the Conversion's status."""
    results: str = "results.jsonl"


def fingerprint(request: ConversionRequest, prompt_digest: str = "") -> str:
    """Digest of all that decides how an output sounds and what its labels say, beside its input."""
    output = request.output
    sound = [request.voice.manifest_digest, request.parameters, output.format, output.audible_label]
    decisive = [*sound, request.content_producer, *filter(None, [prompt_digest])]
    return "sha256:" + hashlib.sha256(msgspec.json.encode(decisive)).hexdigest()


class ResultsFolder:
    """The records of one conversion in the store of its outputs."""

    def __init__(self, store: Store, output_prefix: str, uid: str, shard: Shard = WHOLE) -> None:
        """What this server notes is about `shard`."""
        self._store = store
        self._output_prefix, self._uid, self._shard = output_prefix, uid, shard
        self.summary_name = f"{BOOKKEEPING_FOLDER}/{uid}/results.json"
        self._all = f"{output_prefix}{BOOKKEEPING_FOLDER}/"
        self._prefix = f"{self._all}{uid}/"
        self._own = self._folder_of(shard)

    def of_all_shards(self) -> ResultsFolder:
        """The folder for what is noted about all shards together."""
        return ResultsFolder(self._store, self._output_prefix, self._uid)

    def freeze_inputs(self, listing: Iterable[InputFile]) -> list[InputFile]:
        """Note what there is to do, once: the inputs that were noted first, by whatever server, are those
        that count.
        """
        key = self._prefix + "inputs.jsonl"
        with suppress(ObjectExists):
            write_lines(self._store, key, listing, overwrite=False)
        return list(read_lines(self._store, key, InputFile))

    def kept_prompt(self, suffix: str, fetch: Callable[[], bytes], path: Path) -> None:
        """Bring the recording of the audible label to `path`: for all shards the one noted first."""
        key = f"{self._prefix}prompt{suffix}"
        if self._store.stat(key) is None:
            with suppress(ObjectExists):
                self._store.write_bytes(key, fetch(), overwrite=False)
        self._store.download(key, path)

    def frozen_inputs(self) -> list[InputFile]:
        """What was noted to do; empty if nothing was."""
        return list(read_lines(self._store, self._prefix + "inputs.jsonl", InputFile))

    def earlier_results(self, fingerprint: str, jobs: Iterable[Job]) -> dict[str, FileResult]:
        """Successes of these jobs with this fingerprint that were noted beside these outputs, by the input's
        name: by other conversions, and, in front of those, by earlier runs of this one.

        Whatever else was noted there is passed over without being held.
        """
        wanted = {job.source.name: job for job in jobs}
        own = self._own + "results.jsonl"
        found = (info.key for info in self._store.list(self._all) if info.key.endswith("/results.jsonl"))
        results: dict[str, FileResult] = {}
        for key in chain((key for key in found if key != own), [own]):
            try:
                results |= self._successes(key, fingerprint, wanted)
            except ArtifactCorrupt as error:
                if key == own:
                    raise
                event(log, "results of another conversion left out", level=logging.WARNING, detail=str(error))
        return results

    def write_results(self, results: Iterable[FileResult]) -> None:
        """Replace `results.jsonl`, whole or not at all."""
        write_lines(self._store, self._own + "results.jsonl", results, overwrite=True)

    def close(self, fingerprint: str, results: Iterable[FileResult]) -> list[FileResult]:
        """Note all outcomes of the shard, once: those that were noted first, by whatever server, count."""
        key = _closing_key(self._own, fingerprint)
        with suppress(ObjectExists):
            write_lines(self._store, key, results, overwrite=False)
        return list(read_lines(self._store, key, FileResult))

    def closed(self, fingerprint: str) -> list[FileResult] | None:
        """All outcomes of the shard, None before it is closed."""
        return self._closed(self._own, fingerprint)

    def closed_shards(self, fingerprint: str) -> list[FileResult] | None:
        """All outcomes of all shards in the order of the inputs' names, None before all are closed."""
        results: list[FileResult] = []
        for index in range(self._shard.count):
            closed = self._closed(self._folder_of(Shard(index, self._shard.count)), fingerprint)
            if closed is None:
                return None
            results += closed
        return sorted(results, key=lambda result: result.source.name)

    def begun(self) -> Begun | None:
        """The file that a server died of, or with."""
        return next(read_lines(self._store, self._own + "begun.json", Begun), None)

    def note_begun(self, begun: Begun) -> None:
        """Note what is begun, before it is."""
        self._store.write_bytes(self._own + "begun.json", msgspec.json.encode(begun) + b"\n", overwrite=True)

    def forget_begun(self) -> None:
        """No file is under way."""
        self._store.delete(self._own + "begun.json")

    def write_summary(self, summary: Summary) -> None:
        """Write `results.json`, the sign that everything else is there."""
        text = msgspec.json.format(msgspec.json.encode(summary), indent=2)
        self._store.write_bytes(self._prefix + "results.json", text + b"\n", overwrite=True)

    def _folder_of(self, shard: Shard) -> str:
        return self._prefix if shard.count == 1 else f"{self._prefix}shards/{shard.index}-of-{shard.count}/"

    def _closed(self, folder: str, fingerprint: str) -> list[FileResult] | None:
        key = _closing_key(folder, fingerprint)
        return None if self._store.stat(key) is None else list(read_lines(self._store, key, FileResult))

    def _successes(self, key: str, fingerprint: str, wanted: Mapping[str, Job]) -> dict[str, FileResult]:
        """Those of the wanted jobs in one list; what they have in common with others is held once."""
        return {
            job.source.name: replace(
                line, source=job.source, fingerprint=fingerprint, output=job.output_name, link=""
            )
            for line in read_lines(self._store, key, FileResult)
            if line.outcome is Outcome.SUCCEEDED
            and line.fingerprint == fingerprint
            and (job := wanted.get(line.source.name)) is not None
            and (line.source, line.output) == (job.source, job.output_name)
        }


class Ledger:
    """Outcomes of one conversion so far, counted as they come and recorded in the store now and then."""

    def __init__(self, records: ResultsFolder, total: int, earlier: Mapping[str, FileResult]) -> None:
        """`earlier` results stay on record until the file has its outcome: this run may end before."""
        self._records = records
        self._total = total
        self._earlier = earlier
        self._results: dict[str, FileResult] = {}
        self._counts: Counter[Outcome] = Counter()
        self._failures: list[FileFailure] = []
        self._recorded = 0

    @classmethod
    def of(cls, records: ResultsFolder, total: int, results: Iterable[FileResult]) -> Ledger:
        """A ledger of outcomes that are known."""
        ledger = cls(records, total, {})
        for result in results:
            ledger.note(result)
        return ledger

    def note(self, result: FileResult) -> None:
        """Add the outcome of a file that had none."""
        self._results[result.source.name] = result
        self._counts[result.outcome] += 1
        if result.outcome is Outcome.FAILED:
            failure = FileFailure(key=result.source.name, reason=result.reason, message=result.message)
            self._failures.append(failure)

    def record(self) -> None:
        """Write all outcomes to the store if there are new ones."""
        if len(self._results) > self._recorded:
            self._records.write_results({**self._earlier, **self._results}.values())
            self._recorded = len(self._results)

    @property
    def results(self) -> Iterable[FileResult]:
        """All outcomes."""
        return self._results.values()

    @property
    def counts(self) -> FileCounts:
        """Recordings by outcome; what an earlier run of this conversion converted counts as converted."""
        return FileCounts(
            total=self._total,
            succeeded=self._counts[Outcome.SUCCEEDED],
            failed=self._counts[Outcome.FAILED],
        )

    @property
    def audio_seconds(self) -> float:
        """Length of all converted audio."""
        return sum(result.seconds for result in self._results.values())

    def failures(self, limit: int | None = None) -> tuple[FileFailure, ...]:
        """The first failures, all without a limit."""
        return tuple(self._failures[:limit])


def _closing_key(folder: str, fingerprint: str) -> str:
    return f"{folder}closed-{fingerprint.removeprefix('sha256:')[:16]}.jsonl"
