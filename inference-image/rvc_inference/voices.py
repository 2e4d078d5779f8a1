"""Voices in memory: fetched, verified against the digest that was asked for, and only then loaded.

The voice that this server was started for stays; of others, which conversions pinned to an older revision ask
for, the last few do.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from rvc.contract import AudioFormat, ConversionParameters, VoiceReference
from rvc.pod import event
from rvc.provenance import Provenance
from rvc_inference.pauses import Sleep

log = logging.getLogger(__name__)

KEPT_VOICES = 3
"""Voices in memory at once, the served one among them."""


class Converted(Protocol):
    """What a converter says about its output."""

    @property
    def seconds(self) -> float:
        """Length of the audio."""


class VoiceConverter(Protocol):
    """A loaded voice, as this server knows it."""

    def convert(
        self,
        input: Path,
        output: Path,
        parameters: ConversionParameters,
        format: AudioFormat,
        scratch: Path,
        *,
        stop: Callable[[], bool],
        name: str,
        provenance: Provenance,
    ) -> Converted:
        """Write `output`, complete and labelled as `provenance` says; messages call the recording `name`.
        Raises `InvalidAudio`, or `Terminated` soon after `stop` became true."""


VoiceLoader = Callable[[VoiceReference, Path, Sleep], VoiceConverter]
"""Fetches a voice into a new folder, verifies it and loads it."""


class Voices:
    """A small cache; all threads may ask, one voice is loaded at a time."""

    def __init__(self, load: VoiceLoader, scratch: Path, served: VoiceReference | None) -> None:
        self._load = load
        self._scratch = scratch
        self._served = served
        self._loaded: OrderedDict[VoiceReference, VoiceConverter] = OrderedDict()
        self._lock = threading.Lock()
        self.last_load_seconds = 0.0

    def get(self, reference: VoiceReference, sleep: Sleep) -> VoiceConverter:
        """The voice, loaded if need be; raises the errors of `rvc.errors` when it cannot be, and what `sleep`
        raises while the store is waited for."""
        with self._lock:
            if reference not in self._loaded:
                self._make_room()
                self._loaded[reference] = self._fetch_and_load(reference, sleep)
            self._loaded.move_to_end(reference)
            return self._loaded[reference]

    def _fetch_and_load(self, reference: VoiceReference, sleep: Sleep) -> VoiceConverter:
        begun = time.monotonic()
        folder = self._folder(reference)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            voice = self._load(reference, folder, sleep)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self.last_load_seconds = time.monotonic() - begun
        event(
            log,
            "voice loaded",
            uri=reference.uri,
            digest=reference.manifest_digest,
            seconds=self.last_load_seconds,
        )
        return voice

    def _make_room(self) -> None:
        others = [reference for reference in self._loaded if reference != self._served]
        while len(self._loaded) >= KEPT_VOICES:
            oldest = others.pop(0)
            del self._loaded[oldest]
            shutil.rmtree(self._folder(oldest), ignore_errors=True)

    def _folder(self, reference: VoiceReference) -> Path:
        return self._scratch / reference.manifest_digest.replace(":", "-")
