"""Exit codes and termination messages."""

import inspect

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvc import errors
from rvc.contract import ExitCode, Metric, TrainingResult
from rvc.exit_codes import EXIT_CODES, exit_code
from rvc_trainer.outcome import failure, termination_message


def test_every_kind_of_error_has_an_exit_code():
    kinds = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind is not errors.RvcError}
    assert kinds == {kind for kind, _ in EXIT_CODES}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidDataset("x"), 10),
        (errors.ObjectNotFound("x"), 10),
        (errors.InvalidConfiguration("x"), 11),
        (errors.TrainingFailed("x"), 11),
        (errors.PermissionDenied("x"), 12),
        (errors.StoreUnavailable("x"), 13),
        (errors.AcceleratorError("x"), 14),
        (errors.Terminated("x"), 143),
        (errors.RvcError("x"), 1),
        (ZeroDivisionError("x"), 1),
    ],
)
def test_exit_codes_are_those_of_the_contract(error, code):
    assert exit_code(error) == ExitCode(code)


def test_a_failure_says_what_went_wrong():
    assert failure(errors.InvalidDataset("no speech", reason="DatasetEmpty")) == TrainingResult(
        reason="DatasetEmpty", message="no speech"
    )
    defect = failure(ZeroDivisionError("division by zero"))
    assert defect.reason == "InternalError"
    assert "ZeroDivisionError: division by zero" in defect.message


TEXT = st.text(max_size=6000)


@given(TEXT, st.lists(st.builds(Metric, name=st.text(max_size=80), value=st.text(max_size=20)), max_size=60))
def test_a_termination_message_is_never_too_long_nor_broken(message, metrics):
    result = TrainingResult(artifact_uri="pvc://claim/voice/", metrics=tuple(metrics), message=message)
    text = termination_message(result)
    assert len(text) <= 4096
    read = msgspec.json.decode(text, type=TrainingResult)
    assert read.artifact_uri == result.artifact_uri
    if len(msgspec.json.encode(result)) <= 4096:
        assert read == result


def test_a_long_message_keeps_its_beginning():
    text = termination_message(TrainingResult(message="é" * 5000))
    message = msgspec.json.decode(text, type=TrainingResult).message
    assert message.startswith("é" * 1000)
    assert message.endswith(" …")
