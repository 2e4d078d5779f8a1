"""A Conversion of twenty files whose server is killed after each single operation of the store, and the next.

Outputs are complete or absent, at the end all are there, each is the undisturbed one, and nothing is left but
what the sweep removes.
"""

import io
import json
import shutil
import time
from pathlib import Path

import pytest
import soundfile

from rvc.contract import (
    Architecture,
    ContentEncoder,
    ConversionInput,
    ConversionOutput,
    ConversionRequest,
    ObjectKey,
    PitchMethod,
    StoreSettings,
    VoiceReference,
    encode,
)
from rvc.voice import EncoderReference, VoiceManifest, publish_voice, write_manifest
from tests.fixtures.sounds import voice_like
from tests.oss import REGION, OssServer
from tests.oss_runs.kills import for_each, run
from tests.oss_runs.lives import begin, convert
from tests.store.support import SimulatedTime, open_oss

FILES = 20
OUT = "converted/"
RECORDS = OUT + "_conversion/u1/"
SOUNDS = [voice_like(0.1, 150 + 5 * number) for number in range(FILES - 1)] + [voice_like(5, 200)]
"""The last one is sent in parts."""


class Converting:
    """A bucket with recordings and a voice, and servers that begin one after the other."""

    def __init__(self, forks, folder: Path) -> None:
        folder.mkdir()
        self._forks = forks
        self.folder = folder
        self.server = OssServer(["voices"], folder=folder)
        self.bucket = self.server.buckets["voices"]
        self._servers = 0

    def convert(self, kill_after: int | None = None) -> tuple[int, int]:
        self._servers += 1
        folder = self.folder / str(self._servers)
        return run(self.server, lambda: begin(self._forks, convert, folder, self._request), kill_after)

    def log(self) -> str:
        return (self.folder / str(self._servers) / "log").read_text()

    def outputs(self) -> dict[str, bytes]:
        """What is published, by name."""
        return {key: self.content(key) for key in self.keys(OUT) if not key.startswith(RECORDS)}

    def keys(self, prefix: str) -> list[str]:
        keys = self.bucket.keys()
        return [key for key in keys if key.startswith(prefix)]

    def content(self, key: str) -> bytes:
        return b"".join(self.bucket.get(key).body.chunks())

    def require_complete(self) -> None:
        """Raise unless the records are those of a conversion that is done."""
        names = [f"{number:02}.wav" for number in range(FILES)]
        lines = [json.loads(line) for line in self.content(RECORDS + "results.jsonl").splitlines()]
        assert [line["source"]["name"] for line in lines] == names
        assert {line["outcome"] for line in lines} == {"Succeeded"}
        assert json.loads(self.content(RECORDS + "results.json"))["files"]["succeeded"] == FILES
        records = {RECORDS + name for name in ("inputs.jsonl", "results.json", "results.jsonl")}
        assert set(self.bucket.keys()) == self._before | records | {OUT + name for name in names}
        open_oss(self.server, SimulatedTime()).sweep(OUT, older_than=time.time() + 2)
        assert self.bucket.uploads() == []

    def __enter__(self) -> "Converting":
        self.server.__enter__()
        for number, sound in enumerate(SOUNDS):
            file = io.BytesIO()
            soundfile.write(file, sound, 16000, format="WAV")
            self.bucket.put(f"inbox/{number:02}.wav", self.bucket.receive(iter([file.getvalue()])), {})
        digest = self._publish_voice()
        self._before = set(self.bucket.keys())
        store = StoreSettings(endpoint=self.server.endpoint, region=REGION)
        self._request = encode(
            ConversionRequest(
                conversion=ObjectKey("demo", "conversion"),
                voice=VoiceReference("oss://voices/models/ann/1/", digest, "1", store=store),
                input=ConversionInput(prefix="oss://voices/inbox/"),
                output=ConversionOutput("oss://voices/" + OUT),
            )
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()
        shutil.rmtree(self.folder)

    def _publish_voice(self) -> str:
        folder = self.folder / "voice"
        folder.mkdir()
        (folder / "voice.safetensors").write_bytes(b"weights")
        manifest = VoiceManifest(
            name="demo/ann",
            revision="1",
            architecture=Architecture.LIGHT,
            sample_rate_hertz=16000,
            content_encoder=EncoderReference(ContentEncoder.SMALL, None, 1),
            pitch_method=PitchMethod.PRAAT,
            parameters=None,
            dataset=None,
        )
        write_manifest(folder, manifest)
        digest, _ = publish_voice(folder, open_oss(self.server, SimulatedTime()), "models/ann/1/")
        return digest


@pytest.mark.timeout(3600)
def test_killed_after_each_operation(forks, tmp_path):
    with Converting(forks, tmp_path / "undisturbed") as undisturbed:
        code, operations = undisturbed.convert()
        assert code == 0, undisturbed.log()
        expected = undisturbed.outputs()
        assert len(expected) == FILES
        undisturbed.require_complete()

    def check(number: int) -> bool:
        with Converting(forks, tmp_path / str(number)) as converting:
            code, done = converting.convert(kill_after=number)
            assert code == (-9 if done >= number else 0), converting.log()
            assert converting.outputs().items() <= expected.items()
            assert not converting.bucket.has(RECORDS + "results.json") or converting.outputs() == expected
            code, _ = converting.convert()
            assert code == 0, converting.log()
            assert converting.outputs() == expected
            converting.require_complete()
            return done >= number

    for_each(operations, check)
