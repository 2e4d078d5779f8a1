"""Work for one thread beside training: the newest piece waits for its turn, older ones give way to it.

Training is never behind: while a checkpoint is on its way it may make others, of which only the last is worth
sending.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

from rvc.errors import RvcError, Terminated
from rvc.pod import event

log = logging.getLogger(__name__)
Piece = TypeVar("Piece")


class Background(Generic[Piece]):
    """A thread that does `work` on pieces and lets go of those that are overtaken; a context manager."""

    def __init__(self, work: Callable[[Piece], None], let_go: Callable[[Piece], None]) -> None:
        self._work = work
        self._let_go = let_go
        self._changed = threading.Condition()
        self._waiting: Piece | None = None
        self._busy = False
        self._closing = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="background", daemon=True)

    def put(self, piece: Piece) -> None:
        """Have this worked on next.

        Where the piece before failed it is waited for, and its error raised if it fails as well.
        """
        with self._changed:
            overtaken, self._waiting = self._waiting, piece
            failed_before = self._error is not None
            self._error = None
            self._changed.notify_all()
        if overtaken is not None:
            self._let_go(overtaken)
        if failed_before:
            self.join()

    def settle(self) -> None:
        """Wait until nothing is left to do."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is None and not self._busy)

    def join(self) -> None:
        """Wait until nothing is left to do; raises the error of the last piece if it failed."""
        self.settle()
        with self._changed:
            error, self._error = self._error, None
        if error is not None:
            raise error

    def __enter__(self) -> Background[Piece]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish what is left, whatever happened; a stop that could not be saved is none, and says so."""
        try:
            self.join()
        except RvcError as failure:
            event(log, "the last checkpoint is not saved", level=logging.ERROR, detail=str(failure))
            if isinstance(error, Terminated):
                raise
        finally:
            with self._changed:
                self._closing = True
                self._changed.notify_all()
            self._thread.join()

    def _run(self) -> None:
        while (piece := self._next()) is not None:
            failure: Exception | None = None
            try:
                self._work(piece)
            except Exception as error:
                event(log, "checkpoint not saved yet", level=logging.WARNING, detail=str(error))
                failure = error
            finally:
                self._let_go(piece)
            with self._changed:
                self._busy, self._error = False, failure
                self._changed.notify_all()

    def _next(self) -> Piece | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is not None or self._closing)
            piece, self._waiting = self._waiting, None
            self._busy = piece is not None
            return piece
