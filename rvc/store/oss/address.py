"""Where a bucket is asked for, and the region that signatures name.

Real OSS wants the bucket in the host name (`bucket.oss-<region>.aliyuncs.com`); a domain of one's own stands
for one bucket and is used as it is; IP addresses, and test servers by `RVC_OSS_PATH_STYLE=1`, get the bucket
as the first part of the path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from rvc.contract import StoreSettings
from rvc.errors import InvalidConfiguration

PATH_STYLE_VARIABLE = "RVC_OSS_PATH_STYLE"
"""Environment variable: 1 puts the bucket into the path, for test servers that are reached by name."""
ENDPOINT_VARIABLE = "OSS_ENDPOINT"
REGION_VARIABLE = "OSS_REGION"
"""What Alibaba's own tools read; for the command line, where no resource names them."""
_IN_A_POD_VARIABLE = "KUBERNETES_SERVICE_HOST"
_REGION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_REGION_IN_HOST = re.compile(r"(?:.*\.)?oss-(?P<region>[a-z0-9-]+?)(?:-internal)?\.aliyuncs\.com")
_INTERNAL = re.compile(r"-internal\.aliyuncs\.com$")
_ADDRESS = re.compile(r"(\d{1,3}\.){3}\d{1,3}|localhost")


@dataclass(frozen=True)
class Address:
    """How the requests for one bucket are addressed."""

    endpoint: str
    """With http:// or https://."""
    region: str
    is_custom_domain: bool
    is_path_style: bool

    @property
    def public_endpoint(self) -> str:
        """The endpoint for links, which people open elsewhere."""
        return _INTERNAL.sub(".aliyuncs.com", self.endpoint)


def address_of(bucket: str, settings: StoreSettings, environment: Mapping[str, str]) -> Address:
    """The address for a bucket.

    Without an endpoint it is the region's: in a pod the one inside the region's network (no traffic fees, no
    way through the internet), elsewhere the public one. Raises `InvalidConfiguration`.
    """
    endpoint = settings.endpoint or environment.get(ENDPOINT_VARIABLE, "")
    region = (settings.region or environment.get(REGION_VARIABLE, "")).removeprefix("oss-")
    host = urlsplit(_with_scheme(endpoint)).hostname or ""
    if not region and (match := _REGION_IN_HOST.fullmatch(host)):
        region = match["region"]
    if not _REGION.fullmatch(region):
        raise InvalidConfiguration(
            f"oss://{bucket}/: {region!r} is no region of OSS, and requests are signed for one; set "
            "spec.storage.region, such as cn-wulanchabu (on the command line OSS_REGION)"
        )
    if not endpoint:
        suffix = "-internal" if environment.get(_IN_A_POD_VARIABLE) else ""
        endpoint = host = f"oss-{region}{suffix}.aliyuncs.com"
    if not host:
        raise InvalidConfiguration(
            f"oss://{bucket}/: {endpoint!r} is no endpoint; write a host name, such as "
            f"https://oss-{region}-internal.aliyuncs.com"
        )
    path_style = environment.get(PATH_STYLE_VARIABLE) == "1" or _ADDRESS.fullmatch(host) is not None
    ours = host.endswith(".aliyuncs.com") and not host.startswith(f"{bucket}.")
    return Address(
        endpoint=_with_scheme(endpoint).rstrip("/"),
        region=region,
        is_custom_domain=not ours and not path_style,
        is_path_style=path_style,
    )


def _with_scheme(endpoint: str) -> str:
    return endpoint if "://" in endpoint else f"https://{endpoint}"
