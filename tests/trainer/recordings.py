"""Datasets on a claim, and requests to learn from them."""

from pathlib import Path

import soundfile

from rvc.contract import Architecture, Device, ObjectKey, TrainingRequest, TrainingSettings
from tests.fixtures.sounds import voice_like

SETTINGS = TrainingSettings(
    architecture=Architecture.LIGHT, sample_rate_hertz=32000, epochs=3, batch_size=2, save_every_epochs=1
)


def write_dataset(claim: Path) -> None:
    """Twelve seconds of something like speech in `dataset/`, with files that are none."""
    folder = claim / "dataset"
    (folder / "second session").mkdir(parents=True)
    for number, (place, pitch) in enumerate([("one", 180), ("two", 210), ("second session/three", 240)]):
        soundfile.write(folder / f"{place}.wav", voice_like(4 + number / 10, pitch, 24000), 24000)
    (folder / "text.wav").write_text("I am not a recording\n" * 100)
    (folder / "README.txt").write_text("recorded on a Monday")
    (folder / ".hidden.wav").write_bytes(b"nobody looks")


def request(**changes: object) -> TrainingRequest:
    """A request to train the voice of that dataset."""
    fields: dict[str, object] = {
        "voice": ObjectKey("demo", "ann"),
        "revision": "0123456789",
        "dataset_uri": "pvc://data/dataset/",
        "artifact_uri": "pvc://data/voices/demo/ann/0123456789/",
        "training": SETTINGS,
        "device": Device.CPU,
    }
    return TrainingRequest(**(fields | changes))
