"""Self-attention that also learns how far apart two frames are, up to ten frames.

    score(i, j) = q_i / sqrt(d) . (k_j + K[j - i])        out_i = sum_j p(i, j) (v_j + V[j - i])

with K, V: one row for each distance -10 ... 10, nothing beyond (Shaw et al. 2018, arXiv:1803.02155, in a
window). The terms of K and V touch a band of 21 diagonals only. A band of `n` rows, [n, 21], becomes the
diagonals of an [n, n + 20] matrix (and back) by padding each row by `n` and reading the same memory with rows
shorter by one. Queries go in blocks, so memory grows with the length, not with its square.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

REACH = 10
"""Largest distance that K and V know."""
BLOCK = 512
"""Queries at a time."""
_MASKED_SCORE = -1e4


class RelativeAttention(nn.Module):
    """Multi-head self-attention over [batch, frames, channels]."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        width = channels // heads
        # The order of registration is that of the community's files.
        self.emb_rel_k = nn.Parameter(torch.randn(1, 2 * REACH + 1, width) * width**-0.5)
        self.emb_rel_v = nn.Parameter(torch.randn(1, 2 * REACH + 1, width) * width**-0.5)
        self.conv_q = nn.Conv1d(channels, channels, 1)
        self.conv_k = nn.Conv1d(channels, channels, 1)
        self.conv_v = nn.Conv1d(channels, channels, 1)
        self.conv_o = nn.Conv1d(channels, channels, 1)
        for conv in (self.conv_q, self.conv_k, self.conv_v):
            nn.init.xavier_uniform_(conv.weight)

    def forward(self, x: torch.Tensor, padded: torch.Tensor) -> torch.Tensor:
        """[batch, frames, channels] to the same shape.

        Args:
            x: the sequence.
            padded: [batch, frames], True beyond the sequence; nothing attends to these. What comes out at
                them means nothing.
        """
        query, key, value = (
            _pointwise(conv, x).view(*x.shape[:2], self.heads, -1).transpose(1, 2)
            for conv in (self.conv_q, self.conv_k, self.conv_v)
        )
        query = query / math.sqrt(query.shape[-1])
        heard = [
            self._attend(query[:, :, start : start + BLOCK], key, value, padded[:, None, None], start)
            for start in range(0, x.shape[1], BLOCK)
        ]
        return _pointwise(self.conv_o, torch.cat(heard, 2).transpose(1, 2).flatten(2))

    def _attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, padded: torch.Tensor, start: int
    ) -> torch.Tensor:
        """Queries [batch, heads, n, width] from frame `start` on, against all keys."""
        frames, stop = key.shape[2], start + query.shape[2]
        scores = query @ key.transpose(2, 3)
        # The diagonals reach from column start - 10 to column stop + 10, of which not all may be there.
        before, after = max(REACH - start, 0), max(stop + REACH - frames, 0)
        columns = slice(start - REACH + before, stop + REACH - after)
        diagonals = band_to_diagonals(query @ self.emb_rel_k.transpose(1, 2))
        scores[..., columns] += diagonals[..., before : diagonals.shape[-1] - after]
        weights = scores.masked_fill_(padded, _MASKED_SCORE).softmax(-1)
        band = diagonals_to_band(F.pad(weights[..., columns], (before, after)))
        return weights @ value + band @ self.emb_rel_v


def _pointwise(conv: nn.Conv1d, x: torch.Tensor) -> torch.Tensor:
    """A convolution of kernel 1 on [batch, frames, channels]."""
    return F.linear(x, conv.weight[:, :, 0], conv.bias)


def band_to_diagonals(band: torch.Tensor) -> torch.Tensor:
    """[..., n, w] to [..., n, n + w - 1], with row `i` moved right by `i` and zeros elsewhere."""
    rows, width = band.shape[-2:]
    long = F.pad(band, (0, rows)).flatten(-2)
    columns = rows + width - 1
    return long[..., : rows * columns].reshape(*band.shape[:-1], columns)


def diagonals_to_band(matrix: torch.Tensor) -> torch.Tensor:
    """The inverse: [..., n, n + w - 1] to [..., n, w], what stands elsewhere forgotten."""
    rows, columns = matrix.shape[-2:]
    long = F.pad(matrix.flatten(-2), (0, rows))
    return long.view(*matrix.shape[:-1], columns + 1)[..., : columns - rows + 1]
