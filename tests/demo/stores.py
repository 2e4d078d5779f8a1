"""Where the demo's recordings and voices are: on a volume, or (`make demo STORE=oss`) in a bucket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import yaml

from tests.cluster.kubectl import Kubectl
from tests.cluster.layout import ClusterError
from tests.demo.bucket import Bucket
from tests.demo.cluster import ROOT
from tests.demo.files import ClaimFiles, PodFiles

VARIABLE = "STORE"
SAMPLES = str(ROOT / "manifests/samples")
CLAIM = "voices"


class Place(Protocol):
    """What the demo asks of either."""

    title: str
    """What is typed to apply the samples."""

    def empty(self) -> None:
        """Make the place ready, with nothing in it."""

    def files(self) -> AbstractContextManager[PodFiles]:
        """Access to its files."""

    def apply_samples(self) -> None:
        """Apply the samples."""


def choose() -> str:
    """The kind of place that the user wishes; ClusterError for one that there is not."""
    wish = os.environ.get(VARIABLE) or "pvc"
    if wish not in ("pvc", "oss"):
        raise ClusterError(f'{VARIABLE} is "{wish}"; it may be "oss", or unset for a PersistentVolumeClaim')
    return wish


def place(kind: str, kubectl: Kubectl, namespace: str, image: str) -> Place:
    """The place in a namespace."""
    return (_Bucket if kind == "oss" else _Volume)(kubectl, namespace, image)


class _Volume:
    def __init__(self, kubectl: Kubectl, namespace: str, image: str) -> None:
        self._kubectl, self._namespace, self._image = kubectl, namespace, image
        self.title = f"kubectl apply -n {namespace} -k manifests/samples"

    def empty(self) -> None:
        with self.files() as files:
            files.empty()

    @contextmanager
    def files(self) -> Iterator[ClaimFiles]:
        with ClaimFiles(self._kubectl, self._namespace, CLAIM, self._image) as files:
            yield files

    def apply_samples(self) -> None:
        self._kubectl("apply", "-n", self._namespace, "-k", SAMPLES)


class _Bucket:
    def __init__(self, kubectl: Kubectl, namespace: str, image: str) -> None:
        self._kubectl, self._namespace = kubectl, namespace
        self._bucket = Bucket(kubectl, namespace, image, CLAIM)
        self.title = f"kubectl apply -n {namespace} of manifests/samples, with oss:// for pvc:// and a Secret"

    def empty(self) -> None:
        self._bucket.start()
        self._bucket.grant()

    @contextmanager
    def files(self) -> Iterator[PodFiles]:
        yield self._bucket.files

    def apply_samples(self) -> None:
        samples = yaml.safe_load_all(self._kubectl("kustomize", SAMPLES))
        self._kubectl.apply(
            *(
                self._bucket.moved(each | {"metadata": each["metadata"] | {"namespace": self._namespace}})
                for each in samples
            )
        )
