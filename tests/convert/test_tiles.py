import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from rvc.architectures import Conventions, architecture
from rvc.audio import SpooledAudio
from rvc.content import load_content_encoder
from rvc.contract import ContentEncoder, PitchMethod
from rvc.errors import ArtifactCorrupt
from rvc.pitch import load_pitch
from rvc.signal import Moments
from rvc.source import Hearing, Source, Transposition, analyse
from rvc.tiles import (
    INDEX_ROWS,
    MEDIAN_F0,
    TileSettings,
    VoiceTiles,
    index_rows_of,
    synthesizer_tensors,
    voice_tensors,
)
from rvc.voice import Voice
from tests.fixtures.sounds import voice_like

CPU = torch.device("cpu")
LIGHT = Conventions(standardizes_content=True, levels_speech=True, gates_f0=True)
HEARING = Hearing(LIGHT, padding_frames=0, transposition=Transposition(5), filter_radius=3)
SETTINGS = TileSettings(index_rate=0.75, protect=0.33, speaker_id=0)


@pytest.fixture(scope="module")
def tiles(voice: Voice) -> VoiceTiles:
    return VoiceTiles.load(voice, architecture(voice.manifest.architecture), CPU)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, base_models: Path) -> Source:
    return analysed(recording(), tmp_path_factory.mktemp("source"), base_models)


def recording() -> np.ndarray:
    """Nine seconds, voiced and not, by turns."""
    hiss = 0.05 * np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    parts = [voice_like(2.0, 140.0), hiss, voice_like(2.0, 190.0), hiss, voice_like(3.0, 120.0)]
    return np.concatenate(parts)


def analysed(audio: np.ndarray, folder: Path, base_models: Path) -> Source:
    soundfile.write(folder / "source.wav", audio, 16000, subtype="FLOAT")
    with SpooledAudio.open(folder / "source.wav", folder) as spool:
        return analyse(
            spool,
            folder,
            load_content_encoder(ContentEncoder.AUTO, base_models, CPU),
            load_pitch(PitchMethod.AUTO, base_models, CPU),
            HEARING,
        )


def in_tiles_of(tiles: VoiceTiles, frames: int) -> VoiceTiles:
    synthesizer = copy.copy(tiles.synthesizer)
    synthesizer.tile_frames = frames  # type: ignore[misc]
    return dataclasses.replace(tiles, synthesizer=synthesizer)


def spoken(tiles: VoiceTiles, source: Source, settings: TileSettings = SETTINGS) -> np.ndarray:
    return np.concatenate(list(tiles.synthesize(source, settings)))


@pytest.mark.parametrize("tile_frames", [100, 333])
def test_tiles_of_any_size_make_the_same_sound(tiles: VoiceTiles, source: Source, tile_frames: int) -> None:
    whole = spoken(in_tiles_of(tiles, 10**6), source)
    assert len(whole) == source.frames * 320
    assert np.abs(whole).max() > 0.01
    cut = spoken(in_tiles_of(tiles, tile_frames), source)
    np.testing.assert_allclose(cut, whole, rtol=0, atol=1e-4 * np.abs(whole).max())


def test_the_analysis_hears_what_is_there(source: Source) -> None:
    assert source.frames == 900
    assert not source.voiced[220:280].any()
    assert np.median(source.f0_hertz[20:180]) == pytest.approx(140 * 2 ** (5 / 12), rel=0.02)
    assert (source.f0_hertz > 0).all()
    assert len(source.content) == 450


def test_retrieval_and_protection_change_what_they_should(tiles: VoiceTiles, source: Source) -> None:
    def content(index_rate: float, protect: float) -> np.ndarray:
        settings = TileSettings(index_rate=index_rate, protect=protect, speaker_id=0)
        return tiles.window_content(source, 0, 900, source.content_moments, settings)

    own, unprotected, protected = content(0, 0.33), content(0.75, 0.5), content(0.75, 0.33)
    voiced = source.voiced
    assert np.abs(unprotected - own).max() > 0.1
    assert np.array_equal(protected[voiced], unprotected[voiced])
    np.testing.assert_allclose(
        protected[~voiced], 0.33 * unprotected[~voiced] + 0.67 * own[~voiced], rtol=0, atol=1e-5
    )


def test_a_speaker_is_pulled_towards_no_other_one(tiles: VoiceTiles, source: Source) -> None:
    assert tiles.index is not None
    rows = {0: range(200), 1: range(200, 500)}
    several = dataclasses.replace(tiles, index_rows=rows)
    for speaker in range(3):
        settings = TileSettings(index_rate=1.0, protect=0.5, speaker_id=speaker)
        content = several.window_content(source, 0, 900, None, settings)
        of_speaker = tiles.index.part(rows.get(speaker))
        expected = of_speaker.mix(source.content[:450].astype(np.float32), 1.0)
        np.testing.assert_array_equal(content, tiles.synthesizer.expand_content(expected)[:900])
    alone, of_all = (
        one.window_content(source, 0, 900, None, TileSettings(index_rate=1.0, protect=0.5, speaker_id=1))
        for one in (several, tiles)
    )
    assert np.abs(alone - of_all).max() > 0.01


def test_rows_of_the_index_are_told_by_speaker() -> None:
    told = {MEDIAN_F0: 100.0, f"{INDEX_ROWS}.1": 5.0, f"{INDEX_ROWS}.0": 7.0, f"{INDEX_ROWS}.3": 1.0}
    assert index_rows_of(told) == {0: range(7), 1: range(7, 12)}
    assert index_rows_of({MEDIAN_F0: 100.0}) == {}


def test_tensors_of_a_voice_come_apart_again() -> None:
    own = {"a.weight": torch.arange(3.0)}
    ones = np.ones(2, np.float32)
    named = voice_tensors(own, Moments(7, ones, ones), Moments(9, ones[:1], ones[:1]))
    assert set(named) == {"synthesizer.a.weight"} | {
        f"{which}.{part}" for which in ("content", "level") for part in ("count", "mean", "deviation")
    }
    assert torch.equal(synthesizer_tensors(named)["a.weight"], own["a.weight"])


def test_a_voice_without_statistics_is_refused(voice: Voice) -> None:
    class Bare:
        manifest = voice.manifest
        index = staticmethod(voice.index)

        @staticmethod
        def tensors() -> dict[str, torch.Tensor]:
            return {name: tensor for name, tensor in voice.tensors().items() if name != "level.mean"}

    with pytest.raises(ArtifactCorrupt, match=r"level\.mean"):
        VoiceTiles.load(Bare(), architecture(voice.manifest.architecture), CPU)  # type: ignore[arg-type]


@pytest.mark.parametrize("factor", [1e-2, 8.0])
def test_recordings_of_any_level_are_analysed_alike(
    tmp_path: Path, base_models: Path, source: Source, factor: float
) -> None:
    levelled = analysed(factor * recording(), tmp_path, base_models)
    np.testing.assert_allclose(levelled.levels, source.levels, atol=0.1)
    np.testing.assert_allclose(levelled.f0_hertz, source.f0_hertz, rtol=0.01)
    imposed, own = (one.loudness_gain * np.abs(one.audio).max() for one in (levelled, source))
    assert imposed == pytest.approx(min(factor * own, 0.95), rel=1e-3)
