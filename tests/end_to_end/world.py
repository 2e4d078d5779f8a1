"""What the end-to-end tests say about the cluster: objects to apply, states to wait for, pods to kill."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.kubectl import Kubectl
from tests.demo.files import ClaimFiles
from tests.demo.watch import condition, is_ready

CLAIM = "voices"
WAIT_SECONDS = 420
GROUP = "voice.rvc.dev"


@dataclass
class World:
    """One namespace of a cluster on which the operator runs."""

    kubectl: Kubectl
    namespace: str
    trainer_image: str

    def files(self) -> ClaimFiles:
        """Access to the claim's files; a context manager."""
        return ClaimFiles(self.kubectl, self.namespace, CLAIM, self.trainer_image)

    def apply(self, *objects: dict[str, Any]) -> None:
        """kubectl apply."""
        self.kubectl.apply(
            *[each | {"metadata": each["metadata"] | {"namespace": self.namespace}} for each in objects]
        )

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """One object."""
        return dict(self.kubectl.json("get", kind, name, "-n", self.namespace))

    def list(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """Objects of a kind, perhaps with a label."""
        chosen = ("-l", selector) if selector else ()
        return list(self.kubectl.json("get", kind, "-n", self.namespace, *chosen)["items"])

    def wait_until(self, what: str, check: Callable[[], Any], seconds: float = WAIT_SECONDS) -> Any:
        """Ask again until `check` gives something true, and return that."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := check():
                return value
            time.sleep(0.5)
        raise AssertionError(f"waited {seconds:.0f} s for {what}\n{self.story()}")

    def until_ready(self, kind: str, name: str) -> dict[str, Any]:
        """Wait for Ready=True of the current generation; fails at once when the object needs a person."""

        def check() -> dict[str, Any] | None:
            item = self.get(kind, name)
            stalled = condition(item, "Stalled")
            assert stalled.get("status") != "True", f"{kind}/{name} stopped: {stalled}\n{self.story()}"
            return item if is_ready(item) else None

        return dict(self.wait_until(f"{kind}/{name} to be Ready", check))

    def until_reason(self, kind: str, name: str, reason: str) -> dict[str, Any]:
        """Wait until the Ready condition gives a reason; returns the condition."""

        def check() -> dict[str, Any] | None:
            ready = condition(self.get(kind, name), "Ready")
            return ready if ready.get("reason") == reason else None

        return dict(self.wait_until(f"{kind}/{name} to say {reason}", check))

    def kill_pods(self, selector: str, namespace: str | None = None) -> None:
        """Delete pods without grace."""
        chosen = ("-n", namespace or self.namespace, "-l", selector)
        self.kubectl("delete", "pods", *chosen, "--grace-period=0", "--force", "--wait=true")

    def story(self) -> str:
        """What a person would look at when something does not come to its end."""
        kinds = "voicemodels,conversions,jobs,deployments,pods"
        parts = [
            self.kubectl("get", kinds, "-n", self.namespace, "-o", "wide"),
            self.kubectl("get", "events", "-n", self.namespace, "--sort-by=.metadata.creationTimestamp"),
            self.kubectl("logs", "-n", "rvc-system", "deployment/rvc-operator", "--tail=60"),
        ]
        objects = self.list("voicemodels") + self.list("conversions")
        parts += [json.dumps(item.get("status", {}), indent=1) for item in objects]
        pods = [pod["metadata"]["name"] for pod in self.list("pods", f"{GROUP}/component")]
        parts += [self.kubectl("logs", "-n", self.namespace, pod, "--tail=30") for pod in pods]
        return "\n".join(parts)


def voice(name: str, dataset: str, **training: Any) -> dict[str, Any]:
    """A VoiceModel that learns on the CPU, on the claim."""
    settings = {
        "architecture": "Light",
        "sampleRateHertz": 16000,
        "epochs": 2,
        "saveEveryEpochs": 1,
        "batchSize": 8,
    }
    return {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": "VoiceModel",
        "metadata": {"name": name},
        "spec": {
            "dataset": {"uri": f"pvc://{CLAIM}/{dataset}/"},
            "storage": {"uri": f"pvc://{CLAIM}/models/"},
            "accelerator": {"model": "CPU"},
            "training": settings | training,
        },
    }


def imported(name: str, model: str) -> dict[str, Any]:
    """A VoiceModel that brings a model file of the claim."""
    made = voice(name, "")
    del made["spec"]["dataset"], made["spec"]["training"]
    made["spec"]["import"] = {"modelUri": f"pvc://{CLAIM}/{model}"}
    return made


def conversion(name: str, voice_name: str, **spec: Any) -> dict[str, Any]:
    """A Conversion into `converted/<name>/` of the claim; give `input`."""
    return {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": "Conversion",
        "metadata": {"name": name},
        "spec": {
            "voiceModelRef": {"name": voice_name},
            "output": {"prefix": f"pvc://{CLAIM}/converted/{name}/"},
        }
        | spec,
    }


def write_bad_recordings(folder: Path) -> None:
    """One good recording's unlucky neighbours: each must fail alone, with a reason."""
    import numpy as np
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.wav").write_text("This is a letter, not a recording.\n" * 50)
    (folder / "empty.wav").touch()
    soundfile.write(folder / "silent.wav", np.zeros(32000, np.float32), 16000)
    soundfile.write(folder / "nan.wav", np.full(32000, np.nan, np.float32), 16000, subtype="FLOAT")
