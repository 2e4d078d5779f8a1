"""The losses of VITS with a least-squares GAN, in float32 whatever the networks computed in."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from rvc.rvc2.discriminators import Judgement
from rvc.rvc2.network import Learnt

MEL_WEIGHT = 45.0
_FEATURE_WEIGHT = 2.0


def discriminator_losses(scores: list[torch.Tensor], recorded: bool) -> torch.Tensor:
    """How far each discriminator's scores are from 1 (recordings) or 0 (synthesis): [discriminators]."""
    return torch.stack([(score.float() - float(recorded)).square().mean() for score in scores])


def adversarial_loss(judgements: list[Judgement]) -> torch.Tensor:
    """How far synthesis is from passing for recordings."""
    return discriminator_losses([score for score, _ in judgements], recorded=True).sum()


def feature_loss(synthesized: list[Judgement], recorded: list[Judgement]) -> torch.Tensor:
    """L1 distance of all feature maps, weighted; recordings are the target and get no gradient."""
    distances = [
        F.l1_loss(ours.float(), theirs.detach().float())
        for (_, our_maps), (_, their_maps) in zip(synthesized, recorded, strict=True)
        for ours, theirs in zip(our_maps, their_maps, strict=True)
    ]
    return _FEATURE_WEIGHT * torch.stack(distances).sum()


def mel_loss(synthesized: torch.Tensor, recorded: torch.Tensor) -> torch.Tensor:
    """L1 distance of log-mel spectrograms, weighted."""
    return MEL_WEIGHT * F.l1_loss(synthesized, recorded)


def divergence(learnt: Learnt) -> torch.Tensor:
    """Of the posterior from the prior at the sample drawn, summed over channels and frames inside the
    sequences."""
    mean, log_deviation = learnt.prior_mean.float(), learnt.prior_log_deviation.float()
    distance = (learnt.z_prior.float() - mean).square() * (-2 * log_deviation).exp() / 2
    divergent = log_deviation - learnt.posterior_log_deviation.float() - 0.5 + distance
    return (divergent * learnt.mask.float()).sum()


def kl_loss(learnt: Learnt) -> torch.Tensor:
    """The divergence per frame inside the sequences."""
    return divergence(learnt) / learnt.mask.float().sum()
