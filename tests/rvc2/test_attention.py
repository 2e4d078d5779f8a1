"""The banded form against the definition written out over all pairs."""

import math

import pytest
import torch

from rvc.rvc2 import attention
from rvc.rvc2.attention import REACH, RelativeAttention, band_to_diagonals, diagonals_to_band


def over_all_pairs(layer: RelativeAttention, x: torch.Tensor, padded: torch.Tensor) -> torch.Tensor:
    frames = x.shape[1]
    apart = torch.arange(frames)[None] - torch.arange(frames)[:, None]
    near = apart.abs() <= REACH
    row = (apart + REACH).clamp(0, 2 * REACH)
    of_keys = layer.emb_rel_k[0][row] * near[..., None]
    of_values = layer.emb_rel_v[0][row] * near[..., None]

    def split(conv: torch.nn.Conv1d) -> torch.Tensor:
        return conv(x.transpose(1, 2)).unflatten(1, (layer.heads, -1)).transpose(2, 3)

    query = split(layer.conv_q) / math.sqrt(x.shape[-1] // layer.heads)
    scores = query @ split(layer.conv_k).transpose(2, 3) + torch.einsum("bhid,ijd->bhij", query, of_keys)
    weights = scores.masked_fill(padded[:, None, None], -1e4).softmax(-1)
    out = weights @ split(layer.conv_v) + torch.einsum("bhij,ijd->bhid", weights, of_values)
    return layer.conv_o(out.transpose(2, 3).flatten(1, 2)).transpose(1, 2)


def layer_and_input(frames: int) -> tuple[RelativeAttention, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(frames)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        layer = RelativeAttention(16, 2)
    x = torch.randn(2, frames, 16, generator=generator)
    padded = torch.zeros(2, frames, dtype=torch.bool)
    padded[1, (frames + 1) // 2 :] = True
    return layer, x, padded


@pytest.mark.parametrize("frames", [1, 2, 5, 10, 11, 12, 25, 31, 32, 33, 61, 64, 65, 97])
def test_the_band_is_the_definition(frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "BLOCK", 32)
    layer, x, padded = layer_and_input(frames)
    ours, theirs = layer(x, padded), over_all_pairs(layer, x, padded)
    torch.testing.assert_close(ours[~padded], theirs[~padded], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("block", [1, 7, 10, 512])
def test_the_size_of_a_block_does_not_matter(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x, padded = layer_and_input(40)
    expected = layer(x, padded)
    monkeypatch.setattr(attention, "BLOCK", block)
    torch.testing.assert_close(layer(x, padded), expected, atol=1e-6, rtol=1e-5)


def test_gradients_are_those_of_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "BLOCK", 16)
    layer, x, padded = layer_and_input(40)
    weight = torch.randn(2, 40, 16, generator=torch.Generator().manual_seed(9)) * ~padded[..., None]
    gradients = [
        torch.autograd.grad((form(x, padded) * weight).sum(), list(layer.parameters()))
        for form in (layer, lambda x, padded: over_all_pairs(layer, x, padded))
    ]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_what_is_padded_is_not_heard() -> None:
    layer, x, padded = layer_and_input(30)
    expected = layer(x, padded)[1, :15]
    x[1, 15:] = 1e3
    torch.testing.assert_close(layer(x, padded)[1, :15], expected)


def test_a_band_becomes_diagonals_and_back() -> None:
    band = torch.arange(1.0, 13.0).view(4, 3)
    matrix = band_to_diagonals(band)
    expected = torch.zeros(4, 6)
    for i in range(4):
        expected[i, i : i + 3] = band[i]
    assert torch.equal(matrix, expected)
    assert torch.equal(diagonals_to_band(matrix + 0.0), band)
