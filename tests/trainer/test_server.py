"""The board and its server over real HTTP."""

import urllib.error
import urllib.request

import msgspec
import pytest

from rvc.contract import Metric, Progress, Stage
from rvc_trainer.server import ProgressBoard, ProgressServer
from tests.fixtures.proofs import guard, proof


@pytest.fixture
def board() -> ProgressBoard:
    return ProgressBoard(attempt=3)


@pytest.fixture
def address(board):
    server = ProgressServer(board, 0, guard())
    server.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def read(url: str, authorization: str = "") -> bytes:
    request = urllib.request.Request(url, headers={"Authorization": authorization} if authorization else {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()


def progress_at(address: str) -> Progress:
    return msgspec.json.decode(read(address + "/progress", proof("GET", "/progress")), type=Progress)


def test_progress_is_the_last_that_was_reported(board, address):
    assert progress_at(address) == Progress(Stage.FETCHING, attempt=3)
    board.update(Progress(Stage.TRAINING, progress_percentage=40, epoch=4, total_epochs=10))
    progress = progress_at(address)
    assert (progress.stage, progress.attempt, progress.epoch) == (Stage.TRAINING, 3, 4)


def test_metrics_are_for_prometheus(board, address):
    board.update(Progress(Stage.TRAINING, progress_percentage=40, epoch=4, metrics=(Metric("mel", "0.5"),)))
    lines = read(address + "/metrics").decode().splitlines()
    assert 'rvc_training_info{stage="Training"} 1.0' in lines
    assert "rvc_training_progress_ratio 0.4" in lines
    assert "rvc_training_attempt 3.0" in lines
    assert 'rvc_training_metric{name="mel"} 0.5' in lines


@pytest.mark.parametrize("authorization", ["", "Bearer guessed", proof("GET", "/metrics")])
def test_progress_is_for_the_operator_alone(board, address, authorization):
    with pytest.raises(urllib.error.HTTPError, match="401") as caught:
        read(address + "/progress", authorization)
    assert caught.value.headers["WWW-Authenticate"] == "RVC-Proof"
    refused = msgspec.json.decode(caught.value.read())
    assert refused["reason"].startswith("Proof")
    assert refused["message"]
    lines = read(address + "/metrics").decode().splitlines()
    assert f'rvc_refused_requests_total{{reason="{refused["reason"]}"}} 1.0' in lines


def test_health_and_unknown_paths(address):
    assert read(address + "/healthz") == b"ok\n"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        read(address + "/elsewhere")
