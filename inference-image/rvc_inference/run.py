"""One conversion, from the listing of its inputs to its summary, in steps between which others get their
turn.

A file's outcome is the file's own: bad audio or a missing input fails it and the batch goes on. A store or a
card that fails ends the whole conversion, and the next run of it, here or elsewhere, redoes nothing that is
done.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rvc.contract import MAX_REPORTED_FAILURES, ConversionRequest, ConversionState, ConversionStatus
from rvc.errors import AcceleratorError, PermissionDenied, RvcError, StoreUnavailable, Terminated
from rvc.pod import event
from rvc.store import open_store
from rvc_inference.files import Places, convert_file, failed, skipped, with_store_retries
from rvc_inference.inputs import check_request, input_prefix, list_inputs
from rvc_inference.plan import Job, plan_jobs, refuse_overwriting
from rvc_inference.results import Begun, FileResult, Ledger, Outcome, ResultsFolder, Summary, fingerprint
from rvc_inference.voices import Voices

log = logging.getLogger(__name__)

RETRIABLE = (StoreUnavailable, PermissionDenied, AcceleratorError)
STORE_FAILURES_IN_A_ROW = 3
"""So many files in a row that the store did not give or take, after all tries, end the conversion."""
SERVERS_PER_FILE = 3
"""So many servers may die (of memory, of a decoder's defect) while they convert one file."""
SECONDS_BETWEEN_RECORDS = 3.0
"""Outcomes of so many seconds may have to be found again after a crash."""


@dataclass(frozen=True)
class _Batch:
    """What there is beside the jobs while they are worked on."""

    places: Places
    records: ResultsFolder
    ledger: Ledger
    earlier: Mapping[str, FileResult]
    """Outcomes of an earlier run, by the input's name."""
    begun: Begun | None
    """The file that an earlier server died with."""


class Conversion:
    """A conversion in this server: `steps` is its work, `status` how far it is, `abandon` ends it early."""

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
        self.status = ConversionStatus(state=ConversionState.RUNNING)

        # 1. What there is to do is noted once; objects added later do not join.
        check_request(self.request)
        places = self._open_places()
        records = self._records = ResultsFolder(places.outputs, places.output_prefix, self.uid)
        wait = self._abandoned.wait
        inputs = with_store_retries(
            lambda: records.frozen_inputs() or records.freeze_inputs(list_inputs(self.request)), wait
        )
        jobs, others = plan_jobs(inputs, self.request.output.format, named=bool(self.request.input.object))
        refuse_overwriting(jobs, input_prefix(self.request), self.request.output.prefix)

        # 2. Every file gets an outcome; a file that an earlier run of this conversion finished keeps its own.
        ledger = Ledger(records, total=len(jobs))
        for source in others:
            ledger.note(skipped(source, self._fingerprint))
        self._show(ledger)
        earlier = with_store_retries(records.earlier_results, wait)
        batch = _Batch(places, records, ledger, earlier, with_store_retries(records.begun, wait))
        try:
            yield from self._convert_all(jobs, batch)
        finally:
            with_store_retries(ledger.record, wait)

        # 3. The summary comes last, as the sign that everything else is there.
        summary = Summary(self.request, ledger.counts, ledger.audio_seconds, ledger.failures())
        with_store_retries(lambda: records.write_summary(summary), wait)
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

    def _convert_all(self, jobs: list[Job], batch: _Batch) -> Generator[None]:
        """Note an outcome for each job; one that the store fails has another turn after the others."""
        waiting = deque(jobs)
        unavailable_in_a_row = 0
        recorded_at = time.monotonic()
        while waiting:
            job = waiting.popleft()
            try:
                batch.ledger.note(self._finished(job, batch) or self._convert(job, batch))
                unavailable_in_a_row = 0
            except StoreUnavailable:
                unavailable_in_a_row += 1
                if unavailable_in_a_row == STORE_FAILURES_IN_A_ROW:
                    raise
                waiting.append(job)
            self._show(batch.ledger)
            if time.monotonic() - recorded_at > SECONDS_BETWEEN_RECORDS:
                with_store_retries(batch.ledger.record, self._abandoned.wait)
                recorded_at = time.monotonic()
            yield

    def _finished(self, job: Job, batch: _Batch) -> FileResult | None:
        """What an earlier run noted for the job, if its output is what it was then."""
        result = batch.earlier.get(job.source.name)
        if result is None or result.outcome is not Outcome.SUCCEEDED:
            return None
        if (result.source, result.fingerprint) != (job.source, self._fingerprint):
            return None
        key = batch.places.output_prefix + job.output_name
        found = with_store_retries(lambda: batch.places.outputs.stat(key), self._abandoned.wait)
        same = found is not None and (found.size, found.etag) == (result.output_size, result.output_etag)
        return result if same else None

    def _convert(self, job: Job, batch: _Batch) -> FileResult:
        """Convert, with a note in the store meanwhile: should this server die of it, the next one knows."""
        deaths = batch.begun.times if batch.begun and batch.begun.name == job.source.name else 0
        begun = Begun(job.source.name, deaths + 1)
        with_store_retries(lambda: batch.records.note_begun(begun), self._abandoned.wait)
        try:
            if deaths >= SERVERS_PER_FILE:
                message = f"{deaths} servers died while they converted it; it may be too large or damaged"
                result = failed(job, self._fingerprint, "ServerDied", message)
            else:
                result = self._converted(job, batch.places)
        finally:
            self._forget_begun(batch.records)
        self._on_result(result)
        return result

    def _forget_begun(self, records: ResultsFolder) -> None:
        """Take the note back; one that stays is replaced by the next file's, and costs no outcome."""
        try:
            with_store_retries(records.forget_begun, self._abandoned.wait)
        except (StoreUnavailable, PermissionDenied, Terminated) as error:
            event(log, "the note on a file under way stays", level=logging.WARNING, detail=str(error))

    def _converted(self, job: Job, places: Places) -> FileResult:
        """Convert; an error that nobody expected is the file's, for the next file may be different."""
        converter = self._voices.get(self.request.voice)
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
        inputs, input_key = open_store(input_prefix(self.request), settings)
        outputs, output_key = open_store(self.request.output.prefix, settings)
        return Places(inputs, input_key, outputs, output_key)

    def _show(
        self, ledger: Ledger, state: ConversionState = ConversionState.RUNNING, results_uri: str = ""
    ) -> None:
        self.status = ConversionStatus(
            state=state,
            files=ledger.counts,
            failures=ledger.failures(MAX_REPORTED_FAILURES),
            results_uri=results_uri,
        )
