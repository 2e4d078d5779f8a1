"""Weights in about five bits: rounded to 61 steps row by row, then written by Huffman's code.

Rounding takes the weights of a matrix in units of a scale, one for each row. Few of them are near the
largest, so their code is a bit shorter than six bits. What rounding leaves out lies 25 dB below the weights
and changes features by about a hundredth.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import torch

from rvc.errors import ArtifactCorrupt

_LEVELS = 30
_CODES, _SCALE = ".codes", ".scale"


def pack(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Matrices as codes (raw deflate, uint8) with float16 scales [rows]; vectors as float16."""
    packed = {}
    for name, tensor in tensors.items():
        if tensor.ndim < 2:
            packed[name] = tensor.half()
            continue
        rows = tensor.float().flatten(1)
        scale = (rows.abs().amax(1) / _LEVELS).half().clamp_min(1e-7)
        codes = (rows / scale.float()[:, None]).round().clamp(-_LEVELS, _LEVELS) + _LEVELS
        packed[name + _CODES] = _deflated(codes.to(torch.uint8).numpy().tobytes())
        packed[name + _SCALE] = scale
    return packed


def unpack(packed: Mapping[str, torch.Tensor], shapes: Mapping[str, torch.Size]) -> dict[str, torch.Tensor]:
    """Float32 tensors of these names and shapes; raises `ArtifactCorrupt` when they are not all there."""
    try:
        return {name: _unpacked(packed, name, shape) for name, shape in shapes.items()}
    except (KeyError, RuntimeError, ValueError, zlib.error) as error:
        raise ArtifactCorrupt(f"the weights of Small are not what the program expects: {error}") from error


def _deflated(codes: bytes) -> torch.Tensor:
    """Nothing repeats in weights: only their frequencies are worth anything."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zlib.Z_HUFFMAN_ONLY)
    return torch.frombuffer(bytearray(deflate.compress(codes) + deflate.flush()), dtype=torch.uint8)


def _unpacked(packed: Mapping[str, torch.Tensor], name: str, shape: torch.Size) -> torch.Tensor:
    if len(shape) < 2:
        return packed[name].float().view(shape)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    codes = inflate.decompress(packed[name + _CODES].numpy().tobytes(), shape.numel())
    rows = torch.from_numpy(np.frombuffer(codes, np.uint8).reshape(shape[0], -1).astype(np.float32))
    return ((rows - _LEVELS) * packed[name + _SCALE].float()[:, None]).view(shape)
