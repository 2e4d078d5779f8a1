"""CLUSTER=current: the cluster of the user's own kubeconfig, with images that the user names.

For machines where this package cannot make a cluster, and for trying ours on a real one. Nothing is started,
loaded or removed there but what the tests and the demo themselves apply.
"""

import os
from pathlib import Path

from .images import NAMES
from .kubectl import Kubectl
from .layout import ClusterError

VARIABLE = "CLUSTER"


def chosen() -> bool:
    """Whether the user asks for the current cluster; ClusterError for any other wish than that."""
    wish = os.environ.get(VARIABLE, "")
    if wish not in ("", "current"):
        raise ClusterError(
            f'{VARIABLE} is "{wish}"; it may be "current", or unset for a cluster made on this machine'
        )
    return wish == "current"


def kubeconfig() -> Path | None:
    """The user's kubeconfig; None when KUBECONFIG lists several, and kubectl is to find them."""
    named = os.environ.get("KUBECONFIG", "")
    path = Path(named) if named else Path.home() / ".kube" / "config"
    return path if path.is_file() else None


def image_names() -> dict[str, str]:
    """Names of our images as that cluster can pull them, from IMAGE_OPERATOR and its siblings."""
    variables = {name: f"IMAGE_{name.upper()}" for name in NAMES}
    missing = [variable for variable in variables.values() if not os.environ.get(variable)]
    if missing:
        raise ClusterError(
            f"{VARIABLE}=current needs images that the cluster can pull: set {', '.join(missing)}. They are "
            "built from operator/Dockerfile, trainer-image/Dockerfile and inference-image/Dockerfile."
        )
    return {name: os.environ[variable] for name, variable in variables.items()}


def require_reachable() -> None:
    """Raise unless the current cluster answers."""
    try:
        Kubectl(None)("get", "--raw=/readyz")
    except ClusterError as error:
        raise ClusterError(f"the cluster of your current kubeconfig does not answer: {error}") from error
