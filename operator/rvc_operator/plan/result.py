"""How a Conversion ended, in one word and a sentence."""

from __future__ import annotations

from rvc import contract
from rvc_operator.api.common import ConditionStatus
from rvc_operator.api.conditions import Verdict, ready
from rvc_operator.api.conversion import ConversionStatus, SuccessPolicy
from rvc_operator.api.reasons import Reason

from .retry import FOR_PEOPLE

REASONS = {
    "InputInvalid": Reason.INPUT_INVALID,
    "InputNotFound": Reason.INPUT_INVALID,
    "ObjectNotFound": Reason.INPUT_INVALID,
    "ConfigurationInvalid": Reason.CONFIGURATION_INVALID,
    **FOR_PEOPLE,
}
"""What a server says when a person must change the Conversion; anything else is ConversionFailed."""


def finished_verdict(status: ConversionStatus, policy: SuccessPolicy) -> tuple[Verdict, ...]:
    """Ready when every file has an outcome; files that an earlier run had converted count as converted."""
    files = status.files
    done = files.succeeded + files.skipped
    counted = f"{done} of {files.total} files converted"
    if files.failed == 0 and files.total > 0:
        return ready(ConditionStatus.TRUE, Reason.CONVERTED, counted)
    if done > 0 and policy is SuccessPolicy.ANY:
        return ready(ConditionStatus.TRUE, Reason.CONVERTED, f"{counted}, {files.failed} failed")
    if files.total == 0:
        return ready(ConditionStatus.FALSE, Reason.INPUT_INVALID, "the input has no recordings")
    first = f"; {status.failures[0].key}: {status.failures[0].message}" if status.failures else ""
    reason = Reason.PARTIALLY_FAILED if done > 0 else Reason.CONVERSION_FAILED
    return ready(ConditionStatus.FALSE, reason, f"{counted}, {files.failed} failed{first}")


def rejected_verdict(answer: contract.ConversionStatus, failures: int) -> tuple[Verdict, ...]:
    """Ready when the conversion as a whole failed for good."""
    said = ": ".join(filter(None, (answer.reason, answer.message))) or "the server does not say why"
    tries = f" (failure {failures}, no more tries)" if answer.retriable else ""
    return ready(ConditionStatus.FALSE, REASONS.get(answer.reason, Reason.CONVERSION_FAILED), said + tries)
