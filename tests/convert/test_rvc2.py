"""Conversion and streaming with the networks of RVC2, untrained and small."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from rvc.contract import ConversionParameters, PitchMethod
from rvc.rvc2.synthesizer import RVC2Synthesizer
from rvc.source import Hearing, Source, Transposition
from rvc.streaming import StreamSettings, VoiceStream
from rvc.tiles import TileSettings, VoiceTiles
from tests.convert.attentive import RVC2, source_of
from tests.convert.test_source import FakePitch
from tests.fixtures.sounds import voice_like
from tests.rvc2.small import small_geometry, small_network

RATE_HERTZ = 32000
SETTINGS = TileSettings(index_rate=0, protect=0.5, speaker_id=1)


@pytest.fixture(scope="module")
def tiles() -> VoiceTiles:
    geometry = small_geometry(rate=RATE_HERTZ)
    weights = small_network(geometry).state_dict()
    synthesizer = RVC2Synthesizer(weights, RATE_HERTZ, geometry.to_dict(), torch.device("cpu"))
    return VoiceTiles(synthesizer, index=None, content_moments=None, level_moments=None)


class Bands:
    """Content that tells the sound: log magnitudes, many times over."""

    dimension = 768

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        rows = -(-len(audio) // 320)
        frames = np.pad(audio, (0, rows * 320 + 80 - len(audio)))
        windows = np.lib.stride_tricks.sliding_window_view(frames, 400)[::320][:rows]
        magnitudes = np.abs(np.fft.rfft(windows * np.hanning(400)))[:, :192]
        return np.tile(np.log1p(magnitudes), 4).astype(np.float32)


def source(frames: int, padding_frames: int = 100) -> Source:
    total = frames + 2 * padding_frames
    audio = voice_like(total / 100, 150.0)
    voiced = np.arange(total) % 90 > 20
    bare = source_of(np.zeros(total // 2), padding_frames, voiced)
    return dataclasses.replace(bare, content=Bands()(audio), audio=audio)


def in_tiles_of(tiles: VoiceTiles, frames: int, overlap: int) -> VoiceTiles:
    synthesizer = copy.copy(tiles.synthesizer)
    synthesizer.tile_frames, synthesizer.overlap_frames = frames, overlap  # type: ignore[misc]
    return dataclasses.replace(tiles, synthesizer=synthesizer)


def test_tiles_are_nearly_the_whole(tiles: VoiceTiles) -> None:
    heard = source(800)
    whole, cut = (
        np.concatenate(list(in_tiles_of(tiles, frames, 10).synthesize(heard, SETTINGS)))
        for frames in (10**6, 200)
    )
    assert len(whole) == len(cut) == 800 * RATE_HERTZ // 100
    assert np.corrcoef(whole, cut)[0, 1] > 0.999


def test_there_is_no_seam(tiles: VoiceTiles) -> None:
    heard = source(800)
    sound = np.concatenate(list(in_tiles_of(tiles, 200, 10).synthesize(heard, SETTINGS)))
    jumps = np.abs(np.diff(sound))
    joins = np.arange(200, 800, 200) * RATE_HERTZ // 100
    assert jumps[joins - 1].max() < np.percentile(jumps, 99)


class Live:
    """Stands in for a converter of the tiny voice."""

    encoder = Bands()

    def __init__(self, tiles: VoiceTiles) -> None:
        self.tiles = tiles

    def pitch_extractor(self, method: PitchMethod) -> FakePitch:
        return FakePitch()

    def hearing(self, parameters: ConversionParameters, pitch: object) -> Hearing:
        return Hearing(RVC2, 100, Transposition(0), filter_radius=0)


def test_a_stream_does_not_depend_on_its_chunks_but_a_little(tiles: VoiceTiles) -> None:
    audio = voice_like(6.0, 150.0)
    parameters = ConversionParameters(rms_mix_rate_percent=100)
    sounds = []
    for chunk in (30, 600):
        settings = StreamSettings(chunk_frames=chunk, look_ahead_frames=30, past_frames=200)
        stream = VoiceStream(Live(tiles), parameters, settings=settings)  # type: ignore[arg-type]
        sounds.append(np.concatenate([stream.push(audio), stream.finish()]))
    assert len(sounds[0]) == len(sounds[1]) == 6 * RATE_HERTZ
    assert np.corrcoef(*sounds)[0, 1] > 0.99
