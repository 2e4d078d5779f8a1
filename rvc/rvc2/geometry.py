"""Sizes of everything in `RVC2`: the community's positional `config` list with names, and what files say
beside it.

A file's list says all of the generator's sizes but two facts, which stand beside the list: the version (v1
reads content of 256 dimensions, v2 of 768) and whether the voice is pitch-guided. The sizes that only
training knows follow from version and rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from math import prod
from typing import Any, Literal, cast, get_args

from rvc.errors import ArtifactCorrupt, InvalidConfiguration

Version = Literal["v1", "v2"]
OFFICIAL_RATES_HERTZ = (32000, 40000, 48000)
_CONTENT_DIMENSIONS: Mapping[str, int] = {"v1": 256, "v2": 768}
_RESBLOCK = "1"
"""The only kind of residual block that any community voice uses."""
CONFIG_ITEMS = 18
SPEAKER_TABLE = "emb_g.weight"
"""[speakers, channels]: its rows say how many speakers there are, whatever `config` says."""


@dataclass(frozen=True)
class TrainingSizes:
    """What training needs to know beyond the generator's sizes; samples at the voice's rate."""

    filter_length: int
    """Points and window of the spectrograms."""
    hop: int
    """Samples in a frame."""
    mel_bands: int
    """Bands of the mel loss, 0 Hz to Nyquist."""
    segment_samples: int
    """Length of the slice that the decoder and the discriminators see."""


@dataclass(frozen=True)
class Geometry:
    """Sizes of one generator. The first 18 fields are the items of a file's `config`, in its order."""

    spectrogram_bins: int
    """Of the linear spectrogram that the posterior encoder reads; filter length / 2 + 1."""
    segment_frames: int
    """Written as 32 whatever training used; says nothing."""
    inter_channels: int
    """Of the latents z."""
    hidden_channels: int
    filter_channels: int
    """Of the feed-forward layers of the prior encoder."""
    heads: int
    layers: int
    kernel_size: int
    """Of the feed-forward layers."""
    dropout: float
    resblock: str
    resblock_kernels: tuple[int, ...]
    resblock_dilations: tuple[tuple[int, ...], ...]
    upsample_rates: tuple[int, ...]
    """Their product is the hop."""
    upsample_initial_channel: int
    upsample_kernels: tuple[int, ...]
    speakers: int
    """Rows of the table of speakers, of which most are unused."""
    speaker_channels: int
    sample_rate_hertz: int
    version: Version
    f0: bool
    """Whether the voice is pitch-guided."""

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise ArtifactCorrupt(f"the sizes of this RVC voice cannot be: {problem}")

    @property
    def content_dimension(self) -> int:
        """Of the content vectors that the voice reads."""
        return _CONTENT_DIMENSIONS[self.version]

    @property
    def hop(self) -> int:
        """Samples in a frame of a hundredth of a second."""
        return prod(self.upsample_rates)

    @property
    def training(self) -> TrainingSizes:
        """The sizes of the official recipe for this version and rate.

        Raises InvalidConfiguration for a rate or spectrogram that has no recipe.
        """
        sizes = _training_sizes(self.version, self.sample_rate_hertz)
        if sizes.filter_length // 2 + 1 != self.spectrogram_bins or sizes.hop != self.hop:
            raise InvalidConfiguration(
                f"no training recipe for {self.version} at {self.sample_rate_hertz} Hz with "
                f"{self.spectrogram_bins} spectrogram bins and a hop of {self.hop}; the official one has "
                f"{sizes.filter_length // 2 + 1} bins and a hop of {sizes.hop}"
            )
        return sizes

    def with_speakers(self, speakers: int) -> Geometry:
        """The same with another number of speakers; files say it by the rows of `emb_g.weight`."""
        return replace(self, speakers=speakers)

    def to_config(self) -> list[Any]:
        """The `config` of a community file: plain lists, numbers and a string."""
        return [_as_lists(getattr(self, field.name)) for field in fields(self)[:CONFIG_ITEMS]]

    @staticmethod
    def from_config(config: object, version: str, f0: bool) -> Geometry:
        """The inverse of `to_config`. Raises ArtifactCorrupt for a list that is not one."""
        if not isinstance(config, Sequence) or isinstance(config, str) or len(config) != CONFIG_ITEMS:
            length = f" of {len(config)} items" if isinstance(config, Sequence) else ""
            raise ArtifactCorrupt(
                f"`config` of an RVC voice is a list of {CONFIG_ITEMS} items, this is a "
                f"{type(config).__name__}{length}"
            )
        names = (field.name for field in fields(Geometry))
        return Geometry.from_dict(dict(zip(names, [*config, version, f0], strict=True)))

    @staticmethod
    def official(version: Version, sample_rate_hertz: int, f0: bool) -> Geometry:
        """The sizes of the official base models. Raises InvalidConfiguration where there are none."""
        sizes = _training_sizes(version, sample_rate_hertz)
        rates, kernels = _upsampling(version, sample_rate_hertz)
        return Geometry(
            spectrogram_bins=sizes.filter_length // 2 + 1,
            segment_frames=32,
            inter_channels=192,
            hidden_channels=192,
            filter_channels=768,
            heads=2,
            layers=6,
            kernel_size=3,
            dropout=0,
            resblock=_RESBLOCK,
            resblock_kernels=(3, 7, 11),
            resblock_dilations=((1, 3, 5),) * 3,
            upsample_rates=rates,
            upsample_initial_channel=512,
            upsample_kernels=kernels,
            speakers=109,
            speaker_channels=256,
            sample_rate_hertz=sample_rate_hertz,
            version=version,
            f0=f0,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, as a voice's manifest keeps it."""
        return {name: _as_lists(value) for name, value in asdict(self).items()}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Geometry:
        """The inverse of `to_dict`. Raises ArtifactCorrupt for anything else."""
        names = [field.name for field in fields(Geometry)]
        wrong = sorted(set(names) ^ set(values))
        if wrong:
            raise ArtifactCorrupt(f"sizes of an RVC voice that are missing or unknown: {', '.join(wrong)}")
        return Geometry(**{name: _read(name, values[name]) for name in names})


_LISTS = ("resblock_kernels", "upsample_rates", "upsample_kernels")
_LISTS_OF_LISTS = ("resblock_dilations",)


def _read(name: str, value: Any) -> Any:
    """One field of a file, as the type that it has to be."""
    try:
        if name in _LISTS:
            return tuple(_integer(item) for item in value)
        if name in _LISTS_OF_LISTS:
            return tuple(tuple(_integer(item) for item in row) for row in value)
        if name == "version":
            return cast(Version, value)
        if name == "resblock":
            return str(value)
        if name == "f0":
            return bool(_integer(int(value)))
        if name == "dropout":
            return value if isinstance(value, int) else float(value)
        return _integer(value)
    except (TypeError, ValueError) as error:
        raise ArtifactCorrupt(f"{name} of an RVC voice cannot be {value!r}") from error


def _integer(value: Any) -> int:
    """Files hold integers, or (from JSON) floats of integral value."""
    if isinstance(value, bool) or int(value) != value:
        raise ValueError(value)
    return int(value)


def _as_lists(value: Any) -> Any:
    return [_as_lists(item) for item in value] if isinstance(value, list | tuple) else value


def _problem(geometry: Geometry) -> str | None:
    """What keeps these sizes from being a network's, if anything does."""
    if geometry.version not in get_args(Version):
        return f"version {geometry.version!r} is neither v1 nor v2"
    if geometry.resblock != _RESBLOCK:
        return f"residual blocks of kind {geometry.resblock!r}, and only {_RESBLOCK!r} exists in RVC voices"
    for field in fields(Geometry):
        value = getattr(geometry, field.name)
        if type(value) is int and field.name not in ("dropout", "f0") and value < 1:
            return f"{field.name} is {value}"
    rates, kernels = geometry.upsample_rates, geometry.upsample_kernels
    if not rates or len(rates) != len(kernels):
        return f"{len(rates)} upsampling rates for {len(kernels)} kernels"
    if any(
        rate < 1 or kernel < rate or (kernel - rate) % 2 for rate, kernel in zip(rates, kernels, strict=True)
    ):
        return f"upsampling by {list(rates)} with kernels {list(kernels)}"
    if geometry.upsample_initial_channel % 2 ** len(rates):
        return f"{geometry.upsample_initial_channel} channels cannot be halved {len(rates)} times"
    if 100 * geometry.hop != geometry.sample_rate_hertz:
        return f"{geometry.hop} samples in a frame of 10 ms at {geometry.sample_rate_hertz} Hz"
    if any(rate % 2 for rate in rates if rate > 1):
        return f"odd rates of upsampling, {list(rates)}, which no community voice has"
    dilations = geometry.resblock_dilations
    if len(geometry.resblock_kernels) != len(dilations) or not dilations or not all(dilations):
        return "as many kernels as lists of dilations are needed in the residual blocks"
    if any(kernel < 1 or kernel % 2 == 0 for kernel in geometry.resblock_kernels):
        return f"residual blocks with kernels {list(geometry.resblock_kernels)}, which must be odd"
    if geometry.hidden_channels % geometry.heads or geometry.inter_channels % 2:
        return "channels that cannot be divided among heads or into halves"
    return None


def _training_sizes(version: Version, sample_rate_hertz: int) -> TrainingSizes:
    sizes = {
        32000: TrainingSizes(1024, 320, 80, 12800),
        40000: TrainingSizes(2048, 400, 125, 12800),
        48000: TrainingSizes(2048, 480, 128, 11520 if version == "v1" else 17280),
    }
    if sample_rate_hertz not in sizes:
        raise InvalidConfiguration(
            f"RVC voices have 32000, 40000 or 48000 samples a second, not {sample_rate_hertz}"
        )
    return sizes[sample_rate_hertz]


def _upsampling(version: Version, sample_rate_hertz: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(rates, kernels); version 1 has five stages beside 40 kHz, version 2 four everywhere."""
    if sample_rate_hertz == 40000:
        return (10, 10, 2, 2), (16, 16, 4, 4)
    if version == "v2":
        first = {32000: 10, 48000: 12}[sample_rate_hertz]
        second = {32000: 8, 48000: 10}[sample_rate_hertz]
        return (first, second, 2, 2), (2 * first, 2 * second, 4, 4)
    second = {32000: 4, 48000: 6}[sample_rate_hertz]
    return (10, second, 2, 2, 2), (16, 16, 4, 4, 4)
