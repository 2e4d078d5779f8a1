"""The decisions, as tests ask for them: each status is also read as Argo CD, Flux and kubectl read it."""

from datetime import datetime

from rvc_operator.api.voicemodel import VoiceModelStatus
from rvc_operator.config import Config
from rvc_operator.plan import conversion, voicemodel
from rvc_operator.plan.actions import ConversionPlan, VoicePlan
from rvc_operator.plan.observed import ObservedConversion, ObservedVoice
from tests.fitting.reading import check_status

from .factory import after


def plan_voice(observed: ObservedVoice, config: Config, now: datetime) -> VoicePlan:
    """The real decision."""
    plan = voicemodel.plan_voice(observed, config, now)
    check_status(after(dict(observed.body), plan), "VoiceModel")
    return plan


def plan_rejected_voice(
    observed: ObservedVoice, config: Config, reached: VoiceModelStatus | None, message: str, now: datetime
) -> VoicePlan:
    """The real decision."""
    plan = voicemodel.plan_rejected_voice(observed, config, reached, message, now)
    check_status(after(dict(observed.body), plan), "VoiceModel")
    return plan


def plan_conversion(observed: ObservedConversion, config: Config, now: datetime) -> ConversionPlan:
    """The real decision."""
    plan = conversion.plan_conversion(observed, config, now)
    check_status(after(dict(observed.body), plan), "Conversion")
    return plan
