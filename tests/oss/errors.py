"""OSS's errors: code, HTTP status, message; as XML in the body, for HEAD in a header."""

from __future__ import annotations

from collections.abc import Mapping


class OssError(Exception):
    """What the server answers instead of what was asked for."""

    def __init__(
        self, status: int, code: str, message: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message or code
        self.headers = dict(headers or {})


def no_such_key(key: str) -> OssError:
    return OssError(404, "NoSuchKey", "The specified key does not exist.")


def no_such_upload() -> OssError:
    return OssError(404, "NoSuchUpload", "The specified upload does not exist.")


def invalid_argument(message: str) -> OssError:
    return OssError(400, "InvalidArgument", message)


def already_exists() -> OssError:
    message = "The object you specified already exists and can not be overwritten."
    return OssError(409, "FileAlreadyExists", message)
