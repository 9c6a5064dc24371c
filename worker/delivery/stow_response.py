"""STOW-RS responses: the Store Instances Response Module (PS3.18 I.2) in JSON or XML.

An answer of another media type, as the page of a login or of a proxy, is not read.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lxml import etree

from common.dicomnet.dicomweb import JSON, value_of
from common.dicomnet.multipart import BadMultipart, MultipartReader, boundary_of

XML = "application/dicom+xml"
MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 5  # of nested sequences; the module has one

REFERENCED_SOP_SEQUENCE = "00081199"
FAILED_SOP_SEQUENCE = "00081198"
REFERENCED_SOP_INSTANCE_UID = "00081155"
FAILURE_REASON = "00081197"


class NotUnderstood(Exception):
    """The answer is no Store Instances Response; the text says why."""


@dataclass(frozen=True, slots=True)
class StowResponse:
    """SOP Instance UIDs that are stored, and Failure Reasons of those that are not.

    A Failure Reason that is missing or no number is None.
    """

    stored: frozenset[str]
    failed: Mapping[str, int | None]


def read_response(content_type: str, body: bytes, *, strict: bool = False) -> StowResponse:
    """Decode an answer; raises NotUnderstood.

    A sequence that is malformed counts as missing, unless ``strict``: a server may name the
    stored objects correctly beside it.
    """
    if len(body) > MAX_BYTES:
        raise NotUnderstood(f"the answer is longer than {MAX_BYTES} bytes")
    media_type, part_type, boundary = boundary_of(content_type)
    if media_type == "multipart/related" and part_type == XML:
        media_type, body = part_type, _first_part(boundary, body)
    if media_type == JSON:
        ds = _read_json(body)
        if strict:
            _check_sequences(ds)
        return _read_data_set(ds)
    if media_type == XML:
        return _read_data_set(_read_xml(body))
    raise NotUnderstood(f"the answer is {media_type[:64] or 'of no media type'}")


def _read_data_set(ds: Mapping[str, Any]) -> StowResponse:
    failed = {_uid(item): _reason(item) for item in _items(ds, FAILED_SOP_SEQUENCE)}
    stored = {_uid(item) for item in _items(ds, REFERENCED_SOP_SEQUENCE)}
    return StowResponse(frozenset(stored - failed.keys() - {""}), failed)


def _check_sequences(ds: Mapping[str, Any]) -> None:
    for tag in (REFERENCED_SOP_SEQUENCE, FAILED_SOP_SEQUENCE):
        if not isinstance(ds.get(tag, {}), dict):
            raise NotUnderstood(f"the answer has no data set element as {tag}")


def _items(ds: Mapping[str, Any], tag: str) -> Iterator[Mapping[str, Any]]:
    element = ds.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    for item in values if isinstance(values, list) else ():
        if isinstance(item, dict):
            yield item


def _uid(item: Mapping[str, Any]) -> str:
    return str(value_of(item, REFERENCED_SOP_INSTANCE_UID) or "").strip(" \0")


def _reason(item: Mapping[str, Any]) -> int | None:
    text = str(value_of(item, FAILURE_REASON)).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else None


def _read_json(body: bytes) -> Mapping[str, Any]:
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError):
        raise NotUnderstood("the answer is no JSON") from None
    # Some servers wrap the single data set in a list.
    ds = decoded[0] if isinstance(decoded, list) and decoded else decoded
    if not isinstance(ds, dict):
        raise NotUnderstood("the answer is no DICOM JSON data set")
    return ds


def _read_xml(body: bytes) -> Mapping[str, Any]:
    """Decode a Native DICOM Model (PS3.19 A.1) as DICOM JSON.

    Neither entities nor external files are read, and a document type is refused.
    """
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise NotUnderstood("the answer is no XML") from None
    if root.getroottree().docinfo.doctype:
        raise NotUnderstood("the XML has a document type")
    if _name(root) != "NativeDicomModel":
        raise NotUnderstood("the XML is no NativeDicomModel")
    return _data_set(root, MAX_DEPTH)


def _data_set(node: Any, depth: int) -> dict[str, Any]:
    ds = {}
    for attribute in node:
        if _name(attribute) == "DicomAttribute":
            values = [
                _value(one, depth) for one in attribute if _name(one) in ("Item", "Value")
            ]
            ds[str(attribute.get("tag", "")).upper()] = {"Value": values}
    return ds


def _value(node: Any, depth: int) -> Any:
    if _name(node) == "Item":
        return _data_set(node, depth - 1) if depth else {}
    return (node.text or "").strip()


def _name(node: Any) -> str:
    """Return the name without its namespace; a comment has none."""
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def _first_part(boundary: bytes, body: bytes) -> bytes:
    parts: list[_Part] = []

    def begin(_: Mapping[str, str]) -> _Part:
        parts.append(_Part())
        return parts[-1]

    try:
        MultipartReader(boundary, begin).write(body)
    except BadMultipart as error:
        raise NotUnderstood(f"the answer is no multipart/related: {error}") from None
    return bytes(parts[0].data) if parts else b""


class _Part:
    """Content of a part in memory; the whole answer is bounded."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, part: memoryview) -> None:
        self.data += part

    def finish(self) -> None:
        """The part is complete."""

    def discard(self) -> None:
        """The rest does not arrive."""
