import dataclasses
import io
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
import torch

from rvc.architectures import TrainingRun, architecture
from rvc.contract import Architecture, Precision, TrainingSettings
from rvc.errors import InvalidConfiguration
from rvc.light import batches
from rvc.light.batches import _neighbours
from rvc.light.schedule import Schedule
from rvc.parallel import SINGLE
from tests.fixtures.activations import most_kept
from tests.light.timeline import tiny_training_set


class UnheededAdversary(Schedule):
    def adversary_weight(self, step: int) -> float:
        return 0.0


CPU = torch.device("cpu")
SETTINGS = TrainingSettings(
    architecture=Architecture.LIGHT,
    sample_rate_hertz=16000,
    epochs=10,
    batch_size=2,
    precision=Precision.FP32,
)


def start(settings: TrainingSettings = SETTINGS) -> TrainingRun:
    dataset = tiny_training_set(settings.sample_rate_hertz)
    return architecture(settings.architecture).start_training(dataset, settings, None, CPU, SINGLE)


def start_with_adversary() -> TrainingRun:
    """At the first step of the adversary, of networks that have learnt nothing yet."""
    settings = changed(epochs=150)
    run = start(settings)
    begin = Schedule(settings.epochs, run.steps_per_epoch).first_adversarial_step
    run.load_state_dict({**run.state_dict(), "steps_done": begin})
    return run


def steps(run: TrainingRun, count: int) -> list[dict[str, float]]:
    return [{name: float(value) for name, value in run.step().items()} for _ in range(count)]


def test_losses_fall() -> None:
    losses = steps(start(), 40)
    for name in ("spectral", "mel"):
        first, last = (sum(loss[name] for loss in part) for part in (losses[:5], losses[-5:]))
        assert last < 0.8 * first


def test_an_epoch_is_one_pass_over_the_seconds() -> None:
    assert start().steps_per_epoch == 4
    assert start(changed(batch_size=16)).steps_per_epoch == 1


def test_the_same_seed_gives_the_same_steps_and_another_seed_others() -> None:
    assert steps(start(), 3) == steps(start(), 3)
    assert steps(start(), 3) != steps(start(changed(seed=1)), 3)


@pytest.mark.parametrize("begin", [start, start_with_adversary])
def test_a_run_goes_on_from_its_saved_state_as_if_it_had_never_stopped(
    begin: Callable[[], TrainingRun],
) -> None:
    run = begin()
    steps(run, 3)
    saved, done = io.BytesIO(), run.steps_done
    torch.save(run.state_dict(), saved)
    uninterrupted = steps(run, 4)
    resumed = begin()
    steps(resumed, 1)
    resumed.load_state_dict(torch.load(io.BytesIO(saved.getvalue()), weights_only=True))
    assert resumed.steps_done == done
    assert steps(resumed, 4) == uninterrupted
    for name, tensor in run.export().items():
        assert torch.equal(tensor, resumed.export()[name])


def test_the_adversary_learns_and_leads_the_synthesizer_elsewhere() -> None:
    run = start_with_adversary()
    losses = steps(run, 12)
    assert losses[0].keys() == {"spectral", "mel", "discriminator", "adversarial", "featureMatching"}
    first, last = (sum(loss["discriminator"] for loss in part) for part in (losses[:3], losses[-3:]))
    assert last < 0.9 * first
    heeded = run.export()
    ignored = start_with_adversary()
    ignored._schedule = UnheededAdversary(**vars(ignored._schedule))
    steps(ignored, 12)
    distance = sum((heeded[name] - other).square().sum() for name, other in ignored.export().items())
    # Without its influence the two would be equal to the last bit.
    assert distance > 1e-5


def test_parts_of_a_batch_change_memory_and_nothing_else() -> None:
    whole, parted = start(changed(batch_size=6)), start(changed(batch_size=6, batch_parts=3))
    most = most_kept(whole.step), most_kept(parted.step)
    assert most[1] < 0.7 * most[0]
    for ours, theirs in zip(steps(parted, 3), steps(whole, 3), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_a_short_training_has_no_adversary() -> None:
    run = start(changed(epochs=1))
    assert steps(run, run.steps_per_epoch)[-1].keys() == {"spectral", "mel"}


def test_a_state_of_another_network_is_refused() -> None:
    state = start().state_dict()
    del state["network"]["enter.weight"]
    with pytest.raises(RuntimeError, match=r"enter\.weight"):
        start().load_state_dict(state)


@pytest.mark.parametrize("rate", [32000, 40000, 48000])
def test_every_rate_trains_and_speaks(rate: int) -> None:
    run = start(changed(sample_rate_hertz=rate))
    assert all(torch.isfinite(loss) for loss in run.step().values())
    synthesizer = architecture(Architecture.LIGHT).load(run.export(), rate, run.hyperparameters, CPU)
    assert synthesizer.sample_rate_hertz == rate


@pytest.mark.parametrize("rate", [16000, 40000])
def test_bfloat16_trains(rate: int) -> None:
    run = start(changed(precision=Precision.BF16, sample_rate_hertz=rate, epochs=150))
    run.load_state_dict({**run.state_dict(), "steps_done": 599})
    losses = run.step()
    assert "adversarial" in losses
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_float16_is_refused() -> None:
    with pytest.raises(InvalidConfiguration, match="FP16"):
        start(changed(precision=Precision.FP16))


def test_a_dataset_of_a_single_clip_has_no_neighbours_but_trains() -> None:
    dataset = tiny_training_set()
    single = dataclasses.replace(dataset, clip_rows=dataset.clip_rows[[0, -1]])
    run = architecture(Architecture.LIGHT).start_training(single, SETTINGS, None, CPU, SINGLE)
    assert all(torch.isfinite(loss) for loss in run.step().values())


def test_neighbours_are_of_other_clips_or_the_row_itself() -> None:
    dataset = tiny_training_set()
    rows = len(dataset.content)
    clips = np.array([0, rows - 2, rows])
    _, nearest = _neighbours(dataclasses.replace(dataset, clip_rows=clips), CPU)
    assert {tuple(sorted(found)) for found in nearest[: rows - 2].tolist()} == {(-1, -1, rows - 2, rows - 1)}
    assert 0 <= nearest[rows - 2 :].min() <= nearest[rows - 2 :].max() < rows - 2
    _, none = _neighbours(dataclasses.replace(dataset, clip_rows=clips[[0, -1]]), CPU)
    assert (none == -1).all()


def test_content_without_neighbours_is_not_blurred(monkeypatch: pytest.MonkeyPatch) -> None:
    for noise in ("_ROW_NOISE", "_SEGMENT_NOISE"):
        monkeypatch.setattr(batches, noise, 0.0)
    dataset = tiny_training_set()
    single = dataclasses.replace(dataset, clip_rows=dataset.clip_rows[[0, -1]])
    drawn = batches.Batches(single, 4, torch.Generator().manual_seed(0), CPU)
    starts = torch.tensor([0, 7, 50, 111])
    recorded = np.stack([dataset.content[start : start + batches.SEGMENT_ROWS] for start in starts])
    np.testing.assert_allclose(drawn._content(starts), recorded, atol=1e-6)


def changed(**changes: object) -> TrainingSettings:
    return msgspec.structs.replace(SETTINGS, **changes)
