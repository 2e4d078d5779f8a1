"""Follow VoiceModels and Conversions the way `kubectl get --watch` does, with one line that moves."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

from tests.cluster.kubectl import Kubectl

POLL_SECONDS = 2.0
SETTLE_SECONDS = 60.0
KINDS = "voicemodels.voice.rvc.dev,conversions.voice.rvc.dev"


class DemoFailed(Exception):
    """The demo did not reach its end; the message says what to look at."""


def condition(item: dict[str, Any], kind: str) -> dict[str, Any]:
    """One condition of an object, or an empty one."""
    return next((c for c in item.get("status", {}).get("conditions", ()) if c["type"] == kind), {})


def is_ready(item: dict[str, Any]) -> bool:
    """Ready is True, and about the spec as it is now."""
    ready = condition(item, "Ready")
    return ready.get("status") == "True" and ready.get("observedGeneration") == item["metadata"]["generation"]


def snapshots(kubectl: Kubectl, namespace: str) -> Iterator[list[dict[str, Any]]]:
    """The objects of both kinds, again and again."""
    while True:
        yield kubectl.json("get", KINDS, "-n", namespace)["items"]
        time.sleep(POLL_SECONDS)


def follow(kubectl: Kubectl, namespace: str, count: int, deadline_seconds: float) -> list[dict[str, Any]]:
    """Show changes until `count` objects are Ready, and return them; DemoFailed if one needs a person."""
    started = time.monotonic()
    shown: dict[str, str] = {}
    for items in snapshots(kubectl, namespace):
        for item in items:
            name = f"{item['kind'].lower()}/{item['metadata']['name']}"
            state = _state(item)
            if shown.get(name) != state:
                shown[name] = state
                _line(f"  {time.monotonic() - started:5.0f} s  {name:28} {state}")
            if condition(item, "Stalled").get("status") == "True":
                raise DemoFailed(f"{name} stopped: {condition(item, 'Stalled')['message']}")
        _moving(items)
        if len(items) == count and all(is_ready(item) for item in items):
            _line("")
            return items
        if time.monotonic() - started > deadline_seconds:
            raise DemoFailed(f"not everything was Ready within {deadline_seconds / 60:.0f} minutes: {shown}")
    raise AssertionError("snapshots never end")


def settled(kubectl: Kubectl, namespace: str) -> dict[str, str]:
    """Resource versions of our objects and their children, once they stay the same from one look to the next.

    DemoFailed if they do not within a minute: then something writes without a cause.
    """
    last: dict[str, str] = {}
    end = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < end:
        items = kubectl.json("get", f"{KINDS},jobs.batch,deployments.apps,services", "-n", namespace)["items"]
        versions = {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in items}
        if versions == last:
            return versions
        last = versions
        time.sleep(2 * POLL_SECONDS)
    raise DemoFailed(f"the objects in {namespace} still change a minute after everything was Ready")


def _state(item: dict[str, Any]) -> str:
    ready = condition(item, "Ready")
    stage = item.get("status", {}).get("training", {}).get("stage", "")
    stage = f" ({stage})" if ready.get("reason") == "Training" and stage else ""
    return f"Ready={ready.get('status', '-'):8} {ready.get('reason', '-')}{stage}"


def _moving(items: list[dict[str, Any]]) -> None:
    """The progress line; only at a terminal, where it can be written over."""
    if not sys.stdout.isatty():
        return
    parts = []
    for item in items:
        status = item.get("status", {})
        training, files = status.get("training", {}), status.get("files", {})
        if item["kind"] == "VoiceModel":
            remaining = training.get("estimatedRemainingSeconds")
            parts.append(
                f"training {training.get('progressPercentage', 0)} % "
                f"(epoch {training.get('epoch', 0)} of {training.get('totalEpochs', 0)}"
                + (f", {remaining} s left)" if remaining is not None else ")")
            )
        else:
            done = files.get("succeeded", 0) + files.get("failed", 0) + files.get("skipped", 0)
            parts.append(f"{item['metadata']['name']} {done} of {files.get('total', '?')}")
    print("\r\033[K  " + "  |  ".join(parts), end="", flush=True)


def _line(text: str) -> None:
    print(("\r\033[K" if sys.stdout.isatty() else "") + text, flush=True)
