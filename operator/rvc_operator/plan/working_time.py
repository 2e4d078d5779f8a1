"""How long attempts were at work: what their deadline is held against, and times the GPUs what a voice costs.

While the pod of an attempt runs, the status says since when; when the attempt ends, in one write with the end
itself, the time is added and the note is gone. So nothing is counted twice, whenever the operator dies, and a
pod that vanishes without a word is counted until it was missed. Waiting, for a queue, a node, an image or the
next attempt, is not work.
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


def at_work(status: TrainingStatus, pod: Pod | None, now: datetime) -> TrainingStatus:
    """The status with the time since which the pod of the attempt has run."""
    state = _state(pod)
    begun = state.running or state.terminated
    if status.active_since is not None or begun is None:
        return status
    return replace(status, active_since=begun.started_at or now)


def ended(step: Step, status: TrainingStatus, job: Job | None, pod: Pod | None) -> TrainingStatus:
    """The attempt is over: its time is added, up to its end as far as anybody says when that was."""
    terminated = _state(pod).terminated
    end = (terminated and terminated.finished_at) or (job and job.finish_time) or step.now
    return at_rest(at_work(status, pod, end), end)


def at_rest(status: TrainingStatus, end: datetime) -> TrainingStatus:
    """The status without a pod at work; the time until `end` is added if there was one."""
    if status.active_since is None:
        return status
    seconds = active_seconds(status, end)
    held = (seconds - status.active_seconds) * status.gpus
    return replace(status, active_since=None, active_seconds=seconds, gpu_seconds=status.gpu_seconds + held)


def active_seconds(status: TrainingStatus, now: datetime) -> int:
    """Time at work until now, that of the current attempt included."""
    since = status.active_since
    running = round((now - since).total_seconds()) if since is not None else 0
    return status.active_seconds + max(running, 0)


def _state(pod: Pod | None) -> ContainerState:
    container = pod.container(TRAINER_CONTAINER) if pod is not None else None
    return container.state if container is not None else ContainerState()
