"""Whether this server can convert: once the voice it was started for is loaded; before, it says why not."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from rvc.contract import VoiceReference
from rvc.errors import PermissionDenied, RvcError, StoreUnavailable, Terminated
from rvc.pod import event
from rvc_inference.pauses import Pauses
from rvc_inference.voices import Voices

log = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 30.0


@dataclass(frozen=True)
class Readiness:
    """What `/readyz` says; an empty reason means ready."""

    reason: str = ""
    message: str = ""


class ServedVoice:
    """Loads the served voice in the background; tries again while the store is the trouble."""

    def __init__(self, voices: Voices, reference: VoiceReference | None) -> None:
        self._voices = voices
        self._reference = reference
        self._stopped = threading.Event()
        self._pauses = Pauses(self._stopped)
        self.readiness = Readiness("VoiceLoading", "the voice is being fetched and verified")
        self._thread = threading.Thread(target=self._load, name="served-voice", daemon=True)

    def start(self) -> None:
        """Begin to load."""
        self._thread.start()

    def stop(self) -> None:
        """No longer ready, and no more tries."""
        self._stopped.set()
        self.readiness = Readiness("ShuttingDown", "the server is shutting down")

    def _load(self) -> None:
        pause = 1.0
        while not self._stopped.is_set():
            readiness, again = self._try()
            if self._stopped.is_set():
                return
            self.readiness = readiness
            if not again:
                return
            self._stopped.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _try(self) -> tuple[Readiness, bool]:
        if self._reference is None:
            return Readiness(), False
        try:
            self._voices.get(self._reference, self._pauses.sleep)
        except Terminated as error:
            return Readiness(error.reason, str(error)), False
        except RvcError as error:
            again = isinstance(error, StoreUnavailable | PermissionDenied)
            message = f"{self._reference.uri}: {error}"
            event(
                log, "voice not loaded", level=logging.ERROR, reason=error.reason, detail=message, again=again
            )
            return Readiness(error.reason, message), again
        except Exception as error:
            log.exception("voice not loaded")
            return Readiness(
                RvcError.reason, f"{self._reference.uri}: {type(error).__name__}: {error}"
            ), False
        return Readiness(), False
