"""Weights of HuBERT networks under our names, from the two programs that publish them.

Names only: no value is computed or rounded, so the converted file is the same wherever it was converted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

from rvc.content.hubert import HubertNetwork
from rvc.errors import ArtifactCorrupt

_FAIRSEQ = (
    (r"feature_extractor\.conv_layers\.(\d+)\.0\.weight", r"convolutions.\1.weight"),
    (r"feature_extractor\.conv_layers\.0\.2\.", "group_norm."),
    (r"layer_norm\.", "projection_norm."),
    (r"post_extract_proj\.", "projection."),
    (r"encoder\.pos_conv\.0\.", "positions."),
    (r"encoder\.layer_norm\.", "norm."),
    (r"encoder\.layers\.(\d+)\.self_attn\.", r"layers.\1."),
    (r"encoder\.layers\.(\d+)\.self_attn_layer_norm\.", r"layers.\1.attention_norm."),
    (r"encoder\.layers\.(\d+)\.fc1\.", r"layers.\1.feed_forward_in."),
    (r"encoder\.layers\.(\d+)\.fc2\.", r"layers.\1.feed_forward_out."),
    (r"encoder\.layers\.(\d+)\.final_layer_norm\.", r"layers.\1.feed_forward_norm."),
    (r"final_proj\.", "final_projection."),
)
_TRANSFORMERS = (
    (r"feature_extractor\.conv_layers\.(\d+)\.conv\.weight", r"convolutions.\1.weight"),
    (r"feature_extractor\.conv_layers\.0\.layer_norm\.", "group_norm."),
    (r"feature_projection\.layer_norm\.", "projection_norm."),
    (r"feature_projection\.projection\.", "projection."),
    (r"encoder\.pos_conv_embed\.conv\.", "positions."),
    (r"encoder\.layer_norm\.", "norm."),
    (r"encoder\.layers\.(\d+)\.attention\.", r"layers.\1."),
    (r"encoder\.layers\.(\d+)\.layer_norm\.", r"layers.\1.attention_norm."),
    (r"encoder\.layers\.(\d+)\.feed_forward\.intermediate_dense\.", r"layers.\1.feed_forward_in."),
    (r"encoder\.layers\.(\d+)\.feed_forward\.output_dense\.", r"layers.\1.feed_forward_out."),
    (r"encoder\.layers\.(\d+)\.final_layer_norm\.", r"layers.\1.feed_forward_norm."),
    (r"final_proj\.", "final_projection."),
)
_LEAVES = {
    "q_proj.weight": "query.weight",
    "q_proj.bias": "query.bias",
    "k_proj.weight": "key.weight",
    "k_proj.bias": "key.bias",
    "v_proj.weight": "value.weight",
    "v_proj.bias": "value.bias",
    "out_proj.weight": "attention_out.weight",
    "out_proj.bias": "attention_out.bias",
    "weight_g": "gain",
    "weight_v": "direction",
    "parametrizations.weight.original0": "gain",
    "parametrizations.weight.original1": "direction",
}
_TRAINING_ONLY = frozenset(("mask_emb", "masked_spec_embed", "label_embs_concat"))


def is_hubert(names: Mapping[str, object]) -> bool:
    """Whether the names are those of a HuBERT network of either program."""
    return "encoder.layers.0.final_layer_norm.weight" in names and bool(_rules(names))


def hubert_tensors(state: Mapping[str, torch.Tensor], heads: int | None = None) -> dict[str, torch.Tensor]:
    """The weights for `rvc.content.hubert`, in their own number format, from either program's names.

    Raises `ArtifactCorrupt` for names that are not known, and for weights that do not make the network.
    """
    rules = _rules(state)
    tensors, unknown = {}, []
    for name, tensor in state.items():
        if name in _TRAINING_ONLY:
            continue
        ours = _renamed(name, rules)
        if ours is None:
            unknown.append(name)
        else:
            tensors[ours] = tensor.contiguous()
    if unknown:
        raise ArtifactCorrupt(f"a HuBERT network of the base layout has no {', '.join(sorted(unknown))}")
    HubertNetwork.of(tensors, heads)
    return tensors


def _rules(names: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    if "feature_projection.projection.weight" in names:
        return _TRANSFORMERS
    return _FAIRSEQ if "post_extract_proj.weight" in names else ()


def _renamed(name: str, rules: tuple[tuple[str, str], ...]) -> str | None:
    for pattern, replacement in rules:
        match = re.match(pattern, name)
        if match is not None:
            leaf = name[match.end() :]
            return match.expand(replacement) + _LEAVES.get(leaf, leaf)
    return None
