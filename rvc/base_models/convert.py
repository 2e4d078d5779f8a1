"""From the files that packages ship to the tensors that our networks load, under our names.

Pure functions of what was read.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
import torch

from rvc.errors import ArtifactCorrupt
from rvc.safe_pickle import load_torch_file

WHISPER_BLOCKS = 4
"""The output of the fourth block carries the content best; later blocks are not stored."""

_CTRANSLATE2_VERSIONS = range(5, 7)
_CTRANSLATE2_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


class _Reader:
    """A cursor over little-endian binary data."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._position = 0

    def number(self, code: str) -> int:
        (value,) = struct.unpack_from("<" + code, self._data, self._position)
        self._position += struct.calcsize("<" + code)
        return int(value)

    def take(self, size: int) -> memoryview:
        piece = self._data[self._position : self._position + size]
        if len(piece) != size:
            raise struct.error(f"{size} bytes wanted at {self._position}, {len(piece)} left")
        self._position += size
        return piece

    def text(self) -> str:
        return bytes(self.take(self.number("H"))).rstrip(b"\0").decode()


def read_ctranslate2(data: bytes) -> dict[str, np.ndarray]:
    """Variables of a CTranslate2 `model.bin` (binary versions 5 and 6) by name.

    Layout: version, model name, revision, number of variables; then per variable its name, rank, shape,
    type code, byte count and bytes. Raises `ArtifactCorrupt`.
    """
    reader = _Reader(memoryview(data))
    try:
        version = reader.number("I")
        if version not in _CTRANSLATE2_VERSIONS:
            raise ArtifactCorrupt(f"CTranslate2 file of version {version}; versions 5 and 6 can be read")
        reader.text()
        reader.number("I")
        variables = {}
        for _ in range(reader.number("I")):
            name = reader.text()
            shape = [reader.number("I") for _ in range(reader.number("B"))]
            data_type = _CTRANSLATE2_TYPES[reader.number("B")]
            content = reader.take(reader.number("I"))
            variables[name] = np.frombuffer(content, dtype=data_type).reshape(shape)
    except (struct.error, KeyError, ValueError) as error:
        raise ArtifactCorrupt(f"not a whole CTranslate2 model file: {error}") from error
    return variables


def whisper_encoder_tensors(model: bytes) -> dict[str, torch.Tensor]:
    """Stem, positions, first four blocks of a Whisper encoder, fp16; as `rvc.content.whisper` names them."""
    variables = read_ctranslate2(model)
    names = {"positions": "position_encodings/encodings"}
    for index in (1, 2):
        for leaf in ("weight", "bias"):
            names[f"convolution_{index}.{leaf}"] = f"conv{index}/{leaf}"
    linears = {
        "attention_in": "self_attention/linear_0",
        "attention_out": "self_attention/linear_1",
        "feed_forward_in": "ffn/linear_0",
        "feed_forward_out": "ffn/linear_1",
    }
    norms = {"attention_norm": "self_attention/layer_norm", "feed_forward_norm": "ffn/layer_norm"}
    for block in range(WHISPER_BLOCKS):
        for ours, theirs in linears.items():
            for leaf in ("weight", "bias"):
                names[f"blocks.{block}.{ours}.{leaf}"] = f"layer_{block}/{theirs}/{leaf}"
        for ours, theirs in norms.items():
            names[f"blocks.{block}.{ours}.weight"] = f"layer_{block}/{theirs}/gamma"
            names[f"blocks.{block}.{ours}.bias"] = f"layer_{block}/{theirs}/beta"
    return {ours: torch.from_numpy(variables[f"encoder/{theirs}"].copy()) for ours, theirs in names.items()}


def fcpe_tensors(model: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The parameters that FCPE uses, fp32, named as `rvc.pitch.fcpe` has them.

    1x1 convolutions become the matrices that they are. Left out: one unused norm per block, and constants
    that the decoder computes. Nothing is computed here, so the converted file is the same, byte by byte, on
    every machine.
    """
    tensors = {}
    for ours, theirs in {
        "convolution_in": "input_stack.0",
        "group_norm": "input_stack.1",
        "convolution_out": "input_stack.3",
        "norm": "norm",
    }.items():
        for leaf in ("weight", "bias"):
            tensors[f"{ours}.{leaf}"] = model[f"{theirs}.{leaf}"]
    block = 0
    while (prefix := f"net.encoder_layers.{block}.conformer.net") + ".0.weight" in model:
        for ours, theirs in {"norm": "0", "expand": "2", "depthwise": "4.conv", "project": "6"}.items():
            weight = model[f"{prefix}.{theirs}.weight"]
            tensors[f"blocks.{block}.{ours}.weight"] = weight if ours == "depthwise" else weight.squeeze(-1)
            tensors[f"blocks.{block}.{ours}.bias"] = model[f"{prefix}.{theirs}.bias"]
        block += 1
    tensors["output.direction"] = model["output_proj.weight_v"]
    tensors["output.gain"] = model["output_proj.weight_g"]
    tensors["output.bias"] = model["output_proj.bias"]
    return {name: tensor.float().contiguous() for name, tensor in tensors.items()}


def speaker_encoder_tensors(content: bytes) -> dict[str, torch.Tensor]:
    """Weights of Resemblyzer's `pretrained.pt` without what only its training needed, fp32; as
    `rvc.quality.speaker` names them. Raises `ArtifactCorrupt`."""
    model = load_torch_file(content, "pretrained.pt").get("model_state")
    if not isinstance(model, Mapping):
        raise ArtifactCorrupt("pretrained.pt holds no speaker encoder; fetch it again")
    return {name: tensor.float() for name, tensor in model.items() if name.startswith(("lstm.", "linear."))}
