"""Independent programs that read the labels back."""

import json
import shutil
import subprocess
from pathlib import Path

import av
import pytest


def by_pyav(path: Path) -> dict[str, str]:
    """Metadata of file and stream, as the ffmpeg libraries inside PyAV see them."""
    with av.open(str(path)) as file:
        return {**file.metadata, **file.streams[0].metadata}


def by_ffprobe(path: Path) -> dict[str, str]:
    """The same, as the program ffprobe of this machine prints it."""
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not installed (apt-get install ffmpeg)")
    asked = ["ffprobe", "-v", "error", "-show_entries", "format_tags:stream_tags", "-of", "json", str(path)]
    answer = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert answer.stderr == ""
    found = json.loads(answer.stdout)
    return {**found["format"].get("tags", {}), **found["streams"][0].get("tags", {})}


READERS = [by_pyav, by_ffprobe]
