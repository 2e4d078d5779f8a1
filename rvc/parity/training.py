"""Training against the original's: spectrograms, and one step with its losses, gradients and update."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import nn

from rvc.parity.fill import fill, fill_synthesizer, normal
from rvc.parity.findings import Check, Deviation, Finding, absolute, equal, relative
from rvc.parity.synthesizers import (
    LATENT_TOLERANCE,
    SOUND_TOLERANCE,
    Arrays,
    arrays_of,
    features_of,
    geometry_beside,
    scaled,
)
from rvc.rvc2.discriminators import Discriminators, Judgement
from rvc.rvc2.geometry import Geometry, Version
from rvc.rvc2.losses import (
    adversarial_loss,
    discriminator_losses,
    feature_loss,
    kl_loss,
    mel_loss,
)
from rvc.rvc2.network import Features, Learnt, Network, slices
from rvc.rvc2.spectrogram import RECENT, Spectrograms
from rvc.rvc2.state import load_state, shapes_of, state_shapes

_LOSS_TOLERANCE = 1e-4
_GRADIENT_TOLERANCE = 1e-3
_POST_GAIN = 3.0
_NOISE = 1e-8
"""Of the norm of all gradients. Below it (the bias of keys, which softmax does not see) a gradient is
rounding errors, and so is the direction of its update."""
_DISCRIMINATOR_SEED = 7
_STORED_FRAMES = 4
"""Of a spectrogram, every fourth frame is stored."""


@torch.inference_mode()
def check_mel(path: Path) -> Iterable[Finding | Deviation]:
    """`train_mel.npz`: spectrograms at several rates."""
    arrays = arrays_of(path)
    for label in sorted(name.removesuffix("_wave") for name in arrays if name.endswith("_wave")):
        rate = 1000 * int(label.removesuffix("k"))
        spectrograms = Spectrograms(Geometry.official("v2", rate, True), RECENT)
        magnitudes = spectrograms.magnitudes(torch.from_numpy(arrays[f"{label}_wave"])[None])
        spec = arrays[f"{label}_spec"]
        yield absolute(f"{label}_spec", magnitudes[0, :, ::_STORED_FRAMES], spec, LATENT_TOLERANCE)
        mel = spectrograms.log_mel(magnitudes)[0]
        yield absolute(f"{label}_mel", mel, arrays[f"{label}_mel"], LATENT_TOLERANCE)


def check_step(path: Path) -> Iterable[Finding | Deviation]:
    """`train_step_<model>.npz`: a step of the generator, weights by the rule."""
    arrays = arrays_of(path)
    geometry = geometry_beside(path, path.stem.removeprefix("train_step_"))
    network = Network(geometry, posterior=True)
    load_state(network, fill_synthesizer(state_shapes(geometry, posterior=True), _POST_GAIN))
    features = _features(arrays, geometry)
    spectrograms = Spectrograms(geometry, RECENT)
    starts, segment = torch.from_numpy(arrays["ids_slice"]), arrays["y_mel"].shape[-1]
    learnt = _pass(network, features, spectrograms, arrays, segment)
    yield from _check_latents(learnt, arrays)
    recorded = slices(torch.from_numpy(arrays["wave"]), starts * geometry.hop, segment * geometry.hop)
    whole_mel = spectrograms.log_mel(_spectra(spectrograms, arrays, features.lengths))
    target = slices(whole_mel, starts, segment)
    mel = spectrograms(learnt.sound[:, 0])
    yield absolute("y_mel", target, arrays["y_mel"], LATENT_TOLERANCE)
    yield absolute("y_hat_mel", mel.detach(), arrays["y_hat_mel"], LATENT_TOLERANCE)
    losses = {"loss_mel": mel_loss(mel, target), "loss_kl": kl_loss(learnt)}
    for name, loss in losses.items():
        yield relative(name, loss.item(), arrays[name], _LOSS_TOLERANCE)
    totals = []
    for version in get_args(Version):
        if f"{version}_loss_disc" in arrays:
            fooled, findings = _judge(version, learnt.sound, recorded, arrays)
            yield from findings
            totals.append(losses["loss_mel"] + losses["loss_kl"] + fooled)
    # Files do not say which discriminators the step was taken with.
    total = min(totals, key=lambda loss: abs(loss.item() - float(arrays["loss_gen_all"])))
    yield relative("loss_gen_all", total.item(), arrays["loss_gen_all"], _LOSS_TOLERANCE)
    yield from _check_update(network, total, arrays)


def _features(arrays: Arrays, geometry: Geometry) -> Features:
    items, frames = arrays["noise_posterior"].shape[0], arrays["noise_posterior"].shape[-1]
    content = 0.5 * normal("train/phone", (items, frames, geometry.content_dimension))
    return features_of(arrays, None if "phone" in arrays else content)


def _spectra(spectrograms: Spectrograms, arrays: Arrays, lengths: torch.Tensor) -> torch.Tensor:
    """Spectrogram of each recording alone, padded with zeros."""
    waves, hop = torch.from_numpy(arrays["wave"])[:, 0], spectrograms.sizes.hop
    alone = [
        spectrograms.magnitudes(wave[None, : int(length) * hop])[0].T
        for wave, length in zip(waves, lengths, strict=True)
    ]
    return nn.utils.rnn.pad_sequence(alone, batch_first=True).transpose(1, 2)


def _pass(
    network: Network, features: Features, spectrograms: Spectrograms, arrays: Arrays, segment: int
) -> Learnt:
    samples = segment * network.geometry.hop
    learnt: Learnt = network(
        features,
        _spectra(spectrograms, arrays, features.lengths),
        torch.from_numpy(arrays["noise_posterior"]),
        normal("train/noise1", (len(features.lengths), samples)) if network.geometry.f0 else None,
        torch.from_numpy(arrays["ids_slice"]),
        segment,
    )
    return learnt


def _check_latents(learnt: Learnt, arrays: Arrays) -> Iterable[Finding]:
    ours = {
        "m_q": learnt.posterior_mean,
        "logs_q": learnt.posterior_log_deviation,
        "z": learnt.z,
        "z_p": learnt.z_prior,
        "m_p": learnt.prior_mean,
        "logs_p": learnt.prior_log_deviation,
    }
    noise = arrays["noise_posterior"]
    yield absolute("noise_posterior", normal("train/noise0", noise.shape), noise, 1e-6)
    for name, tensor in ours.items():
        yield scaled(name, tensor.detach(), arrays[name], LATENT_TOLERANCE)
    yield absolute("y_hat", learnt.sound.detach(), arrays["y_hat"], SOUND_TOLERANCE)


def _judge(
    version: Version, synthesized: torch.Tensor, recorded: torch.Tensor, arrays: Arrays
) -> tuple[torch.Tensor, Sequence[Finding]]:
    """(adversarial plus feature loss, what a version's discriminators make of the two sounds)."""
    discriminators = Discriminators(version)
    shapes = shapes_of(discriminators.state_dict())
    weights = {name: fill(name, shape, _DISCRIMINATOR_SEED) for name, shape in shapes.items()}
    load_state(discriminators, weights)
    discriminators.requires_grad_(False)
    real, fake = discriminators(recorded), discriminators(synthesized)
    fooled, features = adversarial_loss(fake), feature_loss(fake, real)
    findings = _compare(version, real, fake, arrays)
    for name, loss in {"gen": fooled, "fm": features}.items():
        key = f"{version}_loss_{name}"
        findings.append(relative(key, loss.item(), arrays[key], _LOSS_TOLERANCE))
    return fooled + features, findings


@torch.no_grad()
def _compare(version: Version, real: list[Judgement], fake: list[Judgement], arrays: Arrays) -> list[Finding]:
    scores = [score for score, _ in real]
    losses_real = discriminator_losses(scores, recorded=True)
    losses_fake = discriminator_losses([score for score, _ in fake], recorded=False)
    maps = torch.stack([features.abs().mean() for _, judged in fake for features in judged])
    ours = {
        "loss_disc": (losses_real + losses_fake).sum(),
        "losses_real": losses_real,
        "losses_fake": losses_fake,
        "fmap_absmean_fake": maps,
    }
    theirs = {name: arrays[f"{version}_{name}"] for name in ours}
    findings = [
        relative(f"{version}_{name}", value, theirs[name], _LOSS_TOLERANCE) for name, value in ours.items()
    ]
    lengths, means = arrays[f"{version}_d_out_len"], arrays[f"{version}_d_out_mean_real"]
    our_means = torch.stack([score.mean() for score in scores])
    return [
        *findings,
        equal(f"{version}_d_out_len", [score.shape[1] for score in scores], lengths),
        absolute(f"{version}_d_out_mean_real", our_means, means, LATENT_TOLERANCE),
        absolute(f"{version}_scoreS_real", scores[0], arrays[f"{version}_scoreS_real"], LATENT_TOLERANCE),
        absolute(f"{version}_scoreP2_real", scores[1], arrays[f"{version}_scoreP2_real"], LATENT_TOLERANCE),
    ]


def _check_update(network: Network, total: torch.Tensor, arrays: Arrays) -> Iterable[Finding]:
    parameters = dict(network.named_parameters())
    names = arrays["grad_names"].tolist()
    yield equal("grad_names", sorted(parameters), sorted(names))
    yield equal("param_names", sorted(parameters), sorted(arrays["param_names"].tolist()))
    optimizer = torch.optim.AdamW(parameters.values(), 1e-4, betas=(0.8, 0.99), eps=1e-9)
    torch.autograd.backward(total)
    theirs = dict(zip(names, arrays["grad_norms"].tolist(), strict=True))
    norms = {name: _gradient_norm(parameters[name]) for name in names}
    whole = float(arrays["grad_total_norm"])
    yield relative("grad_total_norm", np.linalg.norm(list(norms.values())), whole, _LOSS_TOLERANCE)
    alive = [name for name in names if max(theirs[name], norms[name]) > _NOISE * whole]
    ours_alive, theirs_alive = ([norms[name] for name in alive] for norms in (norms, theirs))
    yield relative("grad_norms", ours_alive, theirs_alive, _GRADIENT_TOLERANCE)
    optimizer.step()
    after = dict(zip(arrays["param_names"].tolist(), arrays["after_step_norms"].tolist(), strict=True))
    updated = [parameters[name].detach().norm().item() for name in alive]
    yield relative("after_step_norms", updated, [after[name] for name in alive], _LOSS_TOLERANCE)


def _gradient_norm(parameter: nn.Parameter) -> float:
    return 0.0 if parameter.grad is None else parameter.grad.norm().item()


CHECKS: Mapping[str, Check] = {
    "train_mel*.npz": check_mel,
    "train_step_*.npz": check_step,
}
