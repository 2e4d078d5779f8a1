"""The Job of one training attempt: one pod, one try. Retrying is the operator's, which knows what failed."""

from __future__ import annotations

from rvc import contract
from rvc_operator.accelerators import Accelerator
from rvc_operator.api import names
from rvc_operator.api.rules import to_object
from rvc_operator.api.voicemodel import VoiceModel, VoiceModelSpec
from rvc_operator.config import Config

from . import pod
from .accelerator import trainer_accelerator
from .pod import Manifest

GRACE_SECONDS = 120
"""Time to save a checkpoint after SIGTERM."""


def training_request(
    voice: VoiceModel, revision: str, attempt: int, batch_parts: int, device: contract.Device
) -> contract.TrainingRequest:
    """What the trainer is told; a batch is computed in several parts after memory ran out."""
    spec, name = voice.spec, contract.ObjectKey(voice.metadata.namespace, voice.metadata.name)
    return contract.TrainingRequest(
        voice=name,
        revision=revision,
        dataset_uri=spec.dataset.uri if spec.dataset is not None else "",
        import_=_import_source(spec),
        artifact_uri=names.artifact_uri(spec.storage.uri, name.namespace, name.name, revision),
        attempt=attempt,
        training=_training_settings(spec, batch_parts),
        device=device,
        accelerators=1 if device is contract.Device.CPU else spec.accelerator.count,
        store=store_settings(voice),
        consent=contract.Consent(**to_object(spec.consent)),
    )


def _training_settings(spec: VoiceModelSpec, batch_parts: int) -> contract.TrainingSettings:
    if spec.import_ is not None:
        return contract.TrainingSettings()
    training = spec.training
    return contract.TrainingSettings(
        architecture=training.architecture,
        sample_rate_hertz=training.sample_rate_hertz,
        content_encoder=training.content_encoder,
        pitch_method=training.pitch_method,
        epochs=training.epochs,
        batch_size=training.batch_size,
        batch_parts=batch_parts,
        save_every_epochs=training.save_every_epochs,
        seed=training.seed,
        precision=training.precision,
        multi_speaker=training.multi_speaker,
        early_stopping_epochs=training.early_stopping_epochs,
        gradient_checkpointing=training.gradient_checkpointing,
        tensor_board=training.tensor_board,
        base_models_uri=training.base_models_uri or "",
    )


def _import_source(spec: VoiceModelSpec) -> contract.ImportSource | None:
    if spec.import_ is None:
        return None
    return contract.ImportSource(spec.import_.model_uri, spec.import_.index_uri or "")


def store_settings(voice: VoiceModel) -> contract.StoreSettings:
    """Where the object store is; its credentials reach the pods by other ways."""
    storage = voice.spec.storage
    return contract.StoreSettings(endpoint=storage.endpoint or "", region=storage.region or "")


def training_job(
    voice: VoiceModel, config: Config, revision: str, attempt: int, batch_parts: int = 1
) -> Manifest:
    """Manifest of an attempt at `revision`; raises InvalidSpec for an unknown accelerator."""
    accelerator = trainer_accelerator(voice.spec, config)
    request = training_request(voice, revision, attempt, batch_parts, accelerator.device)
    labels = names.labels(voice.metadata.name, names.Component.TRAINER) | {names.REVISION_LABEL: revision}
    queue = {names.QUEUE_LABEL: voice.spec.queue_name} if voice.spec.queue_name else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": pod.metadata(
            voice, names.job_name(voice.metadata.name, revision, attempt), labels | queue
        ),
        "spec": {
            "backoffLimit": 0,
            "template": {
                "metadata": pod.pod_metadata(voice, accelerator, labels),
                "spec": _trainer(voice, config, accelerator, request),
            },
        },
    }


def _trainer(
    voice: VoiceModel, config: Config, accelerator: Accelerator, request: contract.TrainingRequest
) -> Manifest:
    spec = voice.spec
    container = pod.container(
        names.TRAINER_CONTAINER,
        accelerator.trainer_image or config.trainer_image,
        "rvc_trainer",
        {contract.TRAINING_REQUEST_VARIABLE: contract.encode(request)},
        spec.storage,
        config.public_key,
    )
    container["ports"] = [pod.port(contract.TRAINER_PORT)]
    container["resources"] = pod.resources(accelerator.trainer, accelerator, spec.accelerator.count, voice)
    container["volumeMounts"].append({"name": "shared-memory", "mountPath": "/dev/shm"})
    trainer = pod.pod_spec(voice, accelerator, container, GRACE_SECONDS)
    size = {"sizeLimit": accelerator.shared_memory} if accelerator.shared_memory else {}
    trainer["volumes"].append({"name": "shared-memory", "emptyDir": {"medium": "Memory"} | size})
    written = pod.claim_of(spec.storage.uri)
    claims = pod.claims_of((spec.storage.uri, *spec.source_uris))
    pod.mount_claims(trainer, {claim: claim == written for claim in claims})
    return trainer | {"restartPolicy": "Never"}
