"""A training attempt that is killed after each single operation of the store, and the next one.

The voice is the undisturbed one to the last bit; until it is published nobody finds it; nothing is left over.
"""

import io
import shutil
from pathlib import Path

import pytest
import soundfile

from rvc.contract import (
    Architecture,
    ContentEncoder,
    Device,
    ObjectKey,
    PitchMethod,
    StoreSettings,
    TrainingRequest,
    TrainingSettings,
    encode,
)
from rvc.voice import fetch_voice, find_published
from tests.fixtures.sounds import voice_like
from tests.oss import REGION, OssServer
from tests.oss_runs.kills import for_each, run
from tests.oss_runs.lives import begin, train
from tests.store.support import SimulatedTime, open_oss

PREFIX = "models/ann/1/"
SETTINGS = TrainingSettings(
    architecture=Architecture.LIGHT,
    sample_rate_hertz=16000,
    epochs=3,
    batch_size=4,
    save_every_epochs=1,
    pitch_method=PitchMethod.PRAAT,
    content_encoder=ContentEncoder.SMALL,
)


def bucket_with_recordings(folder: Path) -> OssServer:
    server = OssServer(["voices"], folder=folder)
    bucket = server.buckets["voices"]
    for number in range(2):
        file = io.BytesIO()
        soundfile.write(file, voice_like(5.2, 180 + 40 * number), 16000, format="WAV")
        body = bucket.receive(iter([file.getvalue()]))
        bucket.put(f"recordings/{number}.wav", body, {})
    return server


def request(server: OssServer) -> str:
    return encode(
        TrainingRequest(
            voice=ObjectKey("demo", "ann"),
            revision="1",
            dataset_uri="oss://voices/recordings/",
            artifact_uri=f"oss://voices/{PREFIX}",
            training=SETTINGS,
            device=Device.CPU,
            store=StoreSettings(endpoint=server.endpoint, region=REGION),
        )
    )


class Training:
    """A bucket, and attempts that begin one after the other."""

    def __init__(self, forks, folder: Path) -> None:
        folder.mkdir()
        self._forks = forks
        self.folder = folder
        self.server = bucket_with_recordings(folder)
        self._attempts = 0

    def attempt(self, kill_after: int | None = None) -> tuple[int, int]:
        self._attempts += 1
        folder = self.folder / str(self._attempts)
        return run(self.server, lambda: begin(self._forks, train, folder, request(self.server)), kill_after)

    def log(self) -> str:
        return (self.folder / str(self._attempts) / "log").read_text()

    def digest(self) -> str | None:
        """Of the published voice, which must be whole."""
        store = open_oss(self.server, SimulatedTime())
        published = find_published(store, PREFIX)
        if published is None:
            return None
        fetched = self.folder / "fetched"
        fetch_voice(store, PREFIX, fetched, published.digest)
        for name, entry in published.manifest.files.items():
            assert store.stat(PREFIX + name).size == entry.size
        shutil.rmtree(fetched)
        return published.digest

    def leftovers(self) -> list[str]:
        """What is neither a recording nor a file of the voice."""
        bucket = self.server.buckets["voices"]
        published = find_published(open_oss(self.server, SimulatedTime()), PREFIX)
        voice = {PREFIX + name for name in [*published.manifest.files, "manifest.json"]}
        keys = set(bucket.keys()) - {"recordings/0.wav", "recordings/1.wav"}
        return sorted(keys ^ voice) + [upload.key for upload in bucket.uploads()]

    def __enter__(self) -> "Training":
        self.server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()
        shutil.rmtree(self.folder)


@pytest.mark.timeout(3600)
def test_killed_after_each_operation(forks, tmp_path):
    with Training(forks, tmp_path / "undisturbed") as undisturbed:
        code, operations = undisturbed.attempt()
        assert code == 0, undisturbed.log()
        expected = undisturbed.digest()
        assert undisturbed.leftovers() == []

    def check(number: int) -> bool:
        with Training(forks, tmp_path / str(number)) as training:
            code, done = training.attempt(kill_after=number)
            assert code == (-9 if done >= number else 0), training.log()
            assert training.digest() in (None, expected)
            code, _ = training.attempt()
            assert code == 0, training.log()
            assert training.digest() == expected
            assert training.leftovers() == []
            return done >= number

    for_each(operations, check)
