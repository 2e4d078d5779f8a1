"""Two voices made into one: every weight a mixture, in single precision, of the two.

Works for voices that grew from the same pretrained network, as those of the community do; their weights lie
close enough for the way between them to be voices, too.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from rvc.community.inference_model import InferenceModel
from rvc.community.voice import described, model_of
from rvc.community.weights import as_half
from rvc.errors import InvalidConfiguration
from rvc.rvc2.geometry import SPEAKER_TABLE, Geometry
from rvc.rvc2.state import state_shapes
from rvc.voice import EncoderReference, Voice, VoiceManifest


def merge_voices(
    first: Voice, second: Voice, share: float, name: str
) -> tuple[InferenceModel, VoiceManifest]:
    """The mixture of two opened voices, and its manifest, which names both.

    Raises InvalidConfiguration for voices that cannot be mixed, and for content encoders that are known to be
    different copies.
    """
    texts = [
        f"{part:.0%} of {voice.manifest.name} ({voice.digest})"
        for part, voice in ((share, first), (1 - share, second))
    ]
    info = f"{share:.0%} {first.manifest.name} + {1 - share:.0%} {second.manifest.name}"
    model = merge_models(model_of(first), model_of(second), share, info)
    manifest = described(model, name, origin={"merged": " and ".join(texts)})
    encoder = _common_encoder(first.manifest.content_encoder, second.manifest.content_encoder)
    return model, msgspec.structs.replace(manifest, content_encoder=encoder)


def merge_models(first: InferenceModel, second: InferenceModel, share: float, info: str) -> InferenceModel:
    """`share` of the first voice and `1 - share` of the second, in the manner of the original program.

    The table of speakers is cut to the shorter one's. Raises InvalidConfiguration for voices of different
    sizes, versions or rates.
    """
    if not 0 <= share <= 1:
        raise InvalidConfiguration(f"a share of {share} is not between 0 and 1")
    speakers = min(first.geometry.speakers, second.geometry.speakers)
    geometry = first.geometry.with_speakers(speakers)
    _require_alike(geometry, second.geometry.with_speakers(speakers))
    mixed = {}
    for name in state_shapes(geometry):
        a, b = first.tensors[name].float(), second.tensors[name].float()
        if name == SPEAKER_TABLE:
            a, b = a[:speakers], b[:speakers]
        mixed[name] = share * a + (1 - share) * b
    return InferenceModel(
        geometry=geometry,
        tensors=as_half(mixed, "the merged voice"),
        info=info,
        speaker_names=first.speaker_names[:speakers],
        median_f0_hertz=_between(first.median_f0_hertz, second.median_f0_hertz, share),
    )


def _between(first_hertz: float | None, second_hertz: float | None, share: float) -> float | None:
    """The pitch that many semitones from both; None where one of them is not known."""
    if first_hertz is None or second_hertz is None:
        return None
    return round(float(first_hertz**share * second_hertz ** (1 - share)), 1)


def _require_alike(first: Geometry, second: Geometry) -> None:
    """Sizes must agree; what files merely note (segment, dropout) need not."""
    ours, theirs = first.to_dict(), replace(second, segment_frames=first.segment_frames).to_dict()
    differences = [f"{name} {ours[name]} and {theirs[name]}" for name in ours if ours[name] != theirs[name]]
    if differences:
        raise InvalidConfiguration(
            f"these voices cannot be merged, their networks differ: {'; '.join(differences)}"
        )


def _common_encoder(first: EncoderReference, second: EncoderReference) -> EncoderReference:
    if first.digest and second.digest and first.digest != second.digest:
        raise InvalidConfiguration(
            f"these voices were learnt with different copies of {first.name} ({first.digest} and "
            f"{second.digest}); a mixture would understand neither"
        )
    return first if first.digest else second
