"""What the trainer answers while it works: `/progress` for the operator alone, `/metrics`, `/healthz`.

A thread of its own that only reads the board; training writes the board and never waits for a reader.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from rvc.contract import Progress, Stage, encode
from rvc.proof import SCHEME, Guard, ProofRefused


class ProgressBoard:
    """The latest progress of one attempt; written by training, read by the server."""

    def __init__(self, attempt: int = 1) -> None:
        self._attempt = attempt
        self._progress = Progress(stage=Stage.FETCHING, attempt=attempt)

    def update(self, progress: Progress) -> None:
        """Replace the progress; the number of the attempt is the board's own."""
        self._progress = msgspec.structs.replace(progress, attempt=self._attempt)

    @property
    def progress(self) -> Progress:
        """The last progress written."""
        return self._progress


class ProgressCollector(Collector):
    """Prometheus metrics read off board and guard when they are asked for."""

    def __init__(self, board: ProgressBoard, guard: Guard) -> None:
        self._board = board
        self._guard = guard

    def collect(self) -> Iterable[Metric]:
        """The families of one scrape."""
        progress = self._board.progress
        yield InfoMetricFamily("rvc_training", "Stage of the attempt", value={"stage": progress.stage})
        yield GaugeMetricFamily("rvc_training_attempt", "Number of the attempt", value=progress.attempt)
        yield GaugeMetricFamily(
            "rvc_training_progress_ratio", "Work done, 0 to 1", value=progress.progress_percentage / 100
        )
        yield GaugeMetricFamily("rvc_training_epoch", "Last complete epoch", value=progress.epoch)
        yield GaugeMetricFamily("rvc_training_epochs", "Epochs asked for", value=progress.total_epochs)
        values = GaugeMetricFamily("rvc_training_metric", "Losses and other figures", labels=["name"])
        for metric in progress.metrics:
            values.add_metric([metric.name], float(metric.value))
        yield values
        refused = CounterMetricFamily(
            "rvc_refused_requests", "Requests without the operator's proof", labels=["reason"]
        )
        for reason, count in sorted(self._guard.refused.items()):
            refused.add_metric([reason], count)
        yield refused


class _Handler(BaseHTTPRequestHandler):
    server: ProgressServer

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/progress":
                self._answer_operator()
            case "/metrics":
                self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self.server.registry))
            case "/healthz":
                self._answer(HTTPStatus.OK, "text/plain", b"ok\n")
            case path:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", f"no {path} here\n".encode())

    def _answer_operator(self) -> None:
        try:
            self.server.guard.check(self.headers.get("Authorization"), self.command, self.path)
        except ProofRefused as error:
            body = msgspec.json.encode({"reason": error.reason, "message": str(error)})
            self._answer(HTTPStatus.UNAUTHORIZED, "application/json", body)
        else:
            self._answer(HTTPStatus.OK, "application/json", encode(self.server.board.progress).encode())

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", SCHEME)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """A poll every few seconds is no news."""


class ProgressServer(ThreadingHTTPServer):
    """Serves the board on all addresses of the pod; `port` 0 takes any free one."""

    daemon_threads = True

    def __init__(self, board: ProgressBoard, port: int, guard: Guard) -> None:
        self.board = board
        self.guard = guard
        self.registry = CollectorRegistry()
        self.registry.register(ProgressCollector(board, guard))
        super().__init__(("0.0.0.0", port), _Handler)

    def start(self) -> None:
        """Answer from now on, until the process ends."""
        threading.Thread(target=self.serve_forever, name="progress-server", daemon=True).start()
