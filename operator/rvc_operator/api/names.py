"""Labels, annotations and the names of children: all pure functions of their owner, declared once.

A name says exactly which child it is, so creating one that is there already answers 409, and 409 means done.
"""

from __future__ import annotations

from enum import StrEnum

from rvc.contract import API_GROUP

VOICE_LABEL = f"{API_GROUP}/voice"
"""Name of the VoiceModel that a child belongs to."""
REVISION_LABEL = f"{API_GROUP}/revision"
"""Revision of the voice that a Job trains or a server speaks with."""
DIRECT_LABEL = f"{API_GROUP}/direct"
"""On servers that users may call with their token: network policies let others than the operator in."""
COMPONENT_LABEL = f"{API_GROUP}/component"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGER = "rvc-operator"
"""Value of the managed-by label, our field manager and the prefix of our events' controller."""
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
TEMPLATE_ANNOTATION = f"{API_GROUP}/template"
"""Digest of the manifest that a child was last applied from; the live object is never compared, since the API
server and webhooks rewrite it."""

FINALIZER = f"{API_GROUP}/clean-up"
"""On voices with `deletionPolicy: Delete`: they stay until their files are removed, or cannot be."""
SKIP_CLEAN_UP_ANNOTATION = f"{API_GROUP}/skip-clean-up"
"""`"true"` lets such a voice go at once, and its files stay."""

TRAINER_CONTAINER = "trainer"
SERVER_CONTAINER = "server"


class Component(StrEnum):
    """What a child is for."""

    TRAINER = "trainer"
    SERVER = "server"
    CLEAN_UP = "clean-up"


def labels(voice: str, component: Component) -> dict[str, str]:
    """Labels that select all children of one component of a voice."""
    return {
        VOICE_LABEL: voice,
        COMPONENT_LABEL: component.value,
        MANAGED_BY_LABEL: MANAGER,
    }


def job_name(voice: str, revision: str, attempt: int) -> str:
    """Job of one training attempt."""
    return f"{voice}-train-{revision}-{attempt}"


def server_name(voice: str) -> str:
    """Deployment and Service of a voice."""
    return f"{voice}-server"


def clean_up_job_name(voice: str, uid: str) -> str:
    """Job that removes the files of a deleted voice; another voice of that name has another one."""
    return f"{voice}-clean-up-{uid[:8]}"


def voice_uri(storage_uri: str, namespace: str, voice: str) -> str:
    """Folder of all that a voice has in its store; ends in `/` as `storage_uri` does."""
    return f"{storage_uri}{namespace}/{voice}/"


def artifact_uri(storage_uri: str, namespace: str, voice: str, revision: str) -> str:
    """Folder of a published revision."""
    return f"{voice_uri(storage_uri, namespace, voice)}{revision}/"
