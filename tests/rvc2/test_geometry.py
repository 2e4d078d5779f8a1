import json
from typing import get_args

import pytest

from rvc.errors import ArtifactCorrupt, InvalidConfiguration
from rvc.rvc2.geometry import OFFICIAL_RATES_HERTZ, Geometry, Version

OFFICIAL_40K = [
    1025, 32, 192, 192, 768, 2, 6, 3, 0, "1", [3, 7, 11], [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    [10, 10, 2, 2], 512, [16, 16, 4, 4], 109, 256, 40000,
]  # fmt: skip
EVERY = [
    (version, rate, f0)
    for version in get_args(Version)
    for rate in OFFICIAL_RATES_HERTZ
    for f0 in (True, False)
]


@pytest.mark.parametrize("version", get_args(Version))
def test_the_official_config_of_40_kilohertz_is_that_of_the_files(version: Version) -> None:
    assert Geometry.official(version, 40000, True).to_config() == OFFICIAL_40K


@pytest.mark.parametrize(("version", "rate", "f0"), EVERY)
def test_a_config_comes_back_and_so_does_json(version: Version, rate: int, f0: bool) -> None:
    geometry = Geometry.official(version, rate, f0)
    assert Geometry.from_config(geometry.to_config(), version, f0) == geometry
    assert Geometry.from_dict(json.loads(json.dumps(geometry.to_dict()))) == geometry
    assert geometry.hop * 100 == rate
    assert geometry.training.hop == geometry.hop
    assert geometry.training.segment_samples % geometry.hop == 0


def test_the_version_decides_the_content() -> None:
    assert Geometry.official("v1", 48000, True).content_dimension == 256
    assert Geometry.official("v2", 48000, True).content_dimension == 768


@pytest.mark.parametrize(
    ("position", "value", "named"),
    [
        (9, "2", "residual blocks of kind"),
        (12, [10, 10, 2], "upsampling rates"),
        (12, [10, 10, 2, 3], "upsampling by"),
        (17, 44100, "44100"),
        (2, "many", "inter_channels"),
        (10, 3, "resblock_kernels"),
        (15, 0, "speakers"),
        (13, 500, "500"),
        (5, 5, "heads"),
        (2, 192.5, "inter_channels"),
    ],
)
def test_a_config_that_cannot_be_is_refused_by_name(position: int, value: object, named: str) -> None:
    config = list(OFFICIAL_40K)
    config[position] = value
    with pytest.raises(ArtifactCorrupt, match=named):
        Geometry.from_config(config, "v2", True)


@pytest.mark.parametrize("config", [None, "config", {}, OFFICIAL_40K[:-1], [*OFFICIAL_40K, 1]])
def test_what_is_not_a_list_of_18_is_refused(config: object) -> None:
    with pytest.raises(ArtifactCorrupt, match="18 items"):
        Geometry.from_config(config, "v2", True)


def test_an_unknown_version_or_field_is_refused() -> None:
    with pytest.raises(ArtifactCorrupt, match="v3"):
        Geometry.from_config(OFFICIAL_40K, "v3", True)
    values = {**Geometry.official("v2", 40000, True).to_dict(), "extra": 1}
    del values["heads"]
    with pytest.raises(ArtifactCorrupt, match="extra, heads"):
        Geometry.from_dict(values)


def test_rates_without_a_recipe_are_a_configuration_error() -> None:
    with pytest.raises(InvalidConfiguration, match="24000"):
        Geometry.official("v2", 24000, True)
