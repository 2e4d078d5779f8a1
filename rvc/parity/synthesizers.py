"""The generator against the original's: sound and what lies on the way to it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike

from rvc.parity.fill import fill_synthesizer, normal
from rvc.parity.findings import Check, Deviation, Finding, absolute, equal, not_compared
from rvc.pitch.quantise import pitch_bins
from rvc.rvc2.geometry import Geometry, Version
from rvc.rvc2.layers import fold_weight_norm
from rvc.rvc2.network import Excerpt, Features, Network
from rvc.rvc2.source import sine
from rvc.rvc2.state import load_state, state_shapes

SOUND_TOLERANCE = 2e-4
LATENT_TOLERANCE = 1e-4
_SINE_TOLERANCE = 1e-5
_SINE_DRIFT_PER_SECOND = 3e-7
"""The original sums the phase in float32: after a minute it is off by 7e-6."""
_FULL_POST_GAIN = 4.0
_FULL_SPEAKER = 5

_SMALL: Mapping[str, Any] = {
    "inter_channels": 32,
    "hidden_channels": 32,
    "filter_channels": 64,
    "upsample_initial_channel": 64,
    "speaker_channels": 32,
    "speakers": 4,
}
"""Where small models differ from the official ones, unless they say so themselves."""

Arrays = Mapping[str, np.ndarray]


def arrays_of(path: Path) -> Arrays:
    """All arrays of a fixture."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def named_geometry(name: str) -> Geometry:
    """The sizes that a fixture's name stands for: `small_v2_f0_48k`, `full_v1_nof0_40k`."""
    match = re.search(r"(small|full)_(v[12])_(f0|nof0)_(\d+)k", name)
    if match is None:
        raise ValueError(f"{name} does not say the size, version and rate of its model")
    size, version, pitch, rate = match.groups()
    geometry = Geometry.official(cast(Version, version), 1000 * int(rate), pitch == "f0")
    return geometry if size == "full" else replace(geometry, **_SMALL)


def features_of(arrays: Arrays, content: torch.Tensor | None = None) -> Features:
    """The inputs of a fixture, whose content may stand elsewhere."""
    content = torch.from_numpy(arrays["phone"]).float() if content is None else content
    items, frames = content.shape[:2]
    f0 = torch.from_numpy(arrays["nsff0"]).float().reshape(items, frames) if "nsff0" in arrays else None
    pitch = arrays.get("pitch", None if f0 is None else pitch_bins(f0.numpy()))
    return Features(
        content=content,
        lengths=torch.from_numpy(arrays.get("lengths", np.full(items, frames))).reshape(items),
        speaker=torch.from_numpy(arrays["sid"]).reshape(items),
        pitch=None if pitch is None else torch.from_numpy(pitch).long().reshape(items, frames),
        f0_hertz=f0,
    )


def scaled(name: str, ours: ArrayLike, theirs: np.ndarray, tolerance: float) -> Finding:
    """The largest absolute difference; values beyond 1 have fewer digits left behind the point, and those
    stored in half precision have eleven bits."""
    largest = max(1.0, float(np.abs(theirs).max(initial=0.0)))
    rounding = 2.0**-11 if theirs.dtype == np.float16 else 0.0
    return absolute(name, ours, theirs, largest * (tolerance + rounding))


@torch.inference_mode()
def check_infer(path: Path) -> Iterable[Finding | Deviation]:
    """`infer_<model>.npz`: one batch through a stored model."""
    arrays = arrays_of(path)
    model = re.sub(r"^infer_|_batch\d*$", "", path.stem)
    network = _stored_network(path, model)
    yield from _check_sound(network, features_of(arrays), arrays)


@torch.inference_mode()
def check_realtime(path: Path) -> Iterable[Finding | Deviation]:
    """`infer_<model>_realtime.npz`: the streaming arguments, on the inputs of `infer_<model>.npz`."""
    arrays = arrays_of(path)
    whole = path.stem.removesuffix("_realtime")
    features = features_of(arrays if "phone" in arrays else arrays_of(path.with_name(f"{whole}.npz")))
    network = _stored_network(path, whole.removeprefix("infer_"))
    for name in sorted(name for name in arrays if name.startswith("out_")):
        stretched = arrays[name.replace("out_", "return_length2_")]
        excerpt = Excerpt(int(arrays["skip_head"]), int(arrays["return_length"]), int(stretched))
        yield absolute(name, network.infer(features, excerpt=excerpt), arrays[name], SOUND_TOLERANCE)


@torch.inference_mode()
def check_full(path: Path) -> Iterable[Finding | Deviation]:
    """`infer_full_<model>_rule.npz`: an official size, its weights by the rule."""
    arrays = dict(arrays_of(path))
    geometry = named_geometry(path.stem)
    weights = fill_synthesizer(state_shapes(geometry), _FULL_POST_GAIN)
    halves = {name: tensor.half() for name, tensor in weights.items()}
    shape, hop = (1, _frames(arrays, geometry.hop)), geometry.hop
    key = f"full_{geometry.version}_{geometry.sample_rate_hertz // 1000}k"
    by_rule = {
        "phone": 0.5 * normal(f"{key}/phone", (*shape, geometry.content_dimension)),
        "noise_prior": normal(f"{key}/0", (1, geometry.inter_channels, shape[1])),
        "noise_sine": normal(f"{key}/1", (1, shape[1] * hop, 1)),
    }
    rounded = {name: tensor.float() for name, tensor in halves.items()}
    yield from _check_digests(path, (weights, halves, rounded, by_rule), arrays)
    network = _network(geometry, rounded)
    inputs = {name: tensor.numpy() for name, tensor in by_rule.items()}
    arrays = inputs | {"sid": np.array([_FULL_SPEAKER])} | arrays
    yield from _check_sound(network, features_of(arrays), arrays)


def _frames(arrays: Arrays, hop: int) -> int:
    for name in ("nsff0", "pitch", "phone"):
        if name in arrays:
            return int(arrays[name].shape[1])
    sound = next(name for name in sorted(arrays) if name.startswith("out"))
    return int(arrays[sound].shape[-1]) // hop


@torch.inference_mode()
def check_sine(path: Path) -> Iterable[Finding | Deviation]:
    """`sine_source.npz`: the bare sine at several rates."""
    arrays = arrays_of(path)
    f0 = torch.from_numpy(arrays["f0"]).float()[None]
    for name in sorted(name for name in arrays if name.startswith("sine_")):
        rate = name.removeprefix("sine_")
        waves, voiced = sine(f0, int(rate))
        tolerance = _SINE_TOLERANCE + _SINE_DRIFT_PER_SECOND * f0.shape[1] / 100
        yield absolute(name, waves[0], arrays[name], tolerance)
        if f"uv_{rate}" in arrays:
            yield equal(f"uv_{rate}", voiced[0].numpy(), arrays[f"uv_{rate}"])


def check_model(path: Path) -> Iterable[Finding | Deviation]:
    """`small_<model>.pth`: sizes, and names and shapes of all weights in their order."""
    stored = _stored(path)
    geometry, weights = _geometry(stored), stored["weight"]
    yield equal("config", geometry.to_config() == stored["config"], True)
    stated = {name: getattr(geometry, name) for name in _SMALL}
    yield equal("sizes that its name says", geometry, replace(named_geometry(path.stem), **stated))
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    yield equal(
        "names and shapes in order", list(state_shapes(geometry).items()) == list(shapes.items()), True
    )
    load_state(Network(geometry), weights)


def _check_sound(network: Network, features: Features, arrays: Arrays) -> Iterable[Finding]:
    mask, prior_noise = features.mask, _tensor(arrays, "noise_prior")
    mean, log_deviation = network.enc_p(features.content, features.pitch, mask)
    source = network.dec.source(features.f0_hertz)
    latents = {
        "x_mask": mask,
        "m_p": mean,
        "logs_p": log_deviation,
        "z_zero": network.latents(features),
        "sine_source_zero": None if source is None else source.transpose(1, 2),
    }
    if prior_noise is not None:
        latents["z_noise"] = network.latents(features, prior_noise)
    for name, ours in latents.items():
        if name in arrays and ours is not None:
            yield scaled(name, ours, arrays[name], LATENT_TOLERANCE)
    sounds = sorted(name for name in arrays if name.startswith("out"))
    if not sounds:
        raise ValueError(f"no sound to compare with among {', '.join(arrays)}")
    source_noise = _tensor(arrays, "noise_sine")
    for name in sounds:
        drawn = []
        if prior_noise is None or not name.endswith("_noise"):
            drawn.append(network.infer(features))
        if prior_noise is not None and not name.endswith("_zero"):
            noise = None if source_noise is None else source_noise[:, :, 0]
            drawn.append(network.infer(features, prior_noise, noise))
        # Where its name does not tell with which noise it was made, the sound does.
        findings = [scaled(name, sound, arrays[name], SOUND_TOLERANCE) for sound in drawn]
        yield min(findings, key=lambda finding: (not finding.passed, finding.difference))


def _check_digests(
    path: Path, known: Sequence[Mapping[str, torch.Tensor]], arrays: Arrays
) -> Iterable[Finding | Deviation]:
    """Digests that the file holds: of some tensors in the order of their names or their own, or of one."""
    digests = set()
    for tensors in known:
        parts = {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}
        together = [b"".join(parts[name] for name in sorted(parts)), b"".join(parts.values())]
        digests |= {hashlib.sha256(part).hexdigest() for part in [*parts.values(), *together]}
    for name, array in arrays.items():
        if array.dtype.kind == "U" and all(re.fullmatch("[0-9a-f]{64}", text) for text in array.flat):
            if set(array.flat) <= digests:
                yield Finding(name, 0.0, 0.0)
            else:
                yield not_compared(path, name)


def _stored(path: Path) -> dict[str, Any]:
    return cast(dict[str, Any], torch.load(path, map_location="cpu", weights_only=True))


def _geometry(stored: Mapping[str, Any]) -> Geometry:
    return Geometry.from_config(stored["config"], stored["version"], bool(stored["f0"]))


def geometry_beside(path: Path, model: str) -> Geometry:
    """Sizes of a model: its file's beside a fixture, or those that its name stands for."""
    file = path.parent.parent / "models" / f"{model}.pth"
    return _geometry(_stored(file)) if file.exists() else named_geometry(model)


def _stored_network(path: Path, model: str) -> Network:
    stored = _stored(path.parent.parent / "models" / f"{model}.pth")
    return _network(_geometry(stored), stored["weight"])


def _network(geometry: Geometry, weights: Mapping[str, torch.Tensor]) -> Network:
    network = Network(geometry)
    load_state(network, weights)
    fold_weight_norm(network)
    return network.eval()


def _tensor(arrays: Arrays, name: str) -> torch.Tensor | None:
    return torch.from_numpy(arrays[name]) if name in arrays else None


CHECKS: Mapping[str, Check] = {
    "infer_*_realtime.npz": check_realtime,
    "infer_full_*_rule.npz": check_full,
    "infer_*.npz": check_infer,
    "sine_source*.npz": check_sine,
    "small_*.pth": check_model,
}
