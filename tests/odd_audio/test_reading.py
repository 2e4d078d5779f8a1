from pathlib import Path

import numpy as np
import pytest

from rvc.audio import load_audio
from rvc.errors import InvalidAudio
from tests.odd_audio.cases import READ, Case, all_cases

CASES = all_cases()


def test_there_are_500_of_them() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 500


@pytest.mark.timeout(30)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_has_an_outcome(tmp_path, case: Case) -> None:
    path = case.write(tmp_path)
    outcome, message = outcome_of(path)
    assert not case.outcomes or outcome in case.outcomes
    if outcome != READ:
        assert message.startswith(f"{case.name}: ")
        assert ";" in message, "it says what to do"
    assert list(tmp_path.iterdir()) == [path]


def outcome_of(path: Path) -> tuple[str, str]:
    try:
        audio = load_audio(path, 16000)
    except InvalidAudio as error:
        return error.reason, str(error)
    assert len(audio) > 0
    assert np.isfinite(audio).all()
    return READ, ""
