"""The one operation of STS that pods use: keys of a RAM role for the token of a service account (RRSA)."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime

from tests.oss.answers import Answer
from tests.oss.signature import Account


def assume_role(
    parameters: Mapping[str, str], roles: Mapping[str, str], accounts: MutableMapping[str, Account]
) -> Answer:
    """Open a session for a role whose token is the right one; its keys are new accounts."""
    role = parameters.get("RoleArn", "")
    if parameters.get("Action") != "AssumeRoleWithOIDC" or not parameters.get("OIDCProviderArn"):
        return _json(400, {"Code": "InvalidParameter", "Message": "Only AssumeRoleWithOIDC is here."})
    if roles.get(role) != parameters.get("OIDCToken"):
        return _json(400, {"Code": "AuthenticationFail.NoPermission", "Message": "The token is not trusted."})
    key_id, secret, token = (f"{prefix}{uuid.uuid4().hex}" for prefix in ("STS.", "", "token-"))
    expires = time.time() + int(parameters.get("DurationSeconds") or 3600)
    accounts[key_id] = Account(secret, token, expires)
    credentials = {
        "AccessKeyId": key_id,
        "AccessKeySecret": secret,
        "SecurityToken": token,
        "Expiration": datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return _json(200, {"RequestId": uuid.uuid4().hex, "Credentials": credentials})


def _json(status: int, content: object) -> Answer:
    text = json.dumps(content).encode()
    return Answer(status, {"Content-Type": "application/json"}, [text], len(text))
