"""`python -m rvc_operator`: read the configuration and run until told to stop."""

from __future__ import annotations

import logging
import os
import sys

import kopf

from . import main as registrations
from .config import ConfigurationError, load_config
from .runtime.logs import NamesObjects


def main() -> int:
    """Run the operator; exit code 2 when it is not configured."""
    try:
        config = load_config(os.environ)
    except ConfigurationError as error:
        print(f"rvc-operator: {error}", file=sys.stderr)  # noqa: T201
        return 2
    kopf.configure(log_format=kopf.LogFormat.JSON)
    for handler in logging.getLogger().handlers:
        handler.addFilter(NamesObjects())
    # A line for each watch event and for each probe would bury ours.
    for noisy in ("kopf.objects", "kopf.activities.probe", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    kopf.run(
        registry=registrations.registry,
        standalone=True,
        clusterwide=not config.namespaces,
        namespaces=config.namespaces,
        liveness_endpoint=config.liveness,
        memo=kopf.Memo(config=config),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
