"""dicom-validator without the internet: its rules, on the tables of PS3.3 in highdicom's wheel.

The package would download the standard's DocBook. highdicom ships which attribute belongs
where, of which type and below which sequence; conditions and enumerated values are not in
there, so conditional attributes and modules are checked for place and VR only.
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

from tests.judge.finding import Finding

STANDARD = Path(highdicom.__file__).parent / "_standard"
# A choice between macros (of value types; for all frames or for each), which these tables
# cannot say.
BY_NAME_ONLY = ("sr-document-content", "parametric-map-multi-frame-functional-groups")


def dicom_validator(paths: Sequence[Path]) -> Iterator[Finding]:
    """Presence, nesting, VR, and that nothing is there that does not belong."""
    logging.getLogger("dicom_validator").setLevel(logging.CRITICAL)
    for path in paths:
        with contextlib.redirect_stdout(io.StringIO()):
            result = IODValidator(dcmread(path), standard()).validate()
        for module, errors in result.module_errors.items():
            for tag, error in errors.items():
                yield Finding(path, f"{module}: {tag} {error.code} {error.context or ''}")


@cache
def standard() -> DicomInfo:
    """The standard as dicom-validator reads it."""
    dictionary = {
        _tag(tag): {"name": name, "vr": vr, "vm": vm, "prop": "RET" if retired else ""}
        for tag, (vr, vm, name, retired, _) in DicomDictionary.items()
    }
    modules = {
        name: _module(attributes, flat=name in BY_NAME_ONLY)
        for name, attributes in _read("module_attribute_map").items()
    }
    iods = {
        uid: {
            "title": iod,
            "modules": {module["key"]: _use(module) for module in _read("iod_module_map")[iod]},
            "group_macros": {},
        }
        for uid, iod in _read("sop_class_iod_map").items()
    }
    return DicomInfo(dictionary, iods, modules)


def _use(module: Mapping[str, str]) -> dict[str, Any]:
    use: dict[str, Any] = {"ref": module["key"], "use": module["usage"]}
    # Its condition is not in the tables: the module may be there.
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
