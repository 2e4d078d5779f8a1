"""kubectl, as people use it, for tests and the command line."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from .layout import ClusterError


class Kubectl:
    """kubectl with the kubeconfig of one cluster (None: the user's own)."""

    def __init__(self, kubeconfig: Path | None) -> None:
        self._command = [program(), *([f"--kubeconfig={kubeconfig}"] if kubeconfig else [])]

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Standard output of `kubectl ARGUMENTS`; ClusterError with its messages when it fails."""
        command = [*self._command, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ClusterError(
                f"`kubectl {' '.join(arguments)}` ended with {done.returncode}:\n{done.stderr}"
            )
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """The decoded answer of `kubectl ARGUMENTS --output=json`."""
        return json.loads(self(*arguments, "--output=json"))

    def stream(self, *arguments: str) -> subprocess.Popen[bytes]:
        """`kubectl ARGUMENTS` running, with pipes to its standard input and from its standard output."""
        return subprocess.Popen([*self._command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def apply(self, *manifests: dict[str, Any]) -> None:
        """Apply manifests given as dictionaries."""
        bundle = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self("apply", "--filename=-", stdin=json.dumps(bundle))


def program() -> str:
    """kubectl of the running virtual environment, or else of the PATH."""
    beside_python = Path(sys.executable).parent / "kubectl"
    path = str(beside_python) if beside_python.exists() else shutil.which("kubectl")
    if path is None:
        raise ClusterError("kubectl is missing; `make setup` installs it into .venv")
    return path
