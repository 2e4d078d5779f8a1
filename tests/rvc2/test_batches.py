from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from rvc.architectures import TrainingSet
from rvc.dataset.pieces import even_loudness
from rvc.pitch.quantise import pitch_bins
from rvc.rvc2.batches import Batches, pieces_of
from rvc.rvc2.spectrogram import Spectrograms
from tests.rvc2.small import small_geometry, small_training_set

CPU = torch.device("cpu")
GEOMETRY = small_geometry()
SEGMENT_FRAMES = 40
HOP = GEOMETRY.hop


def batches(dataset: TrainingSet, batch_size: int = 2, seed: int = 0) -> Batches:
    return Batches(dataset, GEOMETRY, SEGMENT_FRAMES, batch_size, seed, CPU)


def with_clips(bounds: list[int], speakers: list[int]) -> TrainingSet:
    """Clips of six seconds, which need not be all of them."""
    return replace(
        small_training_set(),
        clip_rows=np.array(bounds),
        clip_speakers=np.array(speakers),
        speakers=max(speakers) + 1,
    )


DATASET = with_clips([0, 10, 11, 60, 300], [0, 0, 1, 2])
"""Two clips shorter than an excerpt, one of them of a single row; a last one of two pieces."""


def test_pieces_cover_all_clips_and_belong_to_their_speakers() -> None:
    pieces = pieces_of(DATASET)
    covered = np.zeros(300, bool)
    for piece in pieces:
        covered[piece.first_row : piece.first_row + piece.rows] = True
    assert covered.all()
    assert [(piece.rows, piece.speaker) for piece in pieces] == [(10, 0), (1, 0), (49, 1), (185, 2), (70, 2)]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 8])
def test_every_epoch_has_every_piece_in_whole_batches(batch_size: int) -> None:
    drawing = batches(DATASET, batch_size)
    orders = []
    for epoch in range(3):
        steps = range(epoch * drawing.steps_per_epoch, (epoch + 1) * drawing.steps_per_epoch)
        drawn = [drawing.draw(step).pieces for step in steps]
        assert all(len(pieces) == batch_size for pieces in drawn)
        orders.append([piece.first_row for pieces in drawn for piece in pieces])
        counts = Counter(orders[-1])
        assert set(counts) == {piece.first_row for piece in pieces_of(DATASET)}
        assert max(counts.values()) - min(counts.values()) <= 1
    assert orders[0] != orders[1] or orders[1] != orders[2]


def test_a_draw_depends_on_seed_and_step_alone() -> None:
    one, other = batches(DATASET), batches(DATASET)
    other.draw(0)
    ours, theirs = one.draw(5), other.draw(5)
    assert ours.pieces == theirs.pieces
    assert torch.equal(ours.posterior_noise, theirs.posterior_noise)
    assert torch.equal(ours.slice_frames, theirs.slice_frames)
    assert not torch.equal(ours.source_noise, one.draw(6).source_noise)
    assert not torch.equal(ours.source_noise, batches(DATASET, seed=1).draw(5).source_noise)


def test_a_batch_is_what_was_recorded() -> None:
    drawing, spectrograms = batches(DATASET, 5), Spectrograms(GEOMETRY)
    draw = drawing.draw(0)
    batch = drawing.gather(draw, spectrograms)
    assert batch.features.content.shape[:2] == (5, 370)
    for i, piece in enumerate(draw.pieces):
        rows = slice(piece.first_row, piece.first_row + piece.rows)
        frames = slice(2 * rows.start, 2 * rows.stop)
        content = batch.features.content[i]
        np.testing.assert_array_equal(content[: piece.frames : 2], DATASET.content[rows])
        np.testing.assert_array_equal(content[1 : piece.frames : 2], DATASET.content[rows])
        assert not content[piece.frames :].any()
        assert batch.features.f0_hertz is not None
        assert batch.features.pitch is not None
        np.testing.assert_array_equal(batch.features.f0_hertz[i, : piece.frames], DATASET.f0_hertz[frames])
        np.testing.assert_array_equal(
            batch.features.pitch[i, : piece.frames], pitch_bins(DATASET.f0_hertz[frames])
        )
        sound = even_loudness(DATASET.audio[frames.start * HOP : frames.stop * HOP])
        silent = np.pad(sound, (0, max(0, SEGMENT_FRAMES * HOP - len(sound))))
        start = int(draw.slice_frames[i])
        excerpt = silent[start * HOP : (start + SEGMENT_FRAMES) * HOP]
        np.testing.assert_allclose(batch.recorded[i, 0], excerpt, atol=1e-6)
        magnitudes = spectrograms.magnitudes(torch.from_numpy(silent)[None])[0, :, : piece.frames]
        torch.testing.assert_close(batch.spectrogram[i, :, : piece.frames], magnitudes, atol=1e-4, rtol=1e-4)
        assert not batch.spectrogram[i, :, piece.frames :].any()
    assert batch.features.speaker.tolist() == [piece.speaker for piece in draw.pieces]


def test_excerpts_begin_anywhere_that_they_fit() -> None:
    drawing = batches(with_clips([0, 25], [0]), 1)
    starts = {int(drawing.draw(step).slice_frames) for step in range(200)}
    assert starts == set(range(11))


def test_a_part_of_a_draw_is_that_part_of_its_batch() -> None:
    drawing, spectrograms = batches(DATASET, 5), Spectrograms(GEOMETRY)
    draw = drawing.draw(1)
    whole, part = drawing.gather(draw, spectrograms), drawing.gather(draw.part(slice(1, 3)), spectrograms)
    assert torch.equal(part.features.content, whole.features.content[1:3])
    assert torch.equal(part.spectrogram, whole.spectrogram[1:3])
    assert torch.equal(part.recorded, whole.recorded[1:3])
    assert torch.equal(part.posterior_noise, whole.posterior_noise[1:3])
