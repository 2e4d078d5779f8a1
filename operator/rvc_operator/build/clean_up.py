"""The Job that removes the files of a deleted voice, with the credentials that the voice's pods have.

It has no owner: the garbage collector takes what a voice owns as soon as the voice is deleted in the
foreground, and this is needed just then. So it goes by a time to live.
"""

from __future__ import annotations

from rvc import contract
from rvc_operator.accelerators import Resources
from rvc_operator.api import names
from rvc_operator.api.voicemodel import CPU_MODEL, VoiceModel
from rvc_operator.config import Config

from . import pod
from .job import store_settings
from .pod import Manifest

CLEAN_UP_SECONDS = 600
"""How long a deleted voice may wait for its files to be removed."""
TRIES = 4
KEPT_SECONDS = 3600
"""How long the Job stays for its log."""
GRACE_SECONDS = 30
RESOURCES = Resources(requests={"cpu": "100m", "memory": "256Mi"}, limits={"cpu": "1", "memory": "1Gi"})


def files_of(voice: VoiceModel) -> str:
    """Folder of all that the voice has in its store."""
    return names.voice_uri(voice.spec.storage.uri, voice.metadata.namespace, voice.metadata.name)


def clean_up_job(voice: VoiceModel, config: Config) -> Manifest:
    """Manifest of the Job; it needs no card, whatever the voice has."""
    accelerator = config.accelerators[CPU_MODEL]
    key, storage = contract.ObjectKey(voice.metadata.namespace, voice.metadata.name), voice.spec.storage
    request = contract.CleanUpRequest(key, files_of(voice), store_settings(voice))
    labels = names.labels(key.name, names.Component.CLEAN_UP)
    container = pod.container(
        names.TRAINER_CONTAINER,
        accelerator.trainer_image or config.trainer_image,
        "rvc_trainer.clean_up",
        {contract.CLEAN_UP_REQUEST_VARIABLE: contract.encode(request)},
        storage,
        config.public_key,
    )
    container["resources"] = {"requests": RESOURCES.requests, "limits": RESOURCES.limits}
    cleaner = pod.pod_spec(voice, accelerator, container, GRACE_SECONDS)
    pod.mount_claims(cleaner, dict.fromkeys(pod.claims_of([storage.uri]), True))
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": names.clean_up_job_name(key.name, voice.metadata.uid),
            "namespace": key.namespace,
            "labels": labels,
        },
        "spec": {
            "backoffLimit": TRIES - 1,
            "activeDeadlineSeconds": CLEAN_UP_SECONDS,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {
                "metadata": pod.pod_metadata(voice, accelerator, labels),
                "spec": cleaner | {"restartPolicy": "Never"},
            },
        },
    }
