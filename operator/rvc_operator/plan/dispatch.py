"""Which server gets a Conversion, and what it is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from rvc import contract
from rvc_operator.api.conversion import Conversion
from rvc_operator.api.names import SERVER_CONTAINER
from rvc_operator.api.objects import Pod
from rvc_operator.api.voicemodel import VoiceModel
from rvc_operator.build.pod import claim_of, claims_of


def choose_server(servers: Iterable[Pod], loads: Mapping[str, int], revision: str, limit: int) -> Pod | None:
    """The ready server of `revision` with the least to do; None when each has `limit` shards or more."""
    candidates = [
        pod
        for pod in servers
        if pod.ready and pod.metadata.revision == revision and loads.get(pod.metadata.uid, 0) < limit
    ]
    return min(candidates, key=lambda pod: (loads.get(pod.metadata.uid, 0), pod.metadata.name), default=None)


def conversion_request(
    conversion: Conversion, pod: Pod, content_producer: str, shard: contract.Shard
) -> contract.ConversionRequest | None:
    """What the server in `pod` is told; the voice is the one that the pod was started with.

    None for a pod that names no voice we can read: an older release of the operator made it.
    """
    try:
        served = pod.variable(SERVER_CONTAINER, contract.SERVED_VOICE_VARIABLE)
        voice = msgspec.json.decode(served, type=contract.VoiceReference)
    except msgspec.DecodeError:
        return None
    spec, wanted = conversion.spec, conversion.spec.parameters
    return contract.ConversionRequest(
        conversion=contract.ObjectKey(conversion.metadata.namespace, conversion.metadata.name),
        voice=voice,
        input=contract.ConversionInput(object=spec.input.object or "", prefix=spec.input.prefix or ""),
        output=contract.ConversionOutput(
            prefix=spec.output.prefix,
            format=spec.output.format,
            audible_label=spec.output.audible_label,
            audible_label_prompt=spec.output.audible_label_prompt or "",
            signed_links_seconds=spec.output.signed_links.expiry_seconds if spec.output.signed_links else 0,
        ),
        parameters=msgspec.convert(wanted, contract.ConversionParameters, from_attributes=True),
        content_producer=content_producer,
        shard=shard,
    )


def unreachable_claim(conversion: Conversion, voice: VoiceModel) -> str | None:
    """Why the voice's servers cannot reach input, output or prompt; None when they can."""
    spec = conversion.spec
    uris = [spec.input.object or spec.input.prefix or "", spec.output.prefix]
    uris += [spec.output.audible_label_prompt] if spec.output.audible_label_prompt else []
    mounted = claim_of(voice.spec.storage.uri)
    missing = [claim for claim in claims_of(uris) if claim != mounted]
    if not missing:
        return None
    name = voice.metadata.name
    there = f"only the claim {mounted}, which spec.storage.uri names" if mounted else "no claim"
    return (
        f"the servers of VoiceModel {name} mount {there}, not {', '.join(missing)}; "
        "keep input and output where the voice is stored"
    )
