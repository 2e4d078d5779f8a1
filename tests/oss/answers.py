"""Answers of the server, and OSS's XML in them (without a namespace, as OSS writes it)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement, tostring

from tests.oss.objects import Page, StoredObject, Upload


@dataclass
class Answer:
    """Status, headers and body of an answer."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Iterable[bytes] = ()
    length: int = 0
    """Of the body; also of the one that an answer to HEAD does not have."""


def xml(root: Element, headers: Mapping[str, str] | None = None, status: int = 200) -> Answer:
    """An answer with a document."""
    text = b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="utf-8")
    return Answer(status, {"Content-Type": "application/xml"} | dict(headers or {}), [text], len(text))


def element(tag: str, **children: object) -> Element:
    """An element with texts below it."""
    root = Element(tag)
    for name, value in children.items():
        SubElement(root, name).text = str(value)
    return root


def error(code: str, message: str, request_id: str, host: str) -> Element:
    """OSS's document about an error."""
    return element("Error", Code=code, Message=message, RequestId=request_id, HostId=host, EC="0000-00000000")


def iso_time(seconds: float) -> str:
    """As in listings: 2026-11-23T16:00:00.000Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


class Listing:
    """Documents about keys, with the keys encoded as the request wants it."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._parameters = parameters

    def objects(self, bucket: str, page: Page, continuation: Mapping[str, str]) -> Element:
        """ListBucketResult of version 1 or 2; `continuation` are the markers of that version."""
        root = element("ListBucketResult", Name=bucket)
        self._add_request(root, "prefix", "delimiter", "marker", "start-after")
        SubElement(root, "MaxKeys").text = self._parameters.get("max-keys", "100")
        SubElement(root, "IsTruncated").text = str(bool(page.next_after)).lower()
        for tag, value in continuation.items():
            SubElement(root, tag).text = self._text(value)
        for stored in page.objects:
            root.append(self._contents(stored))
        for prefix in page.prefixes:
            SubElement(SubElement(root, "CommonPrefixes"), "Prefix").text = self._text(prefix)
        return root

    def uploads(self, bucket: str, uploads: list[Upload], is_truncated: bool) -> Element:
        """ListMultipartUploadsResult."""
        root = element("ListMultipartUploadsResult", Bucket=bucket)
        self._add_request(root, "prefix", "delimiter", "key-marker")
        last = uploads[-1] if uploads and is_truncated else None
        SubElement(root, "NextKeyMarker").text = self._text(last.key) if last else ""
        SubElement(root, "NextUploadIdMarker").text = last.upload_id if last else ""
        SubElement(root, "IsTruncated").text = str(is_truncated).lower()
        for upload in uploads:
            entry = element("Upload", Key=self._text(upload.key), UploadId=upload.upload_id)
            SubElement(entry, "StorageClass").text = "Standard"
            SubElement(entry, "Initiated").text = iso_time(upload.initiated)
            root.append(entry)
        return root

    def _add_request(self, root: Element, *names: str) -> None:
        for name in names:
            if name in self._parameters:
                tag = "".join(part.capitalize() for part in name.split("-"))
                SubElement(root, tag).text = self._text(self._parameters[name])
        say_encoding(self._parameters, root)

    def _contents(self, stored: StoredObject) -> Element:
        return element(
            "Contents",
            Key=self._text(stored.key),
            LastModified=iso_time(stored.modified),
            ETag=f'"{stored.etag}"',
            Type=stored.kind,
            Size=stored.body.size,
            StorageClass="Standard",
        )

    def _text(self, key: str) -> str:
        return encoded(self._parameters, key)


def encoded(parameters: Mapping[str, str], key: str) -> str:
    """A key as it is written into an answer."""
    return quote(key, safe="") if parameters.get("encoding-type") == "url" else key


def say_encoding(parameters: Mapping[str, str], root: Element) -> None:
    """Tell readers that keys are encoded, if they are."""
    if parameters.get("encoding-type") == "url":
        SubElement(root, "EncodingType").text = "url"


def body_range(stored: StoredObject, text: str | None, is_standard: bool) -> tuple[int, int] | None:
    """First byte and the one behind the last that `Range` asks for, None for the whole object.

    OSS ignores a range that is not within the object, unless `x-oss-range-behavior: standard`; raises
    `ValueError` then for one that begins behind it.
    """
    size = stored.body.size
    first, separator, last = (text or "").removeprefix("bytes=").partition("-")
    if not separator or not (first or last) or not (first + last).isdecimal():
        return None
    start = int(first) if first else size - int(last)
    end = int(last) + 1 if first and last else size
    if 0 <= start < end <= size:
        return start, end
    if not is_standard:
        return None
    if start >= size:
        raise ValueError(text)
    return max(start, 0), min(end, size)


def sliced(chunks: Iterator[bytes], most: int) -> Iterator[bytes]:
    """The first `most` bytes."""
    for chunk in chunks:
        yield chunk[:most]
        most -= len(chunk)
        if most <= 0:
            return


def flipped(chunks: Iterable[bytes], position: int) -> Iterator[bytes]:
    """The same but for one byte."""
    for chunk in chunks:
        if 0 <= position < len(chunk):
            chunk = chunk[:position] + bytes([chunk[position] ^ 0xFF]) + chunk[position + 1 :]
        position -= len(chunk)
        yield chunk
