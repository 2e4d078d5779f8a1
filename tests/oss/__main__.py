"""The test server as a program, such as in a pod; SIGTERM ends it.

Keys are read from OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET, as clients read them. Faults are asked for,
and operations read, over HTTP: POST and DELETE /-/faults, GET /-/operations and /-/counts, POST and DELETE
/-/accounts.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from tests.oss.server import KEY_ID, KEY_SECRET, REGION, OssServer
from tests.oss.signature import Account


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.oss", description=__doc__)
    parser.add_argument("--host", default="0.0.0.0", help="address to listen at (default: all)")
    parser.add_argument("--port", type=int, default=9000, help="0 for any free one (default: 9000)")
    parser.add_argument("--bucket", action="append", required=True, help="name of a bucket; repeatable")
    parser.add_argument("--region", default=REGION, help=f"that signatures must name (default: {REGION})")
    parser.add_argument(
        "--folder", type=Path, help="where bodies are kept (default: that of temporary files)"
    )
    arguments = parser.parse_args()
    account = Account(os.environ.get("OSS_ACCESS_KEY_SECRET", KEY_SECRET))
    server = OssServer(
        arguments.bucket,
        host=arguments.host,
        port=arguments.port,
        region=arguments.region,
        accounts={os.environ.get("OSS_ACCESS_KEY_ID", KEY_ID): account},
        folder=arguments.folder,
    )
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with server:
        print(f"listening on port {server.port}", file=sys.stderr, flush=True)
        stopped.wait()


main()
