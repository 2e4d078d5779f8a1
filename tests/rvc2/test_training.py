import io
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import distributed, multiprocessing

from rvc.architectures import VALIDATION
from rvc.base_models import PretrainedPart, pretrained_name
from rvc.base_models.filling import filling, put
from rvc.contract import Precision, TrainingSettings
from rvc.errors import ArtifactCorrupt, InvalidConfiguration
from rvc.parallel import SINGLE, Parallel
from rvc.rvc2 import RVC2
from rvc.rvc2.descent import learning_rate
from rvc.rvc2.state import shapes_of, state_shapes
from rvc.rvc2.training import RVC2Training, Sizes
from tests.fixtures.activations import most_kept
from tests.light.timeline import tiny_training_set
from tests.rvc2.small import losses_of, small_geometry, small_training, small_training_set

CPU = torch.device("cpu")


def test_losses_fall_on_what_is_trained_and_on_what_is_not() -> None:
    held_out = small_training_set(2)
    run = small_training()
    before = run.validate(held_out)[VALIDATION]
    losses = losses_of(run, 40)
    for name, share in (("discriminator", 0.95), ("mel", 0.97), ("kl", 0.5)):
        first, last = (sum(loss[name] for loss in part) for part in (losses[:4], losses[-4:]))
        assert last < share * first, name
    assert run.validate(held_out)[VALIDATION] < 0.98 * before


def test_a_run_goes_on_from_its_saved_state_as_if_it_had_never_stopped() -> None:
    run = small_training()
    losses_of(run, 2)
    run.validate(small_training_set(2))
    saved = io.BytesIO()
    torch.save(run.state_dict(), saved)
    uninterrupted = losses_of(run, 3)
    resumed = small_training()
    resumed.load_state_dict(torch.load(io.BytesIO(saved.getvalue()), weights_only=True))
    assert resumed.steps_done == 2
    assert losses_of(resumed, 3) == uninterrupted
    for name, tensor in run.export().items():
        assert torch.equal(tensor, resumed.export()[name])


def test_validation_is_the_same_again() -> None:
    run, held_out = small_training(), small_training_set(2)
    assert run.validate(held_out) == run.validate(held_out)


def test_the_seed_decides() -> None:
    assert losses_of(small_training(), 1) == losses_of(small_training(), 1)
    assert losses_of(small_training(), 1) != losses_of(small_training(seed=1), 1)


def test_checkpointing_changes_memory_and_nothing_else() -> None:
    assert losses_of(small_training(gradient_checkpointing=True), 2) == losses_of(small_training(), 2)


@pytest.mark.parametrize("parts", [2, 3, 9])
def test_parts_of_a_batch_change_memory_and_nothing_else(parts: int) -> None:
    whole, parted = small_training(batch_size=5), small_training(batch_size=5, batch_parts=parts)
    most = most_kept(whole.step), most_kept(parted.step)
    assert most[1] < 1.2 * most[0] / min(parts, 2)
    for ours, theirs in zip(losses_of(parted, 2), losses_of(whole, 2), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_bfloat16_learns_nearly_the_same() -> None:
    lower = losses_of(small_training(precision=Precision.BF16), 2)[-1]
    full = losses_of(small_training(), 2)[-1]
    assert lower == pytest.approx(full, rel=0.05)
    assert lower != full


def test_float16_is_refused_on_a_cpu() -> None:
    with pytest.raises(InvalidConfiguration, match="FP16"):
        small_training(precision=Precision.FP16)


def test_the_learning_rate_falls_by_the_epoch() -> None:
    assert learning_rate(0) == 1e-4
    assert learning_rate(200) == pytest.approx(1e-4 * 0.999875**200)


def test_a_state_of_other_networks_is_refused() -> None:
    state = small_training().state_dict()
    del state["generator"]["emb_g.weight"]
    with pytest.raises(ArtifactCorrupt, match=r"emb_g\.weight"):
        small_training().load_state_dict(state)


def test_clips_shorter_than_an_excerpt_train() -> None:
    dataset = small_training_set()
    short = replace(dataset, clip_rows=np.array([0, 1, 4, 300]), clip_speakers=np.array([0, 0, 0]))
    run = small_training(short, batch_size=4)
    assert all(np.isfinite(value) for value in losses_of(run, 1)[0].values())
    assert np.isfinite(run.validate(short)[VALIDATION])


def test_more_speakers_than_there_is_room_for_are_refused() -> None:
    with pytest.raises(InvalidConfiguration, match=r"4 speakers.* room for 3"):
        small_training(replace(small_training_set(), speakers=4))


def test_content_that_no_base_model_reads_is_refused() -> None:
    with pytest.raises(InvalidConfiguration, match="ContentVec"):
        RVC2().start_training(tiny_training_set(32000), TrainingSettings(), None, CPU, SINGLE)


def test_official_sizes_follow_from_content_and_rate() -> None:
    dataset = small_training_set()
    sizes = Sizes.official(dataset)
    assert (sizes.geometry.version, sizes.segment_frames, sizes.discriminator_width) == ("v2", 40, 1024)
    assert Sizes.official(replace(dataset, sample_rate_hertz=48000)).segment_frames == 36
    narrow = replace(dataset, content=dataset.content[:, :256], sample_rate_hertz=48000)
    assert Sizes.official(narrow).geometry.version == "v1"
    assert Sizes.official(narrow).segment_frames == 24


def test_an_export_is_a_community_voice() -> None:
    run = small_training()
    tensors = run.export()
    assert shapes_of(tensors) == state_shapes(small_geometry())
    assert list(tensors) == list(state_shapes(small_geometry()))
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    voice = RVC2().load(tensors, 32000, run.hyperparameters, CPU)
    assert voice.sample_rate_hertz == 32000
    assert save(tensors)


def base_models_of(folder: Path, *parts: PretrainedPart, speakers: int = 3) -> Path:
    trained = small_training(seed=7).state_dict()
    trained["generator"]["emb_g.weight"] = trained["generator"]["emb_g.weight"][:speakers]
    with filling(folder):
        for part in parts:
            key = "generator" if part is PretrainedPart.GENERATOR else "discriminators"
            tensors = {name: tensor.clone() for name, tensor in trained[key].items()}
            put(folder, pretrained_name("v2", 32000, True, part), tensors, "made for this test")
    return folder


def test_base_models_are_where_it_starts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = small_training()
    run.start_from(base_models_of(tmp_path, *PretrainedPart))
    expected = small_training(seed=7).state_dict()
    for key in ("generator", "discriminators"):
        ours = run.state_dict()[key]
        assert all(torch.equal(ours[name], tensor) for name, tensor in expected[key].items())
    assert not caplog.records


def test_a_base_model_with_few_speakers_is_a_start_too(tmp_path: Path) -> None:
    base_models = base_models_of(tmp_path, *PretrainedPart, speakers=1)
    sizes = Sizes(small_geometry(), segment_frames=12, discriminator_width=64)
    assert sizes.with_speakers_of(tmp_path / "empty") == sizes
    fitting = sizes.with_speakers_of(base_models)
    assert fitting == replace(sizes, geometry=small_geometry().with_speakers(1))
    run = RVC2Training(small_training_set(), TrainingSettings(batch_size=2), fitting, CPU, SINGLE)
    run.start_from(base_models)
    assert run.export()["emb_g.weight"].shape == (1, 8)
    assert run.hyperparameters["speakers"] == 1


def test_without_base_models_it_starts_untrained_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small_training().start_from(tmp_path)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]


def _train_in_process(rank: int, port: int, batch_size: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    run = small_training(parallel=Parallel(rank, 2), batch_size=batch_size)
    losses = losses_of(run, 2)
    torch.save({"losses": losses, "state": run.state_dict()}, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


# With a single piece in a batch the second process has none.
@pytest.mark.parametrize("batch_size", [1, 3])
def test_two_processes_learn_what_one_does(batch_size: int, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(_train_in_process, (port, batch_size, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    alone = small_training(batch_size=batch_size)
    expected = losses_of(alone, 2)
    for ours, theirs in zip(first["losses"], expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    assert first["losses"] == second["losses"]
    for key in ("generator", "discriminators"):
        for name, tensor in alone.state_dict()[key].items():
            assert torch.equal(first["state"][key][name], second["state"][key][name]), name
            if not name.endswith("conv_k.bias"):
                # Adam's first steps only see signs, and a gradient of exactly 0 has none.
                torch.testing.assert_close(first["state"][key][name], tensor, atol=1e-5, rtol=1e-3)
