"""What a pod needs to get the accelerator that a voice asks for: catalogue entry plus the wishes of the spec.

ACS reads the card's model from a label of the pod in compute class `gpu`, and from the node selector in class
`gpu-hpn`, whose nodes are reserved; so the class decides where the model goes.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from rvc_operator.accelerators import Accelerator
from rvc_operator.api.rules import InvalidSpec
from rvc_operator.api.voicemodel import CPU_MODEL, VoiceModelSpec
from rvc_operator.config import Config

COMPUTE_CLASS_LABEL = "alibabacloud.com/compute-class"
COMPUTE_QOS_LABEL = "alibabacloud.com/compute-qos"
MODEL_SERIES_LABEL = "alibabacloud.com/gpu-model-series"
DRIVER_VERSION_LABEL = "alibabacloud.com/gpu-driver-version"
RESERVED_CLASS = "gpu-hpn"


def accelerator_of(spec: VoiceModelSpec, config: Config) -> Accelerator:
    """The catalogue's entry with the spec's wishes applied; raises InvalidSpec for an unknown model, and for
    a QoS of reserved nodes, which have none."""
    wanted = spec.accelerator
    entry = config.accelerators.get(wanted.model)
    if entry is None:
        known = ", ".join(sorted(config.accelerators))
        raise InvalidSpec(
            f"{wanted.model} is not in the operator's accelerator catalogue, which has {known}",
            "spec.accelerator.model",
        )
    labels = dict(entry.labels)
    wishes = {
        COMPUTE_CLASS_LABEL: wanted.compute_class,
        COMPUTE_QOS_LABEL: wanted.qos,
        DRIVER_VERSION_LABEL: wanted.driver_version,
    }
    labels |= {label: value for label, value in wishes.items() if value is not None}
    if wanted.qos is not None and labels.get(COMPUTE_CLASS_LABEL) == RESERVED_CLASS:
        raise InvalidSpec(f"compute class {RESERVED_CLASS} has no QoS; leave it out", "spec.accelerator.qos")
    return replace(
        _for_reserved_nodes(entry, labels),
        resource_name=wanted.resource_name or entry.resource_name,
    )


def trainer_accelerator(spec: VoiceModelSpec, config: Config) -> Accelerator:
    """The same for the pods that bring the voice about; an import computes nothing and waits for no card."""
    return accelerator_of(spec, config) if spec.import_ is None else config.accelerators[CPU_MODEL]


def _for_reserved_nodes(entry: Accelerator, labels: Mapping[str, str]) -> Accelerator:
    if labels.get(COMPUTE_CLASS_LABEL) != RESERVED_CLASS:
        return replace(entry, labels=dict(labels))
    selector = {key: value for key, value in labels.items() if key == MODEL_SERIES_LABEL}
    kept = {key: value for key, value in labels.items() if key not in (MODEL_SERIES_LABEL, COMPUTE_QOS_LABEL)}
    return replace(entry, labels=kept, node_selector=entry.node_selector | selector)
