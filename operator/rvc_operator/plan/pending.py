"""Why a pod does not run yet, in one word: the reasons that a person can do something about.

Read from the pod's conditions and its containers' waiting reasons, ours and the cloud provider's.
"""

from __future__ import annotations

from rvc_operator.api.objects import Pod, Waiting
from rvc_operator.api.reasons import Reason

Why = tuple[Reason, str]

NOT_PERMITTED_REASON = "FeatureGetNoPermission"
OUT_OF_STOCK_MARK = "FailedScheduling"
IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)
REFUSED_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
STARTING: Why = (Reason.PENDING, "the pod is about to start")
"""From the creation of what makes the pod until it runs, in the same words: none of it is worth a write."""


def pending_reason(pod: Pod) -> Why:
    """Reason and message for a pod that is not running."""
    for condition in pod.status.conditions:
        if condition.status == "True":
            continue
        if condition.reason == NOT_PERMITTED_REASON:
            advice = "the cloud account may not use this accelerator; ask the provider to enable it"
            return Reason.ACCELERATOR_NOT_PERMITTED, _sentence(advice, condition.message)
        if condition.type == "ContainerInstanceCreated" and OUT_OF_STOCK_MARK in condition.reason:
            advice = "the provider has no such accelerator to give at the moment"
            return Reason.ACCELERATOR_OUT_OF_STOCK, _sentence(advice, condition.message)
        if condition.type == "PodScheduled" and condition.reason == "Unschedulable":
            return Reason.UNSCHEDULABLE, _sentence("no node fits the pod", condition.message)
    waiting = (status.state.waiting for status in pod.status.container_statuses)
    return next((why for state in waiting if state is not None and (why := _refused(state))), STARTING)


def _refused(waiting: Waiting) -> Why | None:
    if waiting.reason in IMAGE_REASONS:
        return Reason.IMAGE_PULL_FAILED, _sentence(waiting.reason, waiting.message)
    if waiting.reason not in REFUSED_REASONS:
        return None
    if waiting.reason == "CreateContainerConfigError" and "secret" in waiting.message.lower():
        advice = "a Secret that the spec names is not there, or lacks a key"
        return Reason.CREDENTIALS_MISSING, _sentence(advice, waiting.message)
    return Reason.CONTAINER_CANNOT_START, _sentence(waiting.reason, waiting.message)


def _sentence(what: str, details: str) -> str:
    return f"{what}: {details}" if details else what
