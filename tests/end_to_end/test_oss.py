"""A voice's whole life over OSS on a real cluster: Secret, recordings, voice, converted files, no volume."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.demo import speech
from tests.demo.bucket import SECRET, Bucket
from tests.end_to_end.world import GROUP, World, conversion, voice

pytestmark = [pytest.mark.node, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def bucket(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """A bucket with a minute of speech and recordings to convert; no Secret yet."""
    data = tmp_path_factory.mktemp("bucket")
    speech.write_dataset(data / "recordings" / "allison", data / "held-out", minutes=1)
    speech.write_sources(data / "inbox")
    bucket = Bucket(world.kubectl, world.namespace, world.trainer_image)
    bucket.start()
    for name in ("recordings", "inbox"):
        bucket.files.upload(data / name, name)
    yield bucket
    bucket.remove()


def test_a_voice_is_learnt_from_a_bucket_and_speaks_into_it(
    world: World, bucket: Bucket, tmp_path: Path
) -> None:
    """Without its Secret the pod says so; when it comes, everything goes on by itself."""
    world.apply(
        bucket.moved(voice("olga", "recordings/allison")),
        bucket.moved(conversion("over-oss", "olga", input={"prefix": "pvc://voices/inbox/"})),
    )
    waiting = world.until_reason("voicemodel", "olga", "CredentialsMissing")
    assert SECRET in waiting["message"]
    bucket.grant()
    trained = world.until_ready("voicemodel", "olga")
    done = world.until_ready("conversion", "over-oss")

    assert trained["status"]["artifact"]["uri"].startswith("oss://voices/models/")
    files = done["status"]["files"]
    assert files["total"] == files["succeeded"] + files["skipped"] == 8
    bucket.files.download("inbox", tmp_path / "in")
    bucket.files.download("converted/over-oss", tmp_path / "out")
    for source in (path for path in (tmp_path / "in").rglob("*") if path.is_file()):
        spoken, rate = soundfile.read(
            (tmp_path / "out" / source.relative_to(tmp_path / "in")).with_suffix(".wav")
        )
        heard = soundfile.info(source)
        if source.suffix in (".wav", ".flac"):  # Programs differ on the length of the others.
            assert len(spoken) == heard.frames * rate / heard.samplerate
        assert np.sqrt(np.mean(spoken**2)) > 0.01


def test_the_key_is_nowhere_to_be_read(world: World, bucket: Bucket) -> None:
    """Not in objects, events, or logs; pods name the Secret and have no key in their environment."""
    world.until_ready("voicemodel", "olga")
    kinds = "voicemodels,conversions,jobs,deployments,services,pods,configmaps,events"
    texts = [world.kubectl("get", kinds, "-n", world.namespace, "-o", "yaml"), world.story()]
    pods = world.list("pods", f"{GROUP}/component,{GROUP}/voice=olga")
    assert {pod["metadata"]["labels"][f"{GROUP}/component"] for pod in pods} == {"trainer", "server"}
    for pod in pods:
        name = pod["metadata"]["name"]
        texts.append(world.kubectl("logs", "-n", world.namespace, name, "--all-containers", "--tail=-1"))
    texts.append(world.kubectl("logs", "-n", "rvc-system", "deployment/rvc-operator", "--tail=-1"))
    assert all(texts)
    assert "CredentialsMissing" in texts[0]
    assert not any(bucket.key_secret in text for text in texts)
