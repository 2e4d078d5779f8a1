"""Specs that tests begin with."""

from typing import Any

Spec = dict[str, Any]


def voice_spec(**changes: Any) -> Spec:
    """A valid VoiceModel's spec; keyword arguments replace top-level fields."""
    return {
        "dataset": {"uri": "pvc://voices/recordings/"},
        "storage": {"uri": "pvc://voices/models/"},
        "accelerator": {"model": "CPU"},
        "training": {"architecture": "Light", "sampleRateHertz": 32000, "epochs": 30},
    } | changes


def conversion_spec(voice: str = "alice", **changes: Any) -> Spec:
    """A valid Conversion's spec; keyword arguments replace top-level fields."""
    return {
        "voiceModelRef": {"name": voice},
        "input": {"object": "pvc://voices/inbox/hello.wav"},
        "output": {"prefix": "pvc://voices/converted/"},
    } | changes
