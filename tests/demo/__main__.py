"""`make demo`: from recordings to a voice to converted recordings, on a real Kubernetes, nothing mocked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import soundfile

from rvc.audio import ANALYSIS_RATE_HERTZ, load_audio
from rvc.base_models import default_folder
from rvc.base_models.fetch import fetch_base_models
from rvc.quality.speaker import SpeakerEncoder, load_speaker_encoder
from tests.cluster.layout import ClusterError
from tests.demo import cluster, speech, stores
from tests.demo.debian import cache_folder
from tests.demo.watch import DemoFailed, follow, settled

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "build" / "demo"
NAMESPACE = "rvc-demo"
MINUTES = float(os.environ.get("DEMO_MINUTES", "10"))
DEADLINE_SECONDS = 1800


def main() -> int:
    """The demo in numbered steps; 0 only if the voice and every Conversion are Ready."""
    started = time.monotonic()
    try:
        run(started)
    except (DemoFailed, ClusterError, RuntimeError, subprocess.CalledProcessError) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    return 0


def run(started: float) -> None:
    """Every step, in the order in which the README tells it."""
    kind = stores.choose()
    say(1, "A Kubernetes cluster, our three images, the operator")
    kubectl, images = cluster.ready()

    say(2, f"{MINUTES:g} minutes of a speaker's recordings, and another speaker's to convert")
    data = cache_folder() / "demo"
    shutil.rmtree(data, ignore_errors=True)
    speech.write_dataset(data / "recordings" / "allison", data / "held-out", MINUTES)
    speech.write_sources(data / "inbox")
    fetch_base_models(default_folder(), print)
    encoder = load_speaker_encoder(default_folder())
    assert encoder is not None, "its weights were fetched"
    cluster.own_namespace(kubectl, NAMESPACE)
    place = stores.place(kind, kubectl, NAMESPACE, images["trainer"])
    place.empty()
    with place.files() as files:
        files.upload(data / "recordings", "recordings")
        files.upload(data / "inbox", "inbox")

    say(3, place.title)
    applied = time.monotonic()
    place.apply_samples()
    follow(kubectl, NAMESPACE, count=3, deadline_seconds=DEADLINE_SECONDS)
    waited = time.monotonic() - applied

    say(4, f"{place.title}, once more: nothing changes")
    before = settled(kubectl, NAMESPACE)
    place.apply_samples()
    if settled(kubectl, NAMESPACE) != before:
        raise DemoFailed("applying the same files again changed an object or started another Job")
    print(kubectl("get", "voices", "-n", NAMESPACE), kubectl("get", "conversions", "-n", NAMESPACE), sep="\n")

    say(5, "The converted recordings")
    with place.files() as files:
        shutil.rmtree(OUTPUT, ignore_errors=True)
        files.download("converted", OUTPUT)
    report(data, encoder)
    total = time.monotonic() - started
    print(f"\nThe files are in {OUTPUT}. From `kubectl apply` to converted files: {waited / 60:.1f} minutes;")
    print(f"all of the demo: {total / 60:.1f} minutes. `make down` removes the cluster.")


def report(data: Path, encoder: SpeakerEncoder) -> None:
    """Similarity to the target of every converted file, beside its source."""
    target = encoder.mean(heard(path) for path in sorted((data / "held-out").glob("*.wav")))
    print(f"  {'cosine to the target voice (d-vector)':44} source  converted")
    scores = []
    for path in sorted(path for path in OUTPUT.rglob("*.*") if "_conversion" not in path.parts):
        source = next((data / "inbox").rglob(f"{path.stem}.*"))
        pair = [float(encoder(heard(each)) @ target) for each in (source, path)]
        scores.append(pair)
        name, seconds = str(path.relative_to(OUTPUT)), soundfile.info(path).duration
        print(f"  {name:44} {pair[0]:.3f}   {pair[1]:.3f}   {seconds:.1f} s")
    mean = [sum(column) / len(scores) for column in zip(*scores, strict=True)]
    print(f"  {'mean (recordings of one speaker: 0.92)':44} {mean[0]:.3f}   {mean[1]:.3f}")


def heard(path: Path) -> np.ndarray:
    """A recording as the speaker encoder wants it."""
    return load_audio(path, ANALYSIS_RATE_HERTZ)


def say(number: int, text: str) -> None:
    """Headline of a step."""
    print(f"\n{number}. {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
