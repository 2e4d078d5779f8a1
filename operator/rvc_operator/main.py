"""The operator's table of contents: what it listens to, and where that goes.

kopf lists and watches, logs in and answers the kubelet's probe; a watch event only puts its object into the
cache and its key onto the work queue. All decisions are in `plan`, all writes in `runtime`.

Rights that the operator needs, in the namespaces that it serves and nowhere else:

    voice.rvc.dev   voicemodels, conversions                   get list watch
    voice.rvc.dev   conversions                                delete (ttlSecondsAfterFinished)
    voice.rvc.dev   voicemodels                                patch (finalizer for deletionPolicy: Delete)
    voice.rvc.dev   voicemodels/status, conversions/status     patch
    voice.rvc.dev   voicemodels/finalizers                     update (to own children, where that is guarded)
    batch           jobs                                       get list watch create delete
    apps            deployments                                get list watch create patch
    (core)          services                                   get list watch create patch
    (core)          pods                                       get list watch
    events.k8s.io   events                                     create

and in its own namespace, of one Secret alone:

    (core)          secrets/rvc-operator-key                   get patch (its key pair)
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from random import uniform
from typing import Any

import kopf

from rvc.contract import API_GROUP

from .config import Config
from .metrics.endpoint import Endpoint
from .metrics.meters import Meters
from .runtime.cache import Kind
from .runtime.keys import wait_for_signer
from .runtime.kube import Kube, client_configuration
from .runtime.no_memory import NoMemory
from .runtime.operator import CHILD_SELECTOR, Operator, utc_now

log = logging.getLogger(__name__)

registry = kopf.OperatorRegistry()


class Backoffs:
    """Pauses between tries to reach the API server: without end, since an outage must not end the process."""

    def __iter__(self) -> Iterator[float]:
        """Yield seconds, from about one to about thirty, jittered."""
        nominal = 1.0
        while True:
            yield nominal * uniform(0.5, 1.0)
            nominal = min(nominal * 2, 30.0)


@kopf.on.startup(registry=registry)
async def startup(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
    """Set kopf up, read the cluster, start to work."""
    config: Config = memo.config
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.persistence.finalizer = f"{API_GROUP}/finalizer"
    settings.persistence.diffbase_storage = NoMemory()
    settings.networking.error_backoffs = Backoffs()
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 30
    settings.watching.reconnect_backoff = 1.0
    settings.queueing.error_delays = (1, 2, 5, 10, 30)
    # A worker of kopf holds its place until its object has been silent for so long, so that a limit of places
    # would be one of objects a second; handlers here do next to nothing.
    settings.queueing.worker_limit = None
    settings.queueing.idle_timeout = 0.5
    for kind in Kind:
        if kind.child:
            settings.watching.label_selectors[kind.plural] = CHILD_SELECTOR
    meters = Meters()
    kube = Kube(await client_configuration(), meters.requested)
    # Started without an API server, the operator is to say that it is alive; so nothing is waited for here.
    memo.operator = Operator(
        config, kube, lambda: wait_for_signer(kube, config.namespace, iter(Backoffs())), utc_now, meters
    )
    memo.operator.start()
    memo.endpoint = Endpoint(meters.registry)
    await memo.endpoint.start(config.metrics_port)


@kopf.on.cleanup(registry=registry)
async def cleanup(memo: kopf.Memo, **_: Any) -> None:
    """End all work."""
    await memo.endpoint.stop()
    await memo.operator.stop()


@kopf.on.login(registry=registry)
async def login(**_: Any) -> kopf.ConnectionInfo:
    """Log in as our own client does."""
    configuration = await client_configuration()
    scheme, _space, token = (configuration.api_key.get("BearerToken") or "").rpartition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        scheme=scheme or None,
        token=token or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )


# Any other error would be retried behind the kubelet's back, which would never be answered.
@kopf.on.probe(id="secondsSinceListing", errors=kopf.ErrorsMode.PERMANENT, registry=registry)
def probe(memo: kopf.Memo, **_: Any) -> float | None:
    """Fail when a watch or the loop of listings has died: the kubelet then starts the operator anew.

    An API server that does not answer is no reason to: the operator waits for it as well as a new one would.
    """
    operator: Operator = memo.operator
    problem = operator.problem()
    if problem:
        log.error("a restart is due: %s", problem)
        raise RuntimeError(problem)
    return operator.seconds_since_listing()


@kopf.on.event(API_GROUP, "voicemodels", param=Kind.VOICE, registry=registry)
@kopf.on.event(API_GROUP, "conversions", param=Kind.CONVERSION, registry=registry)
@kopf.on.event("batch", "jobs", param=Kind.JOB, registry=registry)
@kopf.on.event("apps", "deployments", param=Kind.DEPLOYMENT, registry=registry)
@kopf.on.event("", "v1", "services", param=Kind.SERVICE, registry=registry)
@kopf.on.event("", "v1", "pods", param=Kind.POD, registry=registry)
async def heard(event: kopf.RawEvent, memo: Any, param: Any = None, **_: Any) -> None:
    """Put what a watch says into the cache and its key onto the queue."""
    memo.operator.observe(param, event["type"] == "DELETED", event["object"])
