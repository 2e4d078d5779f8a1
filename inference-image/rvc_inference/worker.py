"""The conversions of this server and the one thread that works on them, a file of each in turn.

In turn, so that a single file does not wait for a folder of ten thousand. The HTTP side only reads and writes
the register, and never waits for audio.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from rvc.contract import ConversionRequest, ConversionState, ConversionStatus
from rvc.errors import AcceleratorError, RvcError, Terminated
from rvc.pod import event
from rvc_inference.results import FileResult, Outcome
from rvc_inference.run import Conversion
from rvc_inference.voices import Voices

log = logging.getLogger(__name__)

REMEMBERED_CONVERSIONS = 1000
"""Ended conversions that a `GET` still finds; the operator deletes each when it has read the end."""
ENDED = (ConversionState.FINISHED, ConversionState.FAILED)


class Conflict(RvcError):
    """The same uid was given another conversion."""

    reason = "Conflict"


class ShuttingDown(RvcError):
    """Nothing new is begun."""

    reason = "ShuttingDown"


class Work(Protocol):
    """What gets turns at the thread."""

    @property
    def uid(self) -> str:
        """Name for the log."""

    @property
    def status(self) -> ConversionStatus:
        """How far it is."""

    @property
    def abandoned(self) -> bool:
        """Whether no further turn is to be taken."""

    def abandon(self) -> None:
        """Ask for an end soon."""

    def fail(self, error: Exception) -> None:
        """Note what ended it."""

    def steps(self) -> Generator[None]:
        """Do the work, pausing after each turn."""


class Worker:
    """Register of conversions, by uid and index of the shard, and the thread that converts."""

    def __init__(self, voices: Voices, scratch: Path) -> None:
        self._voices = voices
        self._scratch = scratch
        self._register: dict[tuple[str, int], Conversion] = {}
        self._turns: deque[tuple[Work, Generator[None]]] = deque()
        self._changed = threading.Condition()
        self._under_way: Work | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="converter", daemon=True)
        self.defect = ""
        """Why only a new process can help; empty while all is well."""
        self.files: Counter[Outcome] = Counter()
        self.audio_seconds = 0.0
        self.busy_seconds = 0.0

    def start(self) -> None:
        """Begin to work on what comes."""
        self._thread.start()

    def close(self) -> None:
        """Begin nothing new, abandon what runs, return when nothing does; the outputs so far are complete."""
        with self._changed:
            self._closing = True
            conversions = list(self._register.values())
            self._changed.notify()
            waiting = [work for work, _ in self._turns]
        for work in {*conversions, *waiting, *filter(None, [self._under_way])}:
            work.abandon()
        for conversion in conversions:
            with suppress(RvcError):
                conversion.spare()
        self._thread.join()

    def put(self, uid: str, request: ConversionRequest) -> tuple[ConversionStatus, bool]:
        """Take on a conversion, or a shard of it; the status, and whether it is new work.

        The same request again is no new work, unless it failed in a way that another try may mend. Raises
        `Conflict` for another request under the same uid and index.
        """
        name = uid, request.shard.index
        with self._changed:
            if self._closing:
                raise ShuttingDown("the server is shutting down; ask another one")
            known = self._register.get(name)
            if known is not None and known.request != request:
                raise Conflict(f"conversion {uid} is already here with another request; DELETE it first")
            if known is not None and not known.status.retriable:
                return known.status, False
            conversion = Conversion(uid, request, self._voices, self._scratch, self._count)
            self._forget_oldest()
            self._register.pop(name, None)
            self._register[name] = conversion
            self._turns.append((conversion, conversion.steps()))
            self._changed.notify()
            return conversion.status, True

    def take(self, work: Work) -> None:
        """Give `work` its turns among the conversions; raises `ShuttingDown`."""
        with self._changed:
            if self._closing:
                raise ShuttingDown("the server is shutting down; ask another one")
            self._turns.append((work, work.steps()))
            self._changed.notify()

    def get(self, uid: str, shard: int = 0) -> ConversionStatus | None:
        """Status of a conversion, or of a shard of it, None if it is not here."""
        conversion = self._register.get((uid, shard))
        return None if conversion is None else conversion.status

    def delete(self, uid: str, shard: int = 0) -> bool:
        """Stop and forget a conversion, or a shard of it; whether it was here."""
        with self._changed:
            conversion = self._register.pop((uid, shard), None)
        if conversion is not None:
            conversion.abandon()
        return conversion is not None

    def by_state(self) -> Counter[ConversionState]:
        """Conversions that are here, by state."""
        with self._changed:
            return Counter(conversion.status.state for conversion in self._register.values())

    @property
    def alive(self) -> bool:
        """Whether the thread works."""
        return self._thread.is_alive()

    def _work(self) -> None:
        while (turn := self._next_turn()) is not None:
            conversion, steps = turn
            begun = time.monotonic()
            if self._step(conversion, steps):
                with self._changed:
                    self._turns.append(turn)
            self.busy_seconds += time.monotonic() - begun

    def _next_turn(self) -> tuple[Work, Generator[None]] | None:
        """Whose turn it is, waiting if it is nobody's; None when there is nothing left to do at the end."""
        with self._changed:
            self._under_way = None
            self._changed.wait_for(lambda: self._turns or self._closing)
            if not self._turns:
                return None
            turn = self._turns.popleft()
            self._under_way = turn[0]
            return turn

    def _step(self, conversion: Work, steps: Generator[None]) -> bool:
        """Work on one file; whether there is more to do."""
        try:
            if conversion.abandoned:
                steps.close()
                raise Terminated("abandoned")
            next(steps)
            return True
        except StopIteration:
            event(log, "conversion finished", uid=conversion.uid, files=conversion.status.files)
        except Terminated:
            event(log, "conversion abandoned", uid=conversion.uid)
        except Exception as error:
            conversion.fail(error)
            if isinstance(error, AcceleratorError) and error.reason == AcceleratorError.reason:
                self.defect = str(error)
            event(
                log,
                "conversion failed",
                level=logging.ERROR,
                uid=conversion.uid,
                reason=conversion.status.reason,
                detail=conversion.status.message,
                retriable=conversion.status.retriable,
            )
        return False

    def _count(self, result: FileResult) -> None:
        self.files[result.outcome] += 1
        self.audio_seconds += result.seconds

    def _forget_oldest(self) -> None:
        if len(self._register) >= REMEMBERED_CONVERSIONS:
            ended = [name for name, known in self._register.items() if known.status.state in ENDED]
            for name in ended[: len(self._register) - REMEMBERED_CONVERSIONS + 1]:
                del self._register[name]
