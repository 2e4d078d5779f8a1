import numpy as np
import pytest

from rvc.errors import TrainingFailed
from rvc.training.last_test import require_sound


@pytest.mark.parametrize("sample", [0.0, np.nan])
def test_a_voice_without_sound_is_a_training_that_failed(sample: float) -> None:
    with pytest.raises(TrainingFailed) as raised:
        require_sound(np.full(32000, sample, np.float32))
    assert raised.value.reason == "VoiceIsSilent"
