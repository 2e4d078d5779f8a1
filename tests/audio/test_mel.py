import librosa
import numpy as np
import pytest

from rvc.audio.mel import slaney_mel_filters


@pytest.mark.parametrize(
    ("rate", "fft", "bands", "low", "high"),
    [(16000, 400, 80, 0.0, 8000.0), (16000, 1024, 128, 0.0, 8000.0), (40000, 2048, 128, 30.0, 16000.0)],
)
def test_filters_are_those_of_librosa(rate, fft, bands, low, high):
    expected = librosa.filters.mel(sr=rate, n_fft=fft, n_mels=bands, fmin=low, fmax=high)
    np.testing.assert_allclose(slaney_mel_filters(rate, fft, bands, low, high), expected, atol=1e-7)
