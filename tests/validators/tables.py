"""dicom-validator with the PS3.3 tables of highdicom's wheel.

The package itself would download the DocBook of the standard. highdicom's tables contain the
modules, the type and the parent sequences of each attribute, but no conditions or enumerated
values. Conditional attributes and modules are therefore checked for position and VR only.
"""

import contextlib
import io
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import highdicom
from dicom_validator.validator.dicom_info import DicomInfo
from dicom_validator.validator.iod_validator import IODValidator
from pydicom import dcmread
from pydicom.datadict import DicomDictionary, tag_for_keyword

from tests.validators.finding import Finding

STANDARD = Path(highdicom.__file__).parent / "_standard"
# These modules choose between macros (by value type; shared or per frame), which the tables do
# not express: only the names of their attributes are checked.
NAMES_ONLY = ("sr-document-content", "parametric-map-multi-frame-functional-groups")


def dicom_validator(paths: Sequence[Path]) -> Iterator[Finding]:
    """Check presence, nesting and VR, and that there are no other attributes."""
    logging.getLogger("dicom_validator").setLevel(logging.CRITICAL)
    for path in paths:
        with contextlib.redirect_stdout(io.StringIO()):
            result = IODValidator(dcmread(path), dicom_info()).validate()
        for module, errors in result.module_errors.items():
            for tag, error in errors.items():
                yield Finding(path, f"{module}: {tag} {error.code} {error.context or ''}")


@cache
def dicom_info() -> DicomInfo:
    """Return the standard in the form that dicom-validator reads."""
    dictionary = {
        _tag(tag): {"name": name, "vr": vr, "vm": vm, "prop": "RET" if retired else ""}
        for tag, (vr, vm, name, retired, _) in DicomDictionary.items()
    }
    modules = {
        name: _module(attributes, flat=name in NAMES_ONLY)
        for name, attributes in _read("module_attribute_map").items()
    }
    iods = {
        uid: {
            "title": iod,
            "modules": {
                module["key"]: _module_usage(module) for module in _read("iod_module_map")[iod]
            },
            "group_macros": {},
        }
        for uid, iod in _read("sop_class_iod_map").items()
    }
    return DicomInfo(dictionary, iods, modules)


def _module_usage(module: Mapping[str, str]) -> dict[str, Any]:
    use: dict[str, Any] = {"ref": module["key"], "use": module["usage"]}
    # Conditional modules are optional here, since the tables have no conditions.
    return use if module["usage"] == "M" else use | {"cond": {"type": "U"}}


def _module(attributes: Sequence[Mapping[str, Any]], *, flat: bool) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for attribute in attributes:
        if tag_for_keyword(attribute["keyword"]) is None:
            continue
        level = root
        for parent in attribute["path"]:
            above = level.setdefault(_tag_of(parent), {"name": parent, "type": "3"})
            level = above.setdefault("items", {})
        kind = attribute["type"] or "3"
        entry = level.setdefault(_tag_of(attribute["keyword"]), {})
        entry |= {"name": attribute["keyword"], "type": kind}
        if kind.endswith("C"):
            entry["cond"] = {"type": "U"}
    if flat:
        return {tag: {"name": entry["name"], "type": "3"} for tag, entry in root.items()}
    return root


@cache
def _read(name: str) -> Any:
    return json.loads((STANDARD / f"{name}.json").read_text())


def _tag_of(keyword: str) -> str:
    return _tag(tag_for_keyword(keyword) or 0)


def _tag(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
