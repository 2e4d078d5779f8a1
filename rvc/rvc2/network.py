"""The generator as a whole: conversion (prior, inverse flow, decoder), learning (posterior, flow, decoder).

Every random draw comes in as an argument, so that equal arguments give equal sound on any device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from rvc.convolution import pack_convolutions
from rvc.rvc2.decoder import Decoder
from rvc.rvc2.encoder import PriorEncoder
from rvc.rvc2.flow import Flow, PosteriorEncoder
from rvc.rvc2.geometry import Geometry
from rvc.rvc2.inference_decoder import InferenceDecoder

PRIOR_TEMPERATURE = 0.66666
_FLOW_CONTEXT_FRAMES = 24
"""Frames before those wanted that the flow also sees when streaming, as the original does."""


@dataclass(frozen=True)
class Features:
    """What a batch of sequences is converted or learnt from."""

    content: torch.Tensor
    """[batch, frames, dimension] float."""
    lengths: torch.Tensor
    """[batch] int64, frames of each sequence; what comes after is padding."""
    speaker: torch.Tensor
    """[batch] int64."""
    pitch: torch.Tensor | None
    """[batch, frames] int64, F0 bins 1 to 255; None for a voice without pitch, as is the next."""
    f0_hertz: torch.Tensor | None
    """[batch, frames], 0 where unvoiced."""

    @property
    def mask(self) -> torch.Tensor:
        """[batch, 1, frames], 1 inside the sequences, of the content's type."""
        frames = torch.arange(self.content.shape[1], device=self.content.device)
        return (frames < self.lengths.unsqueeze(1)).unsqueeze(1).to(self.content.dtype)


@dataclass(frozen=True)
class Excerpt:
    """The part of the frames that streaming wants; the others are context."""

    first_frame: int
    frames: int
    stretched_frames: int
    """To stretch the latents and the source to, which moves the formants."""


@dataclass(frozen=True)
class Learnt:
    """What a training pass gives; latents are [batch, inter channels, frames]."""

    sound: torch.Tensor
    """[batch, 1, segment frames * hop]."""
    mask: torch.Tensor
    """[batch, 1, frames]."""
    z: torch.Tensor
    """Drawn from the posterior."""
    z_prior: torch.Tensor
    """z, brought by the flow to where the prior is compared."""
    prior_mean: torch.Tensor
    prior_log_deviation: torch.Tensor
    posterior_mean: torch.Tensor
    posterior_log_deviation: torch.Tensor


class Network(nn.Module):
    """The generator; with `posterior` the one that training needs."""

    def __init__(self, geometry: Geometry, posterior: bool = False) -> None:
        super().__init__()
        self.geometry = geometry
        # The order of registration is that of the community's files, which differs between versions.
        if geometry.version == "v1":
            self.enc_p = PriorEncoder(geometry)
        self.dec: Decoder | InferenceDecoder = Decoder(geometry)
        if posterior:
            self.enc_q = PosteriorEncoder(geometry)
        self.flow = Flow(geometry)
        self.emb_g = nn.Embedding(geometry.speakers, geometry.speaker_channels)
        if geometry.version == "v2":
            self.enc_p = PriorEncoder(geometry)

    def pack(self, computes_in: torch.dtype) -> None:
        """Arrange folded weights as a CPU converts fastest, one sequence at a time and without gradients."""
        if not isinstance(self.dec, InferenceDecoder):
            self.dec = InferenceDecoder(self.dec, computes_in)
            pack_convolutions(self.flow, computes_in)
            pack_convolutions(self.enc_p.encoder.ffn_layers, computes_in)

    @property
    def packed(self) -> bool:
        """Whether `pack` was called."""
        return isinstance(self.dec, InferenceDecoder)

    def speaker(self, ids: torch.Tensor) -> torch.Tensor:
        """[batch] to [batch, speaker channels, 1]."""
        return torch.as_tensor(self.emb_g(ids)).unsqueeze(-1)

    def latents(
        self, features: Features, prior_noise: torch.Tensor | None = None, first_frame: int = 0
    ) -> torch.Tensor:
        """[batch, inter channels, frames - first_frame], masked: what the decoder turns into sound.

        Args:
            features: the sequences.
            prior_noise: standard normal, [batch, inter channels, frames]; None for none.
            first_frame: latents before it are not wanted.
        """
        mask = features.mask
        z, log_deviation = self.enc_p(features.content, features.pitch, mask, first_frame)
        mask = mask[:, :, first_frame:]
        if prior_noise is not None:
            noise = prior_noise[:, :, first_frame:] * PRIOR_TEMPERATURE
            z = (z + log_deviation.exp() * noise) * mask
        return torch.as_tensor(self.flow(z, mask, self.speaker(features.speaker), inverse=True)) * mask

    def infer(
        self,
        features: Features,
        prior_noise: torch.Tensor | None = None,
        source_noise: torch.Tensor | None = None,
        start_cycles: torch.Tensor | None = None,
        excerpt: Excerpt | None = None,
        block_frames: int | None = None,
    ) -> torch.Tensor:
        """Sound of the sequences, [batch, 1, frames * hop], -1 to 1; of an excerpt, its stretched frames.

        Args:
            features: the sequences.
            prior_noise: standard normal, [batch, inter channels, frames]; None for none.
            source_noise: standard normal, [batch, frames * hop]; None for none.
            start_cycles: [batch], phase of the sine before the first sample of the sequence (of the
                excerpt); 0 without.
            excerpt: the frames wanted; all without.
            block_frames: frames that the decoder computes at a time; all without.
        """
        frames = features.content.shape[1]
        excerpt = excerpt or Excerpt(0, frames, frames)
        hop, first = self.geometry.hop, excerpt.first_frame
        flow_first = max(first - _FLOW_CONTEXT_FRAMES, 0)
        z = self.latents(features, prior_noise, flow_first)[:, :, first - flow_first :]
        z = _stretched(z[:, :, : excerpt.frames], excerpt.stretched_frames)
        wanted = slice(first, first + excerpt.frames)
        f0 = None if features.f0_hertz is None else features.f0_hertz[:, wanted]
        noise = None if source_noise is None else source_noise[:, first * hop : wanted.stop * hop]
        source = self.dec.source(f0, noise, start_cycles)
        if source is not None:
            source = _stretched(source, excerpt.stretched_frames * hop)
        speaker = self.speaker(features.speaker)
        return self.dec.in_blocks(z, source, speaker, block_frames or excerpt.stretched_frames)

    def forward(
        self,
        features: Features,
        spectrogram: torch.Tensor,
        posterior_noise: torch.Tensor,
        source_noise: torch.Tensor | None,
        slice_frames: torch.Tensor,
        segment_frames: int,
    ) -> Learnt:
        """A training pass: sound of a slice of each sequence, and the latents that the losses compare.

        Args:
            features: the sequences.
            spectrogram: linear magnitudes of the recordings, [batch, bins, frames].
            posterior_noise: standard normal, [batch, inter channels, frames].
            source_noise: standard normal, [batch, segment frames * hop]; None for none.
            slice_frames: [batch], the first frame of each slice.
            segment_frames: length of the slices.
        """
        mask, speaker = features.mask, self.speaker(features.speaker)
        prior_mean, prior_log_deviation = self.enc_p(features.content, features.pitch, mask)
        mean, log_deviation = self.enc_q(spectrogram, mask, speaker)
        z = (mean + posterior_noise * log_deviation.exp()) * mask
        f0 = features.f0_hertz
        if f0 is not None:
            f0 = slices(f0.unsqueeze(1), slice_frames, segment_frames).squeeze(1)
        source = self.dec.source(f0, source_noise)
        return Learnt(
            sound=self.dec(slices(z, slice_frames, segment_frames), source, speaker),
            mask=mask,
            z=z,
            z_prior=self.flow(z, mask, speaker),
            prior_mean=prior_mean,
            prior_log_deviation=prior_log_deviation,
            posterior_mean=mean,
            posterior_log_deviation=log_deviation,
        )


def slices(x: torch.Tensor, starts: torch.Tensor, length: int) -> torch.Tensor:
    """[batch, channels, length] of [batch, channels, columns]: each item's columns from its own start."""
    columns = starts.unsqueeze(1) + torch.arange(length, device=x.device)
    return x.gather(2, columns.unsqueeze(1).expand(-1, x.shape[1], -1))


def _stretched(x: torch.Tensor, length: int) -> torch.Tensor:
    return x if x.shape[-1] == length else F.interpolate(x, length, mode="linear")
