"""The operations of OSS: from a request that is known to be allowed to its answer."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from urllib.parse import unquote
from xml.etree.ElementTree import Element, ParseError, fromstring

from tests.oss.answers import Answer, Listing, body_range, element, encoded, iso_time, say_encoding, xml
from tests.oss.errors import OssError, invalid_argument
from tests.oss.objects import Body, Bucket, StoredObject

_KEPT_HEADERS = (
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
)
_MOST_LISTED = 1000


@dataclass
class Call:
    """A request for an operation, and what it works on."""

    bucket: Bucket
    buckets: Mapping[str, Bucket]
    bucket_name: str
    key: str
    parameters: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    chunks: Iterator[bytes]
    """The body."""

    def receive(self) -> Body:
        """Take in the body; raises `OssError` when it is not what Content-MD5 says."""
        body = self.bucket.receive(self.chunks)
        expected = self.headers.get("content-md5")
        if expected is not None and base64.b64encode(body.md5).decode() != expected:
            raise OssError(
                400, "InvalidDigest", "The Content-MD5 you specified did not match what we received."
            )
        return body

    def document(self) -> Element:
        """The body as XML."""
        try:
            return fromstring(b"".join(self.receive().chunks()))
        except ParseError:
            raise OssError(400, "MalformedXML", "The XML you provided was not well-formed.") from None

    @property
    def overwrites(self) -> bool:
        return self.headers.get("x-oss-forbid-overwrite", "false").lower() != "true"

    @property
    def metadata(self) -> dict[str, str]:
        """What comes back with the object."""
        return {
            name: value
            for name, value in self.headers.items()
            if name in _KEPT_HEADERS or name.startswith("x-oss-meta-")
        }

    def number(self, name: str, default: int, most: int) -> int:
        """A count among the parameters."""
        text = self.parameters.get(name) or str(default)
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise invalid_argument(f"{name} must be between 1 and {most}.")
        return int(text)


def operation_of(method: str, key: str, parameters: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """The name of what a request asks for; raises `OssError` for what this server does not do."""
    if not key:
        table = {
            "GET": [("uploads", "ListMultipartUploads"), ("list-type", "ListObjectsV2"), ("", "ListObjects")],
            "POST": [("delete", "DeleteMultipleObjects")],
        }
    else:
        copies = "x-oss-copy-source" in headers
        table = {
            "GET": [("uploadId", "ListParts"), ("", "GetObject")],
            "HEAD": [("objectMeta", "GetObjectMeta"), ("", "HeadObject")],
            "PUT": [("partNumber", "UploadPart"), ("", "CopyObject" if copies else "PutObject")],
            "POST": [("uploads", "InitiateMultipartUpload"), ("uploadId", "CompleteMultipartUpload")],
            "DELETE": [("uploadId", "AbortMultipartUpload"), ("", "DeleteObject")],
        }
    refused = set(parameters) & {
        "acl",
        "tagging",
        "symlink",
        "restore",
        "append",
        "versionId",
        "x-oss-process",
    }
    for name, operation in table.get(method, []):
        if not refused and (not name or name in parameters):
            return operation
    raise OssError(501, "NotImplemented", "This server does not do what you ask for.")


def put_object(call: Call) -> Answer:
    if not call.overwrites and call.bucket.has(call.key):
        raise OssError(409, "FileAlreadyExists", "The object you specified already exists.")
    return _written(call.bucket.put(call.key, call.receive(), call.metadata, overwrite=call.overwrites))


def copy_object(call: Call) -> Answer:
    name, _, key = unquote(call.headers["x-oss-copy-source"]).removeprefix("/").partition("/")
    if name not in call.buckets:
        raise OssError(404, "NoSuchBucket", "The specified bucket does not exist.")
    source = call.buckets[name].get(key)
    replaces = call.headers.get("x-oss-metadata-directive", "COPY").upper() == "REPLACE"
    stored = call.bucket.put(
        call.key, source.body, call.metadata if replaces else source.metadata, overwrite=call.overwrites
    )
    root = element("CopyObjectResult", ETag=f'"{stored.etag}"', LastModified=iso_time(stored.modified))
    return xml(root, _checksums(stored))


def get_object(call: Call) -> Answer:
    stored = call.bucket.get(call.key)
    _check_conditions(call, stored)
    headers = _described(stored) | _overridden(call)
    is_standard = call.headers.get("x-oss-range-behavior") == "standard"
    try:
        wanted = body_range(stored, call.headers.get("range"), is_standard)
    except ValueError:
        raise OssError(416, "InvalidRange", "The requested range cannot be satisfied.") from None
    if wanted is None:
        return Answer(200, headers, stored.body.chunks(), stored.body.size)
    start, end = wanted
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{stored.body.size}"
    return Answer(206, headers, stored.body.chunks(start, end), end - start)


def head_object(call: Call) -> Answer:
    stored = call.bucket.get(call.key)
    _check_conditions(call, stored)
    return Answer(200, _described(stored), (), stored.body.size)


def delete_object(call: Call) -> Answer:
    call.bucket.delete(call.key)
    return Answer(204)


def delete_multiple_objects(call: Call) -> Answer:
    root = call.document()
    keys = [entry.findtext("Key") or "" for entry in root.findall("Object")]
    if not 1 <= len(keys) <= 1000 or not all(keys):
        raise OssError(400, "MalformedXML", "Between 1 and 1000 keys can be deleted at once.")
    for key in keys:
        call.bucket.delete(key)
    answer = element("DeleteResult")
    if root.findtext("Quiet") != "true":
        say_encoding(call.parameters, answer)
        for key in keys:
            answer.append(element("Deleted", Key=encoded(call.parameters, key)))
    return xml(answer)


def list_objects(call: Call) -> Answer:
    parameters = call.parameters
    page = call.bucket.list(
        parameters.get("prefix", ""),
        parameters.get("delimiter", ""),
        parameters.get("marker", ""),
        call.number("max-keys", 100, _MOST_LISTED),
    )
    continuation = {"NextMarker": page.next_after} if page.next_after else {}
    return xml(Listing(parameters).objects(call.bucket_name, page, continuation))


def list_objects_v2(call: Call) -> Answer:
    parameters = call.parameters
    try:
        token = base64.urlsafe_b64decode(parameters.get("continuation-token", "")).decode()
    except ValueError:
        raise invalid_argument("The continuation token is malformed.") from None
    page = call.bucket.list(
        parameters.get("prefix", ""),
        parameters.get("delimiter", ""),
        token or parameters.get("start-after", ""),
        call.number("max-keys", 100, _MOST_LISTED),
    )
    continuation = {"KeyCount": str(len(page.objects) + len(page.prefixes))}
    if page.next_after:
        continuation["NextContinuationToken"] = base64.urlsafe_b64encode(page.next_after.encode()).decode()
    return xml(Listing(parameters).objects(call.bucket_name, page, continuation))


def initiate_multipart_upload(call: Call) -> Answer:
    upload = call.bucket.begin(call.key, call.metadata, overwrite=call.overwrites)
    key = encoded(call.parameters, call.key)
    root = element(
        "InitiateMultipartUploadResult", Bucket=call.bucket_name, Key=key, UploadId=upload.upload_id
    )
    say_encoding(call.parameters, root)
    return xml(root)


def upload_part(call: Call) -> Answer:
    if "x-oss-copy-source" in call.headers:
        raise OssError(501, "NotImplemented", "This server does not copy parts.")
    upload_id, number = call.parameters.get("uploadId", ""), call.parameters["partNumber"]
    call.bucket.upload(call.key, upload_id)
    part = call.bucket.put_part(call.key, upload_id, int(number) if number.isdecimal() else 0, call.receive())
    return _written(part)


def list_parts(call: Call) -> Answer:
    upload = call.bucket.upload(call.key, call.parameters["uploadId"])
    after = int(call.parameters.get("part-number-marker") or 0)
    most = call.number("max-parts", 1000, 1000)
    numbers = sorted(number for number in upload.parts if number > after)
    root = element(
        "ListPartsResult",
        Bucket=call.bucket_name,
        Key=encoded(call.parameters, call.key),
        UploadId=upload.upload_id,
        PartNumberMarker=after,
        NextPartNumberMarker=numbers[:most][-1] if numbers else 0,
        MaxParts=most,
        IsTruncated=str(len(numbers) > most).lower(),
    )
    say_encoding(call.parameters, root)
    for number in numbers[:most]:
        part = upload.parts[number]
        root.append(
            element(
                "Part",
                PartNumber=number,
                LastModified=iso_time(part.modified),
                ETag=f'"{part.etag}"',
                HashCrc64ecma=part.body.crc64,
                Size=part.body.size,
            )
        )
    return xml(root)


def list_multipart_uploads(call: Call) -> Answer:
    key, upload_id = call.parameters.get("key-marker", ""), call.parameters.get("upload-id-marker", "")
    uploads = [
        upload
        for upload in call.bucket.uploads(call.parameters.get("prefix", ""))
        if upload.key > key or (upload.key == key and upload_id and upload.upload_id > upload_id)
    ]
    most = call.number("max-uploads", 1000, _MOST_LISTED)
    return xml(Listing(call.parameters).uploads(call.bucket_name, uploads[:most], len(uploads) > most))


def complete_multipart_upload(call: Call) -> Answer:
    parts = [
        (int(part.findtext("PartNumber") or 0), part.findtext("ETag") or "")
        for part in call.document().findall("Part")
    ]
    stored = call.bucket.complete(call.key, call.parameters["uploadId"], parts, overwrite=call.overwrites)
    root = element(
        "CompleteMultipartUploadResult",
        Location=f"http://{call.bucket_name}/{call.key}",
        Bucket=call.bucket_name,
        Key=encoded(call.parameters, call.key),
        ETag=f'"{stored.etag}"',
    )
    say_encoding(call.parameters, root)
    return xml(root, _checksums(stored))


def abort_multipart_upload(call: Call) -> Answer:
    call.bucket.abort(call.key, call.parameters["uploadId"])
    return Answer(204)


OPERATIONS: dict[str, Callable[[Call], Answer]] = {
    "PutObject": put_object,
    "CopyObject": copy_object,
    "GetObject": get_object,
    "HeadObject": head_object,
    "GetObjectMeta": head_object,
    "DeleteObject": delete_object,
    "DeleteMultipleObjects": delete_multiple_objects,
    "ListObjects": list_objects,
    "ListObjectsV2": list_objects_v2,
    "InitiateMultipartUpload": initiate_multipart_upload,
    "UploadPart": upload_part,
    "ListParts": list_parts,
    "ListMultipartUploads": list_multipart_uploads,
    "CompleteMultipartUpload": complete_multipart_upload,
    "AbortMultipartUpload": abort_multipart_upload,
}


def _written(stored: StoredObject) -> Answer:
    md5 = base64.b64encode(stored.body.md5).decode()
    return Answer(200, _checksums(stored) | {"Content-MD5": md5})


def _checksums(stored: StoredObject) -> dict[str, str]:
    return {"ETag": f'"{stored.etag}"', "x-oss-hash-crc64ecma": str(stored.body.crc64)}


def _described(stored: StoredObject) -> dict[str, str]:
    headers = _checksums(stored) | {
        "Last-Modified": formatdate(stored.modified, usegmt=True),
        "x-oss-object-type": stored.kind,
        "x-oss-storage-class": "Standard",
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
    }
    kept = {name: value for name, value in stored.metadata.items() if name != "content-type"}
    return headers | kept | {"Content-Type": stored.metadata.get("content-type", headers["Content-Type"])}


def _overridden(call: Call) -> dict[str, str]:
    """Headers that a link may ask for: `response-content-disposition` and the like."""
    return {
        "-".join(part.capitalize() for part in name.removeprefix("response-").split("-")): value
        for name, value in call.parameters.items()
        if name.startswith("response-")
    }


def _check_conditions(call: Call, stored: StoredObject) -> None:
    wanted, unwanted = (call.headers.get(name, "").strip('"') for name in ("if-match", "if-none-match"))
    if wanted and wanted != stored.etag:
        raise OssError(412, "PreconditionFailed", "At least one of the pre-conditions you specified failed.")
    if unwanted and unwanted == stored.etag:
        raise OssError(304, "NotModified")
