import json

import torch

from rvc.architectures import VALIDATION
from rvc.training.course import Course, Epoch


def voice(number: int) -> dict[str, torch.Tensor]:
    return {"weight": torch.full((2,), float(number))}


def course(patience: int, *validations: float | None) -> Course:
    """One in which each epoch was judged so, or not at all."""
    course = Course(patience)
    for number, value in enumerate(validations, 1):
        judged = {} if value is None else {VALIDATION: value}
        course.add(Epoch(number, {"mel": 10.0 / number}, judged), None if value is None else voice(number))
        course.add_sample(torch.full((3,), number, dtype=torch.int16))
    return course


def test_without_early_stopping_the_last_epoch_is_published() -> None:
    unjudged, judged = course(0, None, None), course(0, 3.0, 1.0, 2.0)
    assert judged.best is not None
    assert (judged.best.number, judged.exhausted) == (2, False)
    assert torch.equal(judged.voice(voice(3))["weight"], voice(3)["weight"])
    assert judged.metrics() == {"mel": 10 / 3, VALIDATION: 2.0, "bestEpoch": 2.0}
    assert (unjudged.best, unjudged.metrics()) == (None, {"mel": 5.0})


def test_with_early_stopping_the_best_epoch_is_published() -> None:
    waiting, exhausted = course(3, 3.0, 1.0, 2.0), course(3, 3.0, 1.0, None, None, 1.5)
    assert (waiting.exhausted, exhausted.exhausted) == (False, True)
    assert torch.equal(exhausted.voice(voice(5))["weight"], voice(2)["weight"])
    assert exhausted.metrics() == {"mel": 5.0, VALIDATION: 1.0, "bestEpoch": 2.0}


def test_nothing_to_judge_by_never_stops_early() -> None:
    unjudged = course(1, None, None, None)
    assert not unjudged.exhausted
    assert torch.equal(unjudged.voice(voice(3))["weight"], voice(3)["weight"])


def test_of_equally_good_epochs_the_first_is_best() -> None:
    equal = course(2, 1.0, 1.0, 1.0)
    assert equal.best is not None
    assert (equal.best.number, equal.exhausted) == (1, True)


def test_samples_of_the_newest_epochs_and_of_the_best_stay() -> None:
    assert sorted(course(0, 3.0, 1.0, 2.0, 2.0, 2.0).samples) == [2, 4, 5]
    assert sorted(course(0, None, None, None).samples) == [2, 3]


def test_a_course_is_continued_from_its_state() -> None:
    whole = course(2, 3.0, 1.0, 2.0, 4.0)
    continued = Course(2)
    continued.load_state_dict(course(2, 3.0, 1.0).state_dict())
    for number, value in ((3, 2.0), (4, 4.0)):
        continued.add(Epoch(number, {"mel": 10.0 / number}, {VALIDATION: value}), voice(number))
        continued.add_sample(torch.full((3,), number, dtype=torch.int16))
    assert continued.epochs == whole.epochs
    assert continued.exhausted
    assert whole.exhausted
    assert sorted(continued.samples) == sorted(whole.samples)
    assert torch.equal(continued.voice(voice(4))["weight"], voice(2)["weight"])


def test_each_epoch_is_a_line_of_json() -> None:
    lines = [json.loads(line) for line in course(0, None, 2.0).lines().splitlines()]
    assert lines == [
        {"epoch": 1, "losses": {"mel": 10.0}},
        {"epoch": 2, "losses": {"mel": 5.0}, "validation": {VALIDATION: 2.0}},
    ]
