"""One conversion, from the listing of its inputs to its summary, in steps between which others get their
turn.

A file's outcome is the file's own: bad audio or a missing input fails it and the batch goes on. A store or a
card that fails ends the whole conversion, as do keys that a store refuses, and the next run of it, here or
elsewhere, redoes nothing that is done.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import msgspec

from rvc.contract import (
    MAX_REPORTED_FAILURES,
    WHOLE,
    ConversionRequest,
    ConversionState,
    ConversionStatus,
)
from rvc.errors import AcceleratorError, PermissionDenied, RvcError, StoreUnavailable, Terminated
from rvc.pod import event
from rvc.store import open_store
from rvc_inference.files import Places, convert_file, failed, linked, skipped
from rvc_inference.inputs import check_prompt, check_request, fetched_prompt, input_prefix, list_inputs
from rvc_inference.pauses import Pauses
from rvc_inference.plan import InputFile, Job, plan_jobs, refuse_overwriting, share
from rvc_inference.results import Begun, FileResult, Ledger, ResultsFolder, Summary, fingerprint
from rvc_inference.voices import Voices

log = logging.getLogger(__name__)

RETRIABLE = (StoreUnavailable, PermissionDenied, AcceleratorError)
STORE_FAILURES_IN_A_ROW = 3
"""So many files in a row that the store did not give or take end the conversion; only for the first of them
is the store waited for."""
SERVERS_PER_FILE = 3
"""So many servers may die (of memory, of a decoder's defect) while they convert one file."""
SECONDS_BETWEEN_RECORDS = 3.0
"""Work of so many seconds may have to be done again after a crash."""
RECORDS_SHARE = 0.05
"""Of the time, at most, goes into writing them; they are written as a whole."""
SWEPT_AFTER_SECONDS = 3600.0
"""Uploads of outputs that began so long ago were left by servers that were killed."""


@dataclass(frozen=True)
class _Plan:
    """A shard of a conversion."""

    jobs: list[Job]
    others: list[InputFile]
    """What is no recording."""
    total: int
    """Recordings of all shards."""


@dataclass(frozen=True)
class _Batch:
    """What there is beside the jobs while they are worked on."""

    places: Places
    records: ResultsFolder
    ledger: Ledger
    earlier: Mapping[str, FileResult]
    """What was converted earlier in the same way, by the input's name."""
    begun: Begun | None
    """The file that an earlier server died with."""


class Conversion:
    """A conversion, or a shard of it, in this server: `steps` is its work, `status` how far it is, `abandon`
    ends it early."""

    def __init__(
        self,
        uid: str,
        request: ConversionRequest,
        voices: Voices,
        scratch: Path,
        on_result: Callable[[FileResult], None],
    ) -> None:
        self.uid = uid
        self.request = request
        self.status = ConversionStatus(state=ConversionState.QUEUED)
        self._voices = voices
        self._scratch = scratch
        self._on_result = on_result
        self._abandoned = threading.Event()
        self._pauses = Pauses(self._abandoned)
        self._fingerprint = fingerprint(request)
        self._records: ResultsFolder | None = None

    def abandon(self) -> None:
        """Ask for an end within one tile of audio."""
        self._abandoned.set()

    def spare(self) -> None:
        """Take back the note on the file under way: should this server be killed now, the file is not why."""
        if self._records is not None:
            self._records.forget_begun()

    @property
    def abandoned(self) -> bool:
        """Whether an end was asked for."""
        return self._abandoned.is_set()

    def steps(self) -> Generator[None]:
        """Do the work, pausing after each file; raises what ends the conversion as a whole."""
        with tempfile.TemporaryDirectory(dir=self._scratch, prefix="conversion-") as folder:
            yield from self._steps(Path(folder))

    def _steps(self, folder: Path) -> Generator[None]:
        self.status = ConversionStatus(state=ConversionState.RUNNING)

        # 1. What there is to do is noted once; objects added later do not join.
        check_request(self.request)
        shard, places = self.request.shard, self._open_places()
        records = ResultsFolder(places.outputs, places.output_prefix, self.uid, shard)
        self._records = records
        places.outputs.sweep(places.output_prefix, older_than=time.time() - SWEPT_AFTER_SECONDS)
        plan = self._planned(records)
        if self.request.output.audible_label_prompt:
            places = self._with_prompt(places, records, folder)

        # 2. Every file gets an outcome; what an earlier run or another conversion did in the same way, stays.
        closed = records.closed(self._fingerprint) if shard.count > 1 else None
        if closed is None:
            ledger = yield from self._convert_all(plan, places, records)
        if shard.count > 1:
            closed = records.close(self._fingerprint, ledger.results) if closed is None else closed
            ledger = Ledger.of(records, plan.total, closed)

        # 3. The summary comes last, as the sign that everything else is there.
        self._sum_up(records, ledger, places)
        self._show(ledger, ConversionState.FINISHED, self.request.output.prefix + records.summary_name)

    def fail(self, error: Exception) -> None:
        """End in failure as a whole; the files that have an outcome keep it."""
        known = isinstance(error, RvcError)
        self.status = ConversionStatus(
            state=ConversionState.FAILED,
            files=self.status.files,
            failures=self.status.failures,
            reason=error.reason if isinstance(error, RvcError) else RvcError.reason,
            message=str(error) if known else f"unexpected {type(error).__name__}: {error}",
            retriable=isinstance(error, RETRIABLE) or not known,
        )

    def _planned(self, records: ResultsFolder) -> _Plan:
        """What this server is to do: the same for the same list, and the list is the same for all shards."""
        request = self.request
        inputs = records.frozen_inputs() or records.freeze_inputs(list_inputs(request, self._pauses.sleep))
        jobs, others = plan_jobs(inputs, request.output.format, named=bool(request.input.object))
        refuse_overwriting(jobs, input_prefix(request), request.output.prefix)
        return _Plan(share(jobs, request.shard), share(others, request.shard), len(jobs))

    def _convert_all(
        self, plan: _Plan, places: Places, records: ResultsFolder
    ) -> Generator[None, None, Ledger]:
        """Bring every file of the plan to an outcome; all of them, recorded."""
        earlier = records.earlier_results(self._fingerprint, plan.jobs)
        ledger = Ledger(records, plan.total, earlier)
        for source in plan.others:
            ledger.note(skipped(source, self._fingerprint))
        self._show(ledger)
        batch = _Batch(places, records, ledger, earlier, records.begun())
        try:
            yield from self._convert_each(plan.jobs, batch)
        except BaseException:
            with suppress(RvcError):  # What ended the conversion says more.
                ledger.record()
            raise
        ledger.record()
        return ledger

    def _with_prompt(self, places: Places, records: ResultsFolder, folder: Path) -> Places:
        """Have the user's own notice at hand, and have it count as part of what the outputs are."""
        uri = self.request.output.audible_label_prompt
        suffix = PurePosixPath(uri).suffix
        prompt = folder / f"prompt{suffix}"
        records.kept_prompt(suffix, lambda: fetched_prompt(self.request, self._pauses.sleep), prompt)
        check_prompt(prompt, uri)
        self._fingerprint = fingerprint(self.request, hashlib.sha256(prompt.read_bytes()).hexdigest())
        return replace(places, prompt=prompt)

    def _sum_up(self, records: ResultsFolder, ledger: Ledger, places: Places) -> None:
        """Write the summary; of several shards, the one that sees all closed writes it for all."""
        links = self.request.output.signed_links_seconds
        if self.request.shard.count > 1:
            everything = records.closed_shards(self._fingerprint)
            if everything is None:
                return
            records = records.of_all_shards()
            ledger = Ledger.of(records, ledger.counts.total, everything)
        if links:
            records.write_results(linked(ledger.results, places, links))
        elif self.request.shard.count > 1:
            ledger.record()
        request = msgspec.structs.replace(self.request, shard=WHOLE)
        records.write_summary(Summary(request, ledger.counts, ledger.audio_seconds, ledger.failures()))

    def _convert_each(self, jobs: list[Job], batch: _Batch) -> Generator[None]:
        """Note an outcome for each job; one that the store fails has another turn after the others."""
        waiting = deque(jobs)
        unavailable: list[StoreUnavailable] = []
        record_at = time.monotonic() + SECONDS_BETWEEN_RECORDS
        while waiting:
            job = waiting.popleft()
            try:
                batch.ledger.note(self._finished(job, batch) or self._convert(job, batch))
                unavailable.clear()
            except StoreUnavailable as error:
                unavailable.append(error)
                if len(unavailable) == STORE_FAILURES_IN_A_ROW:
                    raise unavailable[0] from None
                event(log, "store unavailable", level=logging.WARNING, detail=str(error))
                waiting.append(job)
            self._pauses.in_vain = bool(unavailable)
            self._show(batch.ledger)
            if time.monotonic() > record_at and not unavailable:
                begun = time.monotonic()
                batch.ledger.record()
                ended = time.monotonic()
                record_at = ended + max(SECONDS_BETWEEN_RECORDS, (ended - begun) / RECORDS_SHARE)
            yield

    def _finished(self, job: Job, batch: _Batch) -> FileResult | None:
        """What was noted for the job earlier, if its output is what it was then."""
        result = batch.earlier.get(job.source.name)
        if result is None:
            return None
        key = batch.places.output_prefix + job.output_name
        found = batch.places.outputs.stat(key)
        same = found is not None and (found.size, found.etag) == (result.output_size, result.output_etag)
        return result if same else None

    def _convert(self, job: Job, batch: _Batch) -> FileResult:
        """Convert, with a note in the store meanwhile: should this server die of it, the next one knows."""
        deaths = batch.begun.times if batch.begun and batch.begun.name == job.source.name else 0
        begun = Begun(job.source.name, deaths + 1)
        batch.records.note_begun(begun)
        try:
            if deaths >= SERVERS_PER_FILE:
                message = f"{deaths} servers died while they converted it; it may be too large or damaged"
                result = failed(job, self._fingerprint, "ServerDied", message)
            else:
                result = self._converted(job, batch.places)
        except StoreUnavailable:
            self._pauses.in_vain = True
            raise
        finally:
            self._forget_begun(batch.records)
        self._on_result(result)
        return result

    def _forget_begun(self, records: ResultsFolder) -> None:
        """Take the note back; one that stays is replaced by the next file's, and costs no outcome."""
        try:
            records.forget_begun()
        except (StoreUnavailable, PermissionDenied, Terminated) as error:
            event(log, "the note on a file under way stays", level=logging.WARNING, detail=str(error))

    def _converted(self, job: Job, places: Places) -> FileResult:
        """Convert; an error that nobody expected is the file's, for the next file may be different."""
        converter = self._voices.get(self.request.voice, self._pauses.sleep)
        try:
            return convert_file(
                job,
                self.uid,
                self.request,
                places,
                converter,
                self._scratch,
                self._fingerprint,
                self._abandoned,
            )
        except RvcError:
            raise
        except Exception as error:
            log.exception("one file failed unexpectedly", extra={"fields": {"file": job.source.name}})
            message = f"unexpected {type(error).__name__}: {error}; the server's log has the traceback"
            return failed(job, self._fingerprint, RvcError.reason, message)

    def _open_places(self) -> Places:
        settings = self.request.voice.store
        inputs, input_key = open_store(input_prefix(self.request), settings, sleep=self._pauses.sleep)
        outputs, output_key = open_store(self.request.output.prefix, settings, sleep=self._pauses.sleep)
        rights_of_each = not input_prefix(self.request).startswith("oss://")
        return Places(inputs, input_key, outputs, output_key, rights_of_each)

    def _show(
        self, ledger: Ledger, state: ConversionState = ConversionState.RUNNING, results_uri: str = ""
    ) -> None:
        self.status = ConversionStatus(
            state=state,
            files=ledger.counts,
            failures=ledger.failures(MAX_REPORTED_FAILURES),
            results_uri=results_uri,
        )
