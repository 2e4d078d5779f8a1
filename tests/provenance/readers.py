"""Independent programs that read the labels back."""

import json
import subprocess
from functools import cache
from pathlib import Path

import av
import pytest

from tests.cluster import toolbox
from tests.cluster.layout import ClusterError


def by_pyav(path: Path) -> dict[str, str]:
    """Metadata of file and stream, as the ffmpeg libraries inside PyAV see them."""
    with av.open(str(path)) as file:
        return {**file.metadata, **file.streams[0].metadata}


def by_ffprobe(path: Path) -> dict[str, str]:
    """The same, as the program ffprobe prints it."""
    tools = _ffprobe()
    asked = [tools.which("ffprobe"), "-v", "error", "-show_entries", "format_tags:stream_tags"]
    answer = subprocess.run(
        [*asked, "-of", "json", str(path)],
        capture_output=True,
        text=True,
        check=True,
        env=tools.environment,
    )
    assert answer.stderr == ""
    found = json.loads(answer.stdout)
    return {**found["format"].get("tags", {}), **found["streams"][0].get("tags", {})}


@cache
def _ffprobe() -> toolbox.Tools:
    """That of the machine, or Debian's, unpacked in the cache folder; without either the test is skipped."""
    machine = toolbox.Tools(())
    try:
        machine.which("ffprobe")
    except ClusterError:
        try:
            toolbox.require_debian()
        except ClusterError:
            pytest.skip("ffprobe is not installed: install ffmpeg (on Debian 12 it comes by itself)")
        return toolbox.tools("media")
    return machine


READERS = [by_pyav, by_ffprobe]
