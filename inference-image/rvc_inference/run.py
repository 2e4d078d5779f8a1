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
from pathlib import Path

from rvc.contract import MAX_REPORTED_FAILURES, ConversionRequest, ConversionState, ConversionStatus
from rvc.errors import AcceleratorError, PermissionDenied, RvcError, StoreUnavailable
from rvc.store import open_store
from rvc_inference.files import Places, convert_file, failed, skipped, with_store_retries
from rvc_inference.inputs import check_request, input_prefix, list_inputs
from rvc_inference.plan import Job, plan_jobs, refuse_overwriting
from rvc_inference.results import FileResult, Ledger, Outcome, ResultsFolder, Summary, fingerprint
from rvc_inference.voices import Voices

log = logging.getLogger(__name__)

RETRIABLE = (StoreUnavailable, PermissionDenied, AcceleratorError)
STORE_FAILURES_IN_A_ROW = 3
"""So many files in a row that the store did not give or take, after all tries, end the conversion."""
SECONDS_BETWEEN_RECORDS = 3.0
"""Outcomes of so many seconds may have to be found again after a crash."""


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

    def abandon(self) -> None:
        """Ask for an end within one tile of audio."""
        self._abandoned.set()

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
        records = ResultsFolder(places.outputs, places.output_prefix, self.uid)
        wait = self._abandoned.wait
        inputs = with_store_retries(
            lambda: records.frozen_inputs() or records.freeze_inputs(list_inputs(self.request)), wait
        )
        jobs, others = plan_jobs(inputs, self.request.output.format, named=bool(self.request.input.object))
        refuse_overwriting(jobs, input_prefix(self.request), self.request.output.prefix)

        # 2. Every file gets an outcome; a file that an earlier run of this conversion finished keeps its own.
        ledger = Ledger(records, total=len(inputs))
        for source in others:
            ledger.note(skipped(source, self._fingerprint))
        self._show(ledger)
        earlier = with_store_retries(records.earlier_results, wait)
        try:
            yield from self._convert_all(jobs, places, earlier, ledger)
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

    def _convert_all(
        self, jobs: list[Job], places: Places, earlier: Mapping[str, FileResult], ledger: Ledger
    ) -> Generator[None]:
        """Note an outcome for each job; one that the store fails has another turn after the others."""
        waiting = deque(jobs)
        unavailable_in_a_row = 0
        recorded_at = time.monotonic()
        while waiting:
            job = waiting.popleft()
            try:
                ledger.note(self._finished(job, places, earlier) or self._convert(job, places))
                unavailable_in_a_row = 0
            except StoreUnavailable:
                unavailable_in_a_row += 1
                if unavailable_in_a_row == STORE_FAILURES_IN_A_ROW:
                    raise
                waiting.append(job)
            self._show(ledger)
            if time.monotonic() - recorded_at > SECONDS_BETWEEN_RECORDS:
                with_store_retries(ledger.record, self._abandoned.wait)
                recorded_at = time.monotonic()
            yield

    def _finished(self, job: Job, places: Places, earlier: Mapping[str, FileResult]) -> FileResult | None:
        """What an earlier run noted for the job, if its output is what it was then."""
        result = earlier.get(job.source.name)
        if result is None or result.outcome is not Outcome.SUCCEEDED:
            return None
        if (result.source, result.fingerprint) != (job.source, self._fingerprint):
            return None
        found = places.outputs.stat(places.output_prefix + job.output_name)
        same = found is not None and (found.size, found.etag) == (result.output_size, result.output_etag)
        return result if same else None

    def _convert(self, job: Job, places: Places) -> FileResult:
        converter = self._voices.get(self.request.voice)
        try:
            result = convert_file(
                job,
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
            result = failed(job, self._fingerprint, RvcError.reason, message)
        self._on_result(result)
        return result

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
