from dataclasses import replace

import numpy as np
import pytest
import torch

from rvc.architectures import Window
from rvc.errors import ArtifactCorrupt, InvalidConfiguration
from rvc.rvc2 import RVC2, RVC2Synthesizer
from rvc.rvc2.geometry import Version
from tests.rvc2.small import random_features, small_geometry, small_network

CPU = torch.device("cpu")


def voice(version: Version = "v2", rate: int = 32000, f0: bool = True) -> RVC2Synthesizer:
    geometry = small_geometry(version, rate, f0)
    tensors = {name: tensor.half() for name, tensor in small_network(geometry).state_dict().items()}
    return RVC2Synthesizer(tensors, rate, geometry.to_dict(), CPU)


def whole_file(speaking: RVC2Synthesizer, frames: int, f0: float | None = None) -> Window:
    random = np.random.default_rng(0)
    track = np.full(frames, f0) if f0 else random.uniform(100, 300, frames)
    voiced = np.ones(frames, bool) if f0 else np.arange(frames) % 40 > 8
    track = track.astype(np.float32)
    rows = random.normal(size=(frames // 2, speaking.content_dimension)).astype(np.float32)
    return Window(
        first_frame=0,
        content=speaking.expand_content(rows),
        f0_hertz=track,
        voiced=voiced,
        phase_cycles=speaking.excitation_phase(track, voiced),
        loudness=np.zeros(frames, np.float32),
        speaker_id=0,
        seed=0,
    )


def part(window: Window, first: int, last: int) -> Window:
    bounds = slice(first, last)
    return replace(
        window,
        first_frame=window.first_frame + first,
        content=window.content[bounds],
        f0_hertz=window.f0_hertz[bounds],
        voiced=window.voiced[bounds],
        phase_cycles=window.phase_cycles[bounds],
        loudness=window.loudness[bounds],
    )


@pytest.mark.parametrize("f0", [True, False])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_sound_is_as_long_as_its_frames_and_the_same_again(version: Version, f0: bool) -> None:
    speaking = voice(version, 40000, f0)
    window = whole_file(speaking, 30)
    sound = speaking.synthesize(window)
    assert sound.shape == (30 * 400,)
    assert sound.dtype == np.float32
    assert np.array_equal(sound, speaking.synthesize(window))
    assert not np.array_equal(sound, speaking.synthesize(replace(window, seed=1)))


def test_noise_and_phase_belong_to_the_place_in_the_file() -> None:
    speaking = voice()
    window = whole_file(speaking, 120)
    tile = part(window, 50, 110)
    hop = speaking.geometry.hop
    torch.testing.assert_close(speaking._prior_noise(tile), speaking._prior_noise(window)[:, :, 50:110])
    noise, whole_noise = speaking._source_noise(tile), speaking._source_noise(window)
    assert noise is not None
    assert whole_noise is not None
    assert torch.equal(noise, whole_noise[:, 50 * hop : 110 * hop])
    features, whole = speaking._features(tile, 1), speaking._features(window, 1)
    start = torch.from_numpy(tile.phase_cycles[:1])
    source = speaking._network.dec.source(features.f0_hertz, start_cycles=start)
    whole_source = speaking._network.dec.source(whole.f0_hertz)
    torch.testing.assert_close(source, whole_source[..., 50 * hop : 110 * hop], atol=1e-6, rtol=0)


def test_noise_is_normal() -> None:
    speaking = voice()
    noise = speaking._source_noise(whole_file(speaking, 400))
    assert noise is not None
    assert abs(float(noise.mean())) < 0.01
    assert abs(float(noise.std()) - 1) < 0.01
    assert abs(float((noise**4).mean()) - 3) < 0.1


def test_decoding_in_blocks_is_decoding_at_once() -> None:
    for version, rate in (("v2", 32000), ("v1", 48000)):
        geometry = small_geometry(version, rate)
        network, features = small_network(geometry), random_features(geometry, [100])
        whole = network.infer(features)
        for block in (17, 40, 99):
            torch.testing.assert_close(network.infer(features, block_frames=block), whole, atol=2e-6, rtol=0)


def test_the_decoder_reaches_no_further_than_it_says() -> None:
    geometry = small_geometry("v2", 40000)
    decoder = small_network(geometry).dec
    reach = decoder.reach_frames
    assert 10 < reach < 20
    z = torch.randn(1, geometry.inter_channels, 80, generator=torch.Generator().manual_seed(0))
    source = decoder.source(torch.full((1, 80), 100.0))
    speaker = torch.zeros(1, geometry.speaker_channels, 1)
    sound = decoder(z, source, speaker)
    z[..., 40], source[..., 40 * 400 : 41 * 400] = 5.0, 0.5
    changed = (decoder(z, source, speaker) - sound).abs()[0, 0].view(80, 400).amax(1) > 0
    heard = changed.nonzero()[:, 0]
    assert 40 - reach <= heard.min() < 40 - reach + 4
    assert 40 + reach - 4 < heard.max() <= 40 + reach


def test_formants_move_and_pitch_stays() -> None:
    geometry = small_geometry()
    tensors = small_network(geometry).state_dict()
    for name, tensor in tensors.items():
        if name.startswith("dec.noise_convs."):
            tensor *= 10  # An untrained decoder hardly listens to the sine.
    speaking = RVC2Synthesizer(tensors, 32000, geometry.to_dict(), CPU)
    window = whole_file(speaking, 200, f0=230.0)
    for ratio in (1.0, 0.84, 1.19):
        sound = speaking.synthesize(replace(window, formant_ratio=ratio))
        assert sound.shape == (64000,)
        assert strongest_hertz(sound, 150, 350) == 230
        # What an untrained decoder has for a formant: a whistle at a quarter of its rate.
        assert strongest_hertz(sound, 5000, 10000) == round(8000 * ratio)


def strongest_hertz(sound: np.ndarray, low: int, high: int) -> int:
    """Of the sines in the middle second, at 32 kHz."""
    spectrum = np.abs(np.fft.rfft(sound[16000:48000] * np.hanning(32000)))
    return low + int(spectrum[low:high].argmax())


def test_protected_unvoiced_frames_have_no_sine() -> None:
    speaking = voice()
    window = whole_file(speaking, 40)
    features = speaking._features(window, 1)
    assert features.f0_hertz is not None
    assert features.pitch is not None
    assert (features.f0_hertz[0].numpy() == 0).tolist() == (~window.voiced).tolist()
    assert (features.pitch[0].numpy()[~window.voiced] == 1).all()


def test_a_speaker_that_there_is_not_is_refused() -> None:
    speaking = voice()
    assert speaking.speakers == 3
    window = whole_file(speaking, 20)
    assert not np.array_equal(speaking.synthesize(window), speaking.synthesize(replace(window, speaker_id=2)))
    with pytest.raises(InvalidConfiguration, match="no speaker 3"):
        speaking.synthesize(replace(window, speaker_id=3))


def test_sizes_and_rate_must_agree() -> None:
    geometry = small_geometry()
    tensors = small_network(geometry).state_dict()
    with pytest.raises(ArtifactCorrupt, match="40000 Hz"):
        RVC2().load(tensors, 40000, geometry.to_dict(), CPU)
    with pytest.raises(ArtifactCorrupt, match="missing"):
        RVC2().load({}, 32000, geometry.to_dict(), CPU)
