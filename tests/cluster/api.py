"""As much of a Kubernetes client as it takes to see that a cluster is ready."""

import http.client
import json
import ssl
import urllib.parse
from pathlib import Path
from typing import Any

import yaml

TIMEOUT_SECONDS = 5.0


class Api:
    """Reads from an API server with the certificate of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        content = yaml.safe_load(kubeconfig.read_text())
        cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
        self._address = urllib.parse.urlsplit(cluster["server"]).netloc
        self._tls = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self._tls.load_cert_chain(user["client-certificate"], user["client-key"])

    def get(self, path: str) -> Any:
        """The decoded JSON at `path`; None when the server does not answer with 200."""
        text = self.get_text(path)
        return None if text is None else json.loads(text)

    def get_text(self, path: str) -> str | None:
        """The body at `path`; None when the server does not answer with 200."""
        connection = http.client.HTTPSConnection(self._address, timeout=TIMEOUT_SECONDS, context=self._tls)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode()
        except OSError:
            return None
        finally:
            connection.close()
        return body if answer.status == http.HTTPStatus.OK else None

    def ready(self) -> bool:
        """Whether the server has finished its start."""
        return self.get_text("/readyz") == "ok"

    def has_default_service_account(self) -> bool:
        """Whether pods can be made in the default namespace: the controller manager is at work."""
        return self.get("/api/v1/namespaces/default/serviceaccounts/default") is not None

    def node_is_ready(self, name: str) -> bool:
        """Whether the kubelet of node `name` has registered and takes pods."""
        node = self.get(f"/api/v1/nodes/{name}")
        conditions = node["status"].get("conditions", []) if node else []
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
