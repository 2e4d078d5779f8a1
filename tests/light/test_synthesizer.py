import numpy as np
import pytest
import torch

from rvc.architectures import Synthesizer, Window
from rvc.errors import ArtifactCorrupt
from rvc.light import Light
from rvc.light.geometry import Geometry
from rvc.light.network import Network
from rvc.signal import interpolate_unvoiced, phase_at_frames
from tests.light.timeline import DIMENSION, tiny_training_set

CPU = torch.device("cpu")


def random_voice(rate: int = 16000) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    network = Network(DIMENSION, Geometry(rate))
    with torch.no_grad():
        network.leave.weight.mul_(20)
        network.leave.bias.sub_(3)
    return network.state_dict()


def window(synthesizer: Synthesizer, first: int, last: int) -> Window:
    dataset = tiny_training_set()
    f0 = interpolate_unvoiced(dataset.f0_hertz)
    return Window(
        first_frame=first,
        content=synthesizer.expand_content(dataset.content)[first:last],
        f0_hertz=f0[first:last],
        voiced=(dataset.f0_hertz > 0)[first:last],
        phase_cycles=phase_at_frames(f0)[first:last],
        loudness=dataset.loudness[first:last],
        speaker_id=0,
        seed=7,
    )


@pytest.mark.parametrize("rate", [16000, 40000])
def test_tiles_with_context_equal_the_whole(rate: int) -> None:
    synthesizer = Light().load(random_voice(rate), rate, {}, CPU)
    hop, context = rate // 100, synthesizer.context_frames
    whole = synthesizer.synthesize(window(synthesizer, 0, 800))
    assert np.abs(whole).max() > 0.01
    tiles = []
    for start in range(0, 800, 130):
        end = min(start + 130, 800)
        first, last = max(0, start - context), min(800, end + context)
        sound = synthesizer.synthesize(window(synthesizer, first, last))
        tiles.append(sound[(start - first) * hop : (end - first) * hop])
    np.testing.assert_allclose(np.concatenate(tiles), whole, rtol=0, atol=2e-5 * np.abs(whole).max())


def test_less_context_than_stated_makes_a_difference() -> None:
    synthesizer = Light().load(random_voice(), 16000, {}, CPU)
    whole = synthesizer.synthesize(window(synthesizer, 0, 800))[400 * 160 : 402 * 160]
    bare = synthesizer.synthesize(window(synthesizer, 390, 800))[10 * 160 : 12 * 160]
    assert np.abs(bare - whole).max() > 1e-3 * np.abs(whole).max()


def test_the_same_window_gives_the_same_sound_and_another_seed_other_noise() -> None:
    synthesizer = Light().load(random_voice(), 16000, {}, CPU)
    asked = window(synthesizer, 0, 100)
    sound = synthesizer.synthesize(asked)
    assert np.array_equal(sound, synthesizer.synthesize(asked))
    reseeded = Window(**{**vars(asked), "seed": 8})
    assert not np.array_equal(sound, synthesizer.synthesize(reseeded))


def test_tensors_that_are_no_light_voice_are_refused() -> None:
    tensors = random_voice()
    with pytest.raises(ArtifactCorrupt, match="16000"):
        Light().load({}, 16000, {}, CPU)
    with pytest.raises(ArtifactCorrupt, match="Light voice at 40000"):
        Light().load(tensors, 40000, {}, CPU)
    del tensors["norm.bias"]
    with pytest.raises(ArtifactCorrupt, match=r"norm\.bias"):
        Light().load(tensors, 16000, {}, CPU)


def test_content_is_drawn_in_straight_lines_and_holds_at_the_end() -> None:
    rows = np.array([[0.0], [2.0], [6.0]], np.float32)
    expanded = Light().load(random_voice(), 16000, {}, CPU).expand_content(rows)
    assert expanded[:, 0].tolist() == [0, 1, 2, 4, 6, 6]
