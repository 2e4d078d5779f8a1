import pytest
import torch

from rvc.light.adversary import CROP_FRAMES, RESOLUTIONS, Adversary
from rvc.light.geometry import Geometry

GEOMETRY = Geometry(16000)
BINS = 65


def spectrograms(count: int, generator: torch.Generator) -> torch.Tensor:
    """Every one different, on average 1."""
    return torch.empty(count, BINS, CROP_FRAMES + 20).exponential_(generator=generator)


def test_it_leads_from_the_average_of_recordings_to_what_they_are_like() -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    adversary = Adversary(GEOMETRY)
    optimizer = torch.optim.Adam(adversary.parameters())
    spread = torch.full((), 0.3, requires_grad=True)
    led, averaged = [], []
    for step in range(40):
        synthesized, recorded = spectrograms(2, generator) ** spread, spectrograms(2, generator)
        verdict = adversary([synthesized] * RESOLUTIONS, [recorded] * RESOLUTIONS, generator)
        if step >= 30:
            led += torch.autograd.grad(verdict.adversarial, spread, retain_graph=True)
            distance = (synthesized.log() - recorded.log()).abs().mean()
            averaged += torch.autograd.grad(distance, spread, retain_graph=True)
        own = torch.autograd.grad(verdict.discriminator, list(adversary.parameters()))
        for weight, gradient in zip(adversary.parameters(), own, strict=True):
            weight.grad = gradient
        optimizer.step()
    # Less of the adversary's loss is where more is spread, less distance where all is the same.
    assert max(led) < 0 < min(averaged)


def test_what_is_told_apart_is_learnt_and_what_is_equal_matches() -> None:
    generator = torch.Generator().manual_seed(0)
    adversary = Adversary(GEOMETRY)
    recorded = [spectrograms(2, generator)[..., :CROP_FRAMES]] * RESOLUTIONS
    verdict = adversary(recorded, recorded, generator)
    assert verdict.feature_matching == 0
    assert verdict.discriminator.item() > 0


@pytest.mark.parametrize("frames", [20, CROP_FRAMES, 3 * CROP_FRAMES])
def test_spectrograms_of_any_length_are_judged_by_a_part(frames: int) -> None:
    generator = torch.Generator().manual_seed(0)
    synthesized = torch.rand(2, BINS, frames, requires_grad=True)
    verdict = Adversary(GEOMETRY)(
        [synthesized] * RESOLUTIONS, [torch.rand(2, BINS, frames)] * RESOLUTIONS, generator
    )
    (gradient,) = torch.autograd.grad(verdict.feature_matching, synthesized)
    seen = int((gradient != 0).any(0).any(0).sum())
    assert min(frames, CROP_FRAMES) <= seen <= min(frames, RESOLUTIONS * CROP_FRAMES)


def test_crops_are_drawn_by_the_generator_alone() -> None:
    adversary = Adversary(GEOMETRY)
    recorded, synthesized = torch.rand(2, 2, BINS, 300).unbind()
    verdicts = [
        adversary([synthesized] * 2, [recorded] * 2, torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    ]
    assert verdicts[0].discriminator == verdicts[1].discriminator
    assert verdicts[0].discriminator != verdicts[2].discriminator


def test_high_rates_are_judged_by_bands_as_wide_as_all_of_16_kilohertz() -> None:
    generator = torch.Generator().manual_seed(0)
    geometry = Geometry(40000)
    bins = [window // 2 + 1 for window, _ in geometry.loss_windows[:RESOLUTIONS]]
    highest = []
    for _ in range(24):
        synthesized = [torch.rand(1, count, CROP_FRAMES, requires_grad=True) for count in bins]
        recorded = [torch.rand(1, count, CROP_FRAMES) for count in bins]
        verdict = Adversary(geometry)(synthesized, recorded, generator)
        for gradient, window in zip(
            torch.autograd.grad(verdict.feature_matching, synthesized), bins, strict=True
        ):
            seen = (gradient != 0).any(-1)[0].nonzero()
            highest.append(int(seen.max()) / window)
            assert 0.9 * 8000 < (seen.max() - seen.min()) * 20000 / window <= 8000
    assert min(highest) < 0.41
    assert max(highest) > 0.7
