import numpy as np
import pytest
import torch

from rvc.errors import TrainingFailed
from rvc.evaluation import reconstruction_distance
from tests.light.timeline import tiny_training_set


@pytest.mark.parametrize("sample", [0.0, np.nan])
def test_a_voice_without_sound_is_a_training_that_failed(sample: float) -> None:
    class Mute:
        def load(self, *_: object) -> "Mute":
            return self

        def expand_content(self, rows: np.ndarray) -> np.ndarray:
            return rows.repeat(2, axis=0)

        def excitation_phase(self, f0_hertz: np.ndarray, voiced: np.ndarray) -> np.ndarray:
            return np.zeros(len(f0_hertz))

        def synthesize(self, window: object) -> np.ndarray:
            return np.full(16000, sample, np.float32)

    with pytest.raises(TrainingFailed) as raised:
        reconstruction_distance(Mute(), {}, {}, tiny_training_set(), torch.device("cpu"))
    assert raised.value.reason == "VoiceIsSilent"
