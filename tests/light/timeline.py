"""A tiny voice to learn: sung vowels whose formants the content spells out."""

import numpy as np

from rvc.architectures import TrainingSet

DIMENSION = 8


def tiny_training_set(sample_rate_hertz: int = 16000, seconds: int = 8) -> TrainingSet:
    """Harmonics with one moving resonance; content is the resonance in a few coordinates."""
    random = np.random.default_rng(1)
    rows = 50 * seconds
    hop = sample_rate_hertz // 100
    resonance = np.interp(
        np.arange(rows), np.arange(0, rows + 25, 25), random.uniform(0.2, 0.8, rows // 25 + 1)
    )
    angles = np.outer(resonance, np.arange(1, DIMENSION + 1)) * 3
    content = np.sqrt(2) * np.sin(angles)
    f0 = np.interp(np.arange(2 * rows), [0, rows, 2 * rows], [150, 220, 170]).astype(np.float32)
    time = np.arange(2 * rows * hop) / hop
    track = np.interp(time, np.arange(2 * rows), f0)
    centre = 3000 * np.interp(time / 2, np.arange(rows), resonance)
    phase = 2 * np.pi * np.cumsum(track) / sample_rate_hertz
    sound = np.zeros_like(phase)
    for harmonic in range(1, 25):
        sound += np.sin(harmonic * phase) / (1 + ((harmonic * track - centre) / 300) ** 2)
    sound = 0.3 * sound / np.abs(sound).max() + 0.003 * random.standard_normal(len(sound))
    f0[(np.arange(2 * rows) // 40) % 4 == 3] = 0
    return TrainingSet(
        sample_rate_hertz=sample_rate_hertz,
        content=content.astype(np.float32),
        f0_hertz=f0,
        loudness=np.zeros(2 * rows, np.float32),
        audio=sound.astype(np.float32),
        clip_rows=np.arange(0, rows + 1, 50),
        clip_speakers=np.zeros(rows // 50, np.int64),
        speakers=1,
        digest="sha256:" + "0" * 64,
    )
