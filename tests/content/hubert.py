"""HuBERT weights for tests, under our names and under those of the programs that publish them."""

from __future__ import annotations

from functools import cache

import torch

from rvc.content.hubert import HubertNetwork, HubertSizes

_FAIRSEQ = {
    "projection_norm": "layer_norm",
    "projection": "post_extract_proj",
    "norm": "encoder.layer_norm",
    "final_projection": "final_proj",
    "group_norm": "feature_extractor.conv_layers.0.2",
    "positions.gain": "encoder.pos_conv.0.weight_g",
    "positions.direction": "encoder.pos_conv.0.weight_v",
    "positions.bias": "encoder.pos_conv.0.bias",
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "attention_out": "self_attn.out_proj",
    "attention_norm": "self_attn_layer_norm",
    "feed_forward_in": "fc1",
    "feed_forward_out": "fc2",
    "feed_forward_norm": "final_layer_norm",
}
_TRANSFORMERS = {
    "projection_norm": "feature_projection.layer_norm",
    "projection": "feature_projection.projection",
    "norm": "encoder.layer_norm",
    "final_projection": "final_proj",
    "group_norm": "feature_extractor.conv_layers.0.layer_norm",
    "positions.gain": "encoder.pos_conv_embed.conv.weight_g",
    "positions.direction": "encoder.pos_conv_embed.conv.weight_v",
    "positions.bias": "encoder.pos_conv_embed.conv.bias",
    "query": "attention.q_proj",
    "key": "attention.k_proj",
    "value": "attention.v_proj",
    "attention_out": "attention.out_proj",
    "attention_norm": "layer_norm",
    "feed_forward_in": "feed_forward.intermediate_dense",
    "feed_forward_out": "feed_forward.output_dense",
    "feed_forward_norm": "final_layer_norm",
}


def random_tensors(sizes: HubertSizes, seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights that keep signals at their size through the layers."""
    with torch.device("meta"):
        shapes = HubertNetwork(sizes).state_dict()
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, empty in shapes.items():
        noise = torch.rand(empty.shape, generator=generator) * 2 - 1
        if name.endswith("bias"):
            tensors[name] = 0.05 * noise
        elif noise.dim() == 1 or name.endswith("gain"):
            tensors[name] = 1 + 0.25 * noise
        else:
            tensors[name] = noise * (3 / noise[0].numel()) ** 0.5
    return tensors


def tiny_tensors(projection: int = 24, seed: int = 0) -> dict[str, torch.Tensor]:
    """Twelve layers of width 64, one head each."""
    return random_tensors(HubertSizes(16, (10, 3, 3, 3, 3, 2, 2), 64, 32, 4, 96, 12, 1, projection), seed)


@cache
def official_tensors(layers: int = 12, final: bool = True) -> dict[str, torch.Tensor]:
    """As wide as ContentVec where that is looked at, and otherwise narrow."""
    sizes = HubertSizes(4, (10, 3, 3, 3, 3, 2, 2), 768, 2, 16, 2, layers, 12, 256 if final else 0)
    return {name: tensor.half() for name, tensor in random_tensors(sizes).items()}


def fairseq_names(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same weights as fairseq saves them."""
    renamed = {_theirs(name, _FAIRSEQ, "0"): tensor for name, tensor in tensors.items()}
    return {**renamed, "mask_emb": torch.zeros(4), "label_embs_concat": torch.zeros(2, 4)}


def transformers_names(
    tensors: dict[str, torch.Tensor], parametrized: bool = False
) -> dict[str, torch.Tensor]:
    """The same weights as transformers saves them, with older or newer names of weight norm."""
    renamed = {_theirs(name, _TRANSFORMERS, "conv"): tensor for name, tensor in tensors.items()}
    for index, old in enumerate(("weight_g", "weight_v") if parametrized else ()):
        prefix = "encoder.pos_conv_embed.conv."
        renamed[f"{prefix}parametrizations.weight.original{index}"] = renamed.pop(prefix + old)
    return {**renamed, "masked_spec_embed": torch.zeros(4)}


def _theirs(name: str, names: dict[str, str], convolution: str) -> str:
    if name in names:
        return names[name]
    part, _, leaf = name.rpartition(".")
    if part.startswith("convolutions."):
        return f"feature_extractor.conv_layers.{part.partition('.')[2]}.{convolution}.weight"
    if part.startswith("layers."):
        layer, _, inner = part.rpartition(".")
        return f"encoder.{layer}.{names[inner]}.{leaf}"
    return f"{names[part]}.{leaf}"
