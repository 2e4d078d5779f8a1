"""How long training held GPUs: what a voice has cost, over all its attempts and revisions.

While an attempt runs, the status says since when and how many; when it ends, in one write with the end
itself, the time is added and the note is gone. So nothing is counted twice, whenever the operator dies, and a
pod that vanishes without a word is counted until it was missed.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from rvc.contract import Device
from rvc_operator.api.names import TRAINER_CONTAINER
from rvc_operator.api.objects import ContainerState, Job, Pod
from rvc_operator.api.voicemodel import TrainingStatus
from rvc_operator.build.accelerator import trainer_accelerator

from .step import Step


def gpus(step: Step) -> int:
    """Cards that an attempt asks for."""
    spec = step.voice.spec
    computes_on_cpu = trainer_accelerator(spec, step.config).device is Device.CPU
    return 0 if computes_on_cpu else spec.accelerator.count


def holding(status: TrainingStatus, pod: Pod | None) -> TrainingStatus:
    """The status with the time since which the pod of the attempt has run."""
    state = _state(pod)
    begun = state.running or state.terminated
    if status.gpus == 0 or status.gpus_held_since is not None or begun is None:
        return status
    return replace(status, gpus_held_since=begun.started_at)


def ended(step: Step, status: TrainingStatus, job: Job | None, pod: Pod | None) -> TrainingStatus:
    """The attempt is over: its time is added, up to its end as far as anybody says when that was."""
    terminated = _state(pod).terminated
    end = (terminated and terminated.finished_at) or (job and job.finish_time) or step.now
    return released(holding(status, pod), end)


def released(status: TrainingStatus, end: datetime) -> TrainingStatus:
    """The status without GPUs; the time until `end` is added if there were any."""
    since = status.gpus_held_since
    if since is None:
        return status
    seconds = round((end - since).total_seconds() * status.gpus)
    return replace(status, gpus_held_since=None, gpu_seconds=status.gpu_seconds + max(0, seconds))


def _state(pod: Pod | None) -> ContainerState:
    container = pod.container(TRAINER_CONTAINER) if pod is not None else None
    return container.state if container is not None else ContainerState()
