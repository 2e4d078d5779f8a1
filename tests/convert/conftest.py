"""A voice that hums, and a converter that speaks with it."""

from pathlib import Path

import pytest

from rvc.convert import Converter
from rvc.voice import Voice
from tests.fixtures.base_models import base_models
from tests.fixtures.voices import CPU, RATE_HERTZ, humming_voice

__all__ = ["CPU", "RATE_HERTZ", "base_models"]


@pytest.fixture(scope="session")
def voice(tmp_path_factory: pytest.TempPathFactory, base_models: Path) -> Voice:
    return humming_voice(tmp_path_factory.mktemp("voice"), base_models)


@pytest.fixture(scope="session")
def converter(voice: Voice, base_models: Path) -> Converter:
    return Converter(voice, base_models, CPU)
