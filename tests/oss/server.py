"""A server that speaks OSS's protocol, in a thread of the test or as a program (`python -m tests.oss`).

Every request goes the same way: which operation? a fault? is the signature right, is it allowed? do it, write
it down, call the hook, answer. Buckets are named in the path, in the host name (through a proxy or a name of
one's own), or stand behind a domain.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import tempfile
import threading
import time
import uuid
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from tests.oss.answers import Answer, error, flipped, sliced, xml
from tests.oss.errors import OssError
from tests.oss.faults import NO_FAULT, Fault, Plan
from tests.oss.objects import Bucket
from tests.oss.operations import OPERATIONS, Call, operation_of
from tests.oss.signature import Account, Request, authenticate, parameters_of
from tests.oss.sts import assume_role

ADMIN_PREFIX = "/-/"
"""No bucket can have this name: here tests in other processes ask for faults and read the log."""
KEY_ID, KEY_SECRET, REGION = "LTAI-test-id", "test-secret-that-nobody-may-see", "cn-test"
_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class Operation:
    """A line of the log: an operation that was done or refused."""

    number: int
    """From 1."""
    name: str
    key: str
    """Of a listing the prefix."""
    status: int
    code: str = ""
    """Of the error."""
    key_id: str = ""
    """The access key that signed."""
    range: str = ""


class OssServer:
    """Buckets behind an HTTP port. A context manager."""

    def __init__(
        self,
        buckets: Iterable[str] = ("voices",),
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        region: str = REGION,
        accounts: Mapping[str, Account] | None = None,
        roles: Mapping[str, str] | None = None,
        domains: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        folder: Path | None = None,
    ) -> None:
        """`roles` are RAM roles with the service account's token that opens each, `domains` host names of one
        bucket each; bodies are kept in a new folder below `folder`."""
        self._bodies = tempfile.TemporaryDirectory(prefix="oss-", dir=folder)
        self.buckets = {name: Bucket(Path(self._bodies.name)) for name in buckets}
        self.region = region
        self.accounts = dict(accounts if accounts is not None else {KEY_ID: Account(KEY_SECRET)})
        self.roles = dict(roles or {})
        self.domains = dict(domains or {})
        self.faults = Plan()
        self.skew_seconds = 0.0
        """How far the server's clock is from the true time."""
        self.operations: list[Operation] = []
        self.after_operation: Callable[[Operation], None] | None = None
        """Called when an operation has taken effect and is not answered yet, in the thread of its request."""
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"oss": self})
        self._http = _HttpServer((host, port), handler)
        self._scheme = "http"
        if tls is not None:
            self._scheme = "https"
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)
        self.port = int(self._http.server_address[1])

    @property
    def endpoint(self) -> str:
        """For clients on this machine."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def counts(self) -> Counter[str]:
        """How many of each operation there were."""
        with self._lock:
            return Counter(operation.name for operation in self.operations)

    def serve(self) -> None:
        """Answer requests until `close` is called."""
        self._http.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        """Stop, and forget everything."""
        self._http.shutdown()
        self._http.server_close()
        self._bodies.cleanup()

    def __enter__(self) -> OssServer:
        threading.Thread(target=self.serve, name="oss-server", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def note(self, operation: Operation) -> None:
        """Write an operation down and call the hook."""
        with self._lock:
            operation = replace(operation, number=len(self.operations) + 1)
            self.operations.append(operation)
        if self.after_operation is not None:
            self.after_operation(operation)


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are what this server is for."""


class _Disconnect(Exception):
    """No answer; the connection is broken off."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = _CHUNK_BYTES
    oss: ClassVar[OssServer]

    def log_message(self, format: str, *arguments: object) -> None:
        """The log is `OssServer.operations`."""

    def _serve(self) -> None:
        self._request_id = uuid.uuid4().hex[:24].upper()
        self._skew = self.oss.skew_seconds
        self._body = self._incoming()
        target = urlsplit(self.path)
        try:
            if target.path.startswith(ADMIN_PREFIX):
                answer, fault = self._administrate(target.path.removeprefix(ADMIN_PREFIX)), NO_FAULT
            elif "Action" in (parameters := parameters_of(target.query)):
                answer, fault = assume_role(parameters, self.oss.roles, self.oss.accounts), NO_FAULT
            else:
                answer, fault = self._operate(
                    target.netloc or self.headers.get("Host", ""), target.path, target.query
                )
            for _ in self._body:  # What was not read would be taken for the next request.
                pass
            self._send(answer, fault)
        except (_Disconnect, ConnectionError):
            self._reset()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

    def _operate(self, host: str, path: str, query: str) -> tuple[Answer, Fault]:
        bucket, key = self._addressed(host.rpartition(":")[0] or host, unquote(path))
        headers = {name.lower(): value for name, value in self.headers.items()}
        parameters = parameters_of(query)
        request = Request(self.command, bucket, key, query, headers)
        name, code, key_id, fault = "Unknown", "", "", NO_FAULT
        subject = key or parameters.get("prefix", "")
        try:
            name = operation_of(self.command, key, parameters, headers)
            fault = self.oss.faults.next(name, subject)
            key_id = self._admit(request, name, subject, fault)
            if fault.flip_byte is not None and name in ("PutObject", "UploadPart"):
                self._body = flipped(self._body, fault.flip_byte)
            call = Call(
                self.oss.buckets[bucket], self.oss.buckets, bucket, key, parameters, headers, self._body
            )
            answer = OPERATIONS[name](call)
        except OssError as refusal:
            code = refusal.code
            answer = self._refusal(refusal, host)
        self.oss.note(Operation(0, name, subject, answer.status, code, key_id, headers.get("range", "")))
        if fault.lose_answer:
            raise _Disconnect
        return answer, fault

    def _admit(self, request: Request, name: str, subject: str, fault: Fault) -> str:
        """The access key of a request that is allowed; raises `OssError`, `_Disconnect`."""
        if fault.latency_seconds:
            time.sleep(fault.latency_seconds)
        if fault.reset:
            raise _Disconnect
        self._skew += fault.skew_seconds
        now = time.time() + self._skew
        if request.bucket not in self.oss.buckets:
            raise OssError(404, "NoSuchBucket", "The specified bucket does not exist.")
        key_id, account = authenticate(request, self.oss.accounts, self.oss.region, now)
        if fault.expire_token:
            raise OssError(403, "SecurityTokenExpired", "The security token you provided has expired.")
        if fault.status:
            headers = (
                {} if fault.retry_after_seconds is None else {"Retry-After": str(fault.retry_after_seconds)}
            )
            raise OssError(fault.status, fault.code, "This was asked for.", headers)
        if not account.allows(name, subject):
            raise OssError(403, "AccessDenied", "You have no right to access this object.")
        return key_id

    def _addressed(self, host: str, path: str) -> tuple[str, str]:
        """Bucket and key of a request."""
        label, dot, _ = host.partition(".")
        if host in self.oss.domains:
            return self.oss.domains[host], path[1:]
        if dot and label in self.oss.buckets:
            return label, path[1:]
        bucket, _, key = path[1:].partition("/")
        return bucket, key

    def _refusal(self, refusal: OssError, host: str) -> Answer:
        if refusal.status == 304:
            return Answer(304)
        document = error(refusal.code, refusal.message, self._request_id, host)
        answer = xml(document, refusal.headers, refusal.status)
        if self.command == "HEAD":
            answer.headers["x-oss-err"] = b64encode(b"".join(answer.body)).decode()
            answer.length = 0
        return answer

    def _send(self, answer: Answer, fault: Fault) -> None:
        headers = dict(answer.headers)
        if fault.wrong_crc64 and "x-oss-hash-crc64ecma" in headers:
            headers["x-oss-hash-crc64ecma"] = str(int(headers["x-oss-hash-crc64ecma"]) ^ 1)
        self.send_response_only(answer.status)
        self.send_header("Server", "AliyunOSS")
        self.send_header("Date", formatdate(time.time() + self._skew, usegmt=True))
        self.send_header("x-oss-request-id", self._request_id)
        for name, value in headers.items():
            self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(answer.length + (fault.content_length_plus or 0)))
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(answer, fault)
        self.wfile.flush()
        if fault.content_length_plus or fault.truncate_to_bytes is not None:
            self.close_connection = True

    def _send_body(self, answer: Answer, fault: Fault) -> None:
        chunks = iter(answer.body)
        if fault.flip_byte is not None and self.command == "GET":
            chunks = flipped(chunks, fault.flip_byte)
        cut = fault.reset_after_bytes if fault.reset_after_bytes is not None else fault.truncate_to_bytes
        for chunk in chunks if cut is None else sliced(chunks, cut):
            self.wfile.write(chunk)
        if fault.reset_after_bytes is not None:
            self.wfile.flush()
            raise _Disconnect

    def _reset(self) -> None:
        """Break the connection as a machine that went away does, without the end of the stream."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    def _incoming(self) -> Iterator[bytes]:
        """The body of the request; raises `ConnectionError` when it breaks off."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self._read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            chunk = self._read(min(left, _CHUNK_BYTES))
            left -= len(chunk)
            yield chunk

    def _read(self, size: int) -> bytes:
        chunk = self.rfile.read(size)
        if len(chunk) < size:
            raise ConnectionError("the request broke off")
        return chunk

    def _administrate(self, what: str) -> Answer:
        try:
            content = json.loads(b"".join(self._body) or b"null")
            return _json(200, self._administration(what, content))
        except (KeyError, TypeError, ValueError) as error:
            return _json(400, f"{type(error).__name__}: {error}")

    def _administration(self, what: str, content: object) -> object:
        match self.command, what:
            case "POST", "faults":
                entries = content if isinstance(content, list) else [content]
                self.oss.faults.add(*map(Fault.from_json, entries))
            case "DELETE", "faults":
                self.oss.faults.clear()
            case "POST", "accounts" if isinstance(content, dict):
                key_id = content.pop("id")
                self.oss.accounts[key_id] = Account(**content)
            case "DELETE", "accounts" if isinstance(content, str):
                del self.oss.accounts[content]
            case "GET", "operations":
                return [asdict(operation) for operation in list(self.oss.operations)]
            case "GET", "counts":
                return self.oss.counts
            case _:
                raise KeyError(what)
        return "done"


def _json(status: int, content: object) -> Answer:
    text = json.dumps(content).encode()
    return Answer(status, {"Content-Type": "application/json"}, [text], len(text))
