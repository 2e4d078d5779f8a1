import librosa
import numpy as np

from rvc.pitch.crepe import most_likely_path, pitch_hertz, refined_hertz, smoothed

LOW, HIGH = 39, 308


def librosa_path(salience: np.ndarray) -> np.ndarray:
    allowed = np.full_like(salience, -np.inf)
    allowed[:, LOW:HIGH] = salience[:, LOW:HIGH]
    likelihood = np.exp(allowed) / np.exp(allowed).sum(axis=1, keepdims=True)
    first, second = np.meshgrid(range(360), range(360))
    steps = np.maximum(12 - abs(first - second), 0.0)
    return librosa.sequence.viterbi(likelihood.T, steps / steps.sum(axis=1, keepdims=True))


def test_the_path_is_the_likeliest():
    generator = np.random.default_rng(3)
    for frames in (1, 2, 60):
        salience = generator.random((frames, 360)) ** 4
        np.testing.assert_array_equal(most_likely_path(salience), librosa_path(salience))


def test_the_path_passes_over_a_single_octave_error():
    salience = np.zeros((21, 360))
    salience[:, 150] = 0.9
    salience[10, [150, 210]] = 0.3, 0.9
    assert (most_likely_path(salience) == 150).all()


def test_the_path_stays_within_50_and_1100_hertz():
    salience = np.zeros((4, 360))
    salience[:2, 2] = salience[2:, 358] = 1.0
    hertz = pitch_hertz(most_likely_path(salience))
    assert (hertz > 49).all()
    assert (hertz < 1101).all()


def test_f0_lies_between_pitches():
    salience = np.exp(-((np.arange(360) - 150.4) ** 2) / 4)[None]
    found = refined_hertz(salience, np.array([150]))
    assert abs(1200 * np.log2(found / pitch_hertz(np.array(150.4)))) < 1


def test_a_frame_alone_is_not_smoothed():
    mean, median = smoothed(np.array([100.0]), np.array([0.3]))
    assert (mean[0], median[0]) == (100.0, 0.3)


def test_smoothing_takes_the_frames_that_there_are():
    mean, median = smoothed(np.array([100.0, 200.0, 600.0]), np.array([0.1, 0.9, 0.2]))
    np.testing.assert_allclose(mean, [150, 300, 400])
    np.testing.assert_allclose(median, [0.1, 0.2, 0.2])
