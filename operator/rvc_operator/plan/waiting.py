"""What a Conversion waits for, in words."""

from __future__ import annotations

from datetime import datetime, timedelta

from rvc_operator.api.common import ConditionStatus
from rvc_operator.api.conditions import find, ready
from rvc_operator.api.conversion import ConversionStatus
from rvc_operator.api.objects import Pod
from rvc_operator.api.reasons import ConditionType, Reason
from rvc_operator.api.rules import InvalidSpec
from rvc_operator.api.voicemodel import VoiceModel

from .case import Case, Verdicts
from .retry import FOR_PEOPLE, seconds_until

NOT_FOUND_SECONDS = 600
"""How long a voice may be missing before the Conversion says so: GitOps applies objects in any order."""


def available_voice(case: Case) -> tuple[VoiceModel | None, Verdicts]:
    """The voice if it can be used, else what is awaited."""
    name = case.conversion.spec.voice_model_ref.name
    body = case.observed.voice
    if body is None:
        missing = case.now - case.created >= timedelta(seconds=NOT_FOUND_SECONDS)
        reason = Reason.VOICE_NOT_FOUND if missing else Reason.WAITING_FOR_VOICE
        message = f"there is no VoiceModel {name} in this namespace"
        return None, ready(ConditionStatus.UNKNOWN, reason, message)
    if body["metadata"].get("deletionTimestamp"):
        message = f"VoiceModel {name} is being deleted"
        return None, ready(ConditionStatus.UNKNOWN, Reason.WAITING_FOR_VOICE, message)
    try:
        voice = VoiceModel.from_object(dict(body))
    except InvalidSpec as error:
        message = f"VoiceModel {name} is not valid: {error}"
        return None, ready(ConditionStatus.UNKNOWN, Reason.WAITING_FOR_VOICE, message)
    state = find(voice.status.conditions, ConditionType.READY)
    if state is not None and state.status is ConditionStatus.TRUE:
        return voice, ()
    # A voice may have thousands of Conversions, and each step of its training would be written into all of
    # them: they name what keeps the voice only where it will not pass by itself.
    if state is None or state.status is ConditionStatus.UNKNOWN:
        message = f"VoiceModel {name} cannot be used yet; its conditions say how far it is"
    else:
        message = f"VoiceModel {name} cannot be used: {state.reason}; its conditions say more"
    return None, ready(ConditionStatus.UNKNOWN, Reason.WAITING_FOR_VOICE, message)


def waiting_for_server(voice: VoiceModel, servers: tuple[Pod, ...]) -> Verdicts:
    """Why no server has been chosen."""
    if any(pod.ready for pod in servers):
        message = "every ready server has as much to do as conversionsPerReplica allows, or another revision"
    else:
        state = find(voice.status.conditions, ConditionType.SERVING)
        said = f": {state.reason}; the condition Serving of the VoiceModel says more" if state else ""
        message = f"no server is ready yet{said}"
    return ready(ConditionStatus.UNKNOWN, Reason.WAITING_FOR_INFERENCE, message)


def until_the_next_deadline(case: Case) -> float:
    """A missing voice becomes VoiceNotFound, any waiting ends at the deadline, although nothing happens."""
    limits = (NOT_FOUND_SECONDS, case.conversion.spec.active_deadline_seconds)
    moments = (case.created + timedelta(seconds=limit) for limit in limits)
    return min(seconds_until(moment, case.now) for moment in moments if moment > case.now)


def retrying(case: Case, status: ConversionStatus, due: datetime) -> Verdicts:
    """Why another try follows, and when."""
    failure = status.last_failure
    said = f"{failure.reason}: {failure.message}" if failure is not None else "the server could not go on"
    limit = case.conversion.spec.backoff_limit + 1
    tried = f"failure {status.failed_attempts} of {limit}: {said}"
    message = f"{tried}; the next try starts at {due:%Y-%m-%dT%H:%M:%SZ}"
    retried = Reason.CONVERSION_RETRYING
    reason = FOR_PEOPLE.get(failure.reason, retried) if failure is not None else retried
    return ready(ConditionStatus.UNKNOWN, reason, message)
