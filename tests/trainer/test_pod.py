"""What programs in pods do first: log lines and threads."""

import json
import logging
import os
import sys

import pytest

from rvc.pod import THREAD_VARIABLES, JsonFormatter, cpu_limit, event, limit_threads

PROCESSORS = len(os.sched_getaffinity(0))


def version_1(folder, quota: int) -> None:
    (folder / "cpu").mkdir()
    (folder / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (folder / "cpu" / "cpu.cfs_period_us").write_text("100000\n")


@pytest.mark.parametrize(("quota", "limit"), [(150000, 1.5), (-1, None)])
def test_limit_of_control_groups_version_1(tmp_path, quota, limit):
    version_1(tmp_path, quota)
    assert cpu_limit(tmp_path) == limit


@pytest.mark.parametrize(("text", "limit"), [("150000 100000\n", 1.5), ("max 100000\n", None)])
def test_limit_of_control_groups_version_2(tmp_path, text, limit):
    (tmp_path / "cpu.max").write_text(text)
    assert cpu_limit(tmp_path) == limit


def test_no_control_group_is_no_limit(tmp_path):
    assert cpu_limit(tmp_path) is None


@pytest.mark.parametrize(
    ("quota", "threads"), [(10000, 1), (100000, 1), (100000 * 1000, PROCESSORS), (-1, PROCESSORS)]
)
def test_threads_follow_the_limit(tmp_path, quota, threads):
    version_1(tmp_path, quota)
    environment: dict[str, str] = {}
    assert limit_threads(environment, tmp_path) == threads
    assert {environment[variable] for variable in THREAD_VARIABLES} == {str(threads)}


def test_a_number_that_is_set_stays(tmp_path):
    environment = {"OMP_NUM_THREADS": "7"}
    assert limit_threads(environment, tmp_path) == 7
    assert environment["OMP_NUM_THREADS"] == "7"


def test_a_log_line_is_one_object(caplog):
    caplog.set_level(logging.INFO)
    event(logging.getLogger("here"), "something\nhappened", epoch=3, where=os.curdir)
    line = JsonFormatter().format(caplog.records[0])
    assert "\n" not in line
    read = json.loads(line)
    assert (read["level"], read["logger"], read["message"]) == ("INFO", "here", "something\nhappened")
    assert (read["epoch"], read["where"]) == (3, ".")


def test_a_traceback_is_in_the_line():
    try:
        raise ZeroDivisionError("division by zero")
    except ZeroDivisionError:
        record = logging.LogRecord("here", logging.ERROR, "", 0, "oh", None, sys.exc_info())
    assert "ZeroDivisionError: division by zero" in json.loads(JsonFormatter().format(record))["traceback"]
