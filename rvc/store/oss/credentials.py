"""Who asks: access keys from a Secret, or a RAM role by the pod's service account (RRSA).

Keys are looked up for every request, so that a rotated Secret (mounted as files) and the sessions of a role
are taken up while the process runs. No secret is in a `repr` or a message: the errors of the role's own
library, whose texts hold the service account's token, are never passed on nor logged.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from rvc.contract import OSS_SECRET_FOLDER_VARIABLE
from rvc.errors import InvalidConfiguration, PermissionDenied, StoreUnavailable

KEY_ID_VARIABLE = "OSS_ACCESS_KEY_ID"
KEY_SECRET_VARIABLE = "OSS_ACCESS_KEY_SECRET"
TOKEN_VARIABLE = "OSS_SESSION_TOKEN"
ROLE_VARIABLES = (
    "ALIBABA_CLOUD_ROLE_ARN",
    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
)
"""What the webhook of RRSA puts into pods."""
_HTTP_STATUS = re.compile(r"http_code: (\d{3})")
_CODE = re.compile(r'"Code": ?"([A-Za-z.]{1,80})"')


@dataclass(frozen=True)
class Keys:
    """An access key, temporary if there is a token."""

    key_id: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)


class CredentialsSource(Protocol):
    """Where keys come from. Thread-safe."""

    def get(self) -> Keys:
        """The keys of now; raises `PermissionDenied`, `StoreUnavailable`."""

    def renew(self, refused: Keys) -> bool:
        """Whether there are others than those that were refused."""


def credentials_from(environment: Mapping[str, str]) -> CredentialsSource:
    """The source that the environment names; raises `PermissionDenied` (`CredentialsMissing`) if none."""
    if folder := environment.get(OSS_SECRET_FOLDER_VARIABLE):
        return MountedSecret(Path(folder))
    if environment.get(KEY_ID_VARIABLE) or environment.get(KEY_SECRET_VARIABLE):
        return EnvironmentKeys(environment)
    role = [environment.get(variable, "") for variable in ROLE_VARIABLES]
    if all(role):
        return _role_keys(*role, environment.get("POD_NAME", "rvc"))
    if any(role):
        missing = ", ".join(name for name, value in zip(ROLE_VARIABLES, role, strict=True) if not value)
        raise _missing(f"RRSA is set up in part: {missing} is not set; start the pod again")
    raise _missing(
        "there are no credentials for OSS; set spec.storage.secretRef (a Secret with akId and akSecret) or "
        "spec.storage.serviceAccountName (RRSA: give the namespace the label "
        "pod-identity.alibabacloud.com/injection=on and the service account the annotation "
        "pod-identity.alibabacloud.com/role-name, see that the add-on ack-pod-identity-webhook runs, then "
        f"start a new pod), on the command line {KEY_ID_VARIABLE} and {KEY_SECRET_VARIABLE}"
    )


class EnvironmentKeys:
    """Keys in environment variables."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def get(self) -> Keys:
        """See `CredentialsSource.get`."""
        found = [
            self._environment.get(name, "").strip()
            for name in (KEY_ID_VARIABLE, KEY_SECRET_VARIABLE, TOKEN_VARIABLE)
        ]
        return _complete(Keys(*found), KEY_ID_VARIABLE, KEY_SECRET_VARIABLE)

    def renew(self, refused: Keys) -> bool:
        """See `CredentialsSource.renew`."""
        return self.get() != refused


class MountedSecret:
    """Keys in the files of a mounted Secret, which the kubelet replaces when the Secret changes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self) -> Keys:
        """See `CredentialsSource.get`."""
        # The kubelet swaps this link: what it leads to now holds files of the same generation.
        folder = Path(os.path.realpath(self._folder / "..data"))
        if not folder.is_dir():
            folder = self._folder
        found = [_content(folder / name) for name in ("akId", "akSecret", "securityToken")]
        return _complete(Keys(*found), f"{self._folder}/akId", f"{self._folder}/akSecret")

    def renew(self, refused: Keys) -> bool:
        """See `CredentialsSource.renew`."""
        return self.get() != refused


class RoleKeys:
    """Keys of a session of a RAM role; `new_provider` makes what opens and renews sessions."""

    def __init__(self, role: str, new_provider: Callable[[], Any]) -> None:
        self._role = role
        self._new_provider = new_provider
        self._lock = threading.Lock()
        self._provider: Any = None

    def get(self) -> Keys:
        """See `CredentialsSource.get`."""
        with self._lock:
            try:
                if self._provider is None:
                    self._provider = self._new_provider()
                found = self._provider.get_credentials()
            except Exception as error:
                self._provider = None
                raise _role_error(self._role, error) from None
        return Keys(found.get_access_key_id(), found.get_access_key_secret(), found.get_security_token())

    def renew(self, refused: Keys) -> bool:
        """See `CredentialsSource.renew`."""
        if self.get() != refused:
            return True
        with self._lock:
            self._provider = None
        return self.get() != refused


@cache
def _role_keys(role: str, identity_provider: str, token_file: str, session: str) -> RoleKeys:
    # One for the process: a session of the role is good for every bucket.
    return role_keys(role, identity_provider, token_file, session)


def role_keys(
    role: str, identity_provider: str, token_file: str, session: str, sts_endpoint: str | None = None
) -> RoleKeys:
    """Keys of `role` for the service account whose token is in a file.

    The endpoint of STS is chosen by ALIBABA_CLOUD_STS_REGION and ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED unless
    given. Raises `InvalidConfiguration` where the package for it is not installed.
    """
    try:
        from alibabacloud_credentials.provider.oidc import (
            OIDCRoleArnCredentialsProvider,
        )
    except ModuleNotFoundError as error:
        raise InvalidConfiguration(
            "RRSA needs the package alibabacloud-credentials, which is not installed here"
        ) from error
    # Its own log quotes requests, and with them the service account's token.
    logging.getLogger("credentials").disabled = True
    return RoleKeys(
        role,
        lambda: OIDCRoleArnCredentialsProvider(
            role_arn=role,
            oidc_provider_arn=identity_provider,
            oidc_token_file_path=token_file,
            role_session_name=session[:64],
            sts_endpoint=sts_endpoint,
        ),
    )


def _role_error(role: str, error: Exception) -> PermissionDenied | StoreUnavailable:
    if isinstance(error, OSError) and error.filename:
        return _missing(f"the service account's token {error.filename} cannot be read; start the pod again")
    text = str(error)
    status, code = _HTTP_STATUS.search(text), _CODE.search(text)
    if status is None or status[1].startswith("5") or (code and code[1].startswith("Throttling")):
        return StoreUnavailable(f"STS, which gives the keys of the role {role}, does not answer")
    return PermissionDenied(
        f"STS refuses the role {role} to this pod's service account "
        f"({code[1] if code else 'HTTP ' + status[1]}); let the role's trust policy name the cluster's OIDC "
        "provider, the namespace and the service account"
    )


def _content(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _complete(keys: Keys, *names: str) -> Keys:
    missing = [name for name, value in zip(names, (keys.key_id, keys.secret), strict=True) if not value]
    if missing:
        raise _missing(
            f"{' and '.join(missing)} is empty or not there; put akId and akSecret into the Secret"
        )
    return keys


def _missing(message: str) -> PermissionDenied:
    return PermissionDenied(message, reason="CredentialsMissing")
