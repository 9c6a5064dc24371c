"""Update the tables of ``docs/conformance.md``: ``python -m docs.generate.conformance_page``.

Replaces the text between ``<!-- table: name -->`` and ``<!-- end -->``; keeps all other text.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pydicom.sr.coding import Code
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
)
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from common.tls import CIPHERS
from common.dicomnet import association
from common.spool import part10
from common.dicomnet import status
from storescp.association import admission, server
from storescp.contexts import supported_contexts
from common.settings.storescp import StoreScpSettings
from worker.pipeline import uids
from worker.pipeline.report import codes
from worker.pipeline.report.document import SOP_CLASS_UIDS

PAGE = Path(__file__).parents[2] / "docs/conformance.md"
TABLE = re.compile(r"<!-- table: (\w+) -->\n.*?<!-- end -->", re.DOTALL)

# Sent as SCU: SR and secondary captures always, the map if PARAMETRIC_MAP is set, the key object
# selection if KEY_OBJECTS is set and where a result is withdrawn.
SENT = (
    *SOP_CLASS_UIDS.values(),
    SecondaryCaptureImageStorage,
    ParametricMapStorage,
    KeyObjectSelectionDocumentStorage,
)
REQUESTED = (
    (Verification, "`doctor`"),
    (StudyRootQueryRetrieveInformationModelFind, "source PACS (count), destinations (confirm)"),
    (StudyRootQueryRetrieveInformationModelMove, "source PACS (missing instances)"),
    (StorageCommitmentPushModel, "destinations"),
)
STATUSES = (
    (status.SUCCESS, "durable on disk; also for a repeated instance with the same bytes"),
    (status.OUT_OF_RESOURCES, "less than `MIN_FREE_MB` free, or larger than `MAX_INSTANCE_MB`"),
    (status.DATA_SET_DOES_NOT_MATCH, "SOP class or instance of command and data set differ"),
    (
        status.UNDECODABLE,
        "truncated, not a data set, or over a limit of `common/dicom/limits.py`: elements,"
        " items, depth, header, text, image size, inflated size and ratio",
    ),
    (status.INVALID_UID, "a UID is missing or invalid"),
    (status.PROCESSING_FAILURE, "internal error; send again"),
)
REJECTIONS = (
    admission.PEER_NOT_ALLOWED,
    admission.CALLING_AE_NOT_RECOGNIZED,
    admission.LOCAL_LIMIT_EXCEEDED,
    admission.PEER_LIMIT_EXCEEDED,
    admission.TEMPORARY_CONGESTION,
)


def refreshed(page: str) -> str:
    """Return the page with updated tables; raise KeyError for an unknown table."""
    return TABLE.sub(
        lambda found: f"<!-- table: {found[1]} -->\n{TABLES[found[1]]()}\n<!-- end -->", page
    )


def _accepted() -> str:
    rows = [
        (
            _named(context.abstract_syntax),
            _role(context.scu_role, context.scp_role),
            "<br>".join(_named(syntax) for syntax in context.transfer_syntax),
        )
        for context in supported_contexts()
    ]
    return _table(("SOP class", "role", "transfer syntaxes"), rows)


def _proposed() -> str:
    syntaxes = "<br>".join(_named(syntax) for syntax in association.TRANSFER_SYNTAXES)
    rows = [(_named(uid), "SCU", "destinations", syntaxes) for uid in SENT]
    rows += [(_named(uid), "SCU", to, syntaxes) for uid, to in REQUESTED]
    return _table(("SOP class", "role", "to", "transfer syntaxes, each in one context"), rows)


def _implementation() -> str:
    fields = StoreScpSettings.model_fields
    rows = [
        ("Implementation Class UID", f"`{part10.IMPLEMENTATION_CLASS_UID}`"),
        ("Implementation Version Name", f"`{part10.IMPLEMENTATION_VERSION_NAME}`"),
        ("Implementation Version Name", f"`OSTEOSCREEN_{uids.ENCODER_VERSION}`"),
        ("Maximum PDU length received", f"{server.MAX_PDU_BYTES} bytes"),
        ("AE title and port", f"`{fields['ae_title'].default}`, {fields['port'].default}"),
        ("Concurrent associations", str(fields["max_associations"].default)),
        ("… from one address", str(fields["max_associations_per_peer"].default)),
        ("Idle time-out of an association", f"{fields['idle_seconds'].default:g} s"),
        ("Connection time-out, as requestor", f"{association.CONNECTION_SECONDS:g} s"),
        ("Response time-out, as requestor", f"{association.ANSWER_SECONDS:g} s"),
        ("Transfer syntax of created objects", _named(ExplicitVRLittleEndian)),
    ]
    return _table(("parameter", "value (default of a setting)"), rows)


def _rejections() -> str:
    rows = [(str(r.result), str(r.source), str(r.reason), f"`{r.name}`") for r in REJECTIONS]
    return _table(("result", "source", "reason", "outcome in log and metric"), rows)


def _statuses() -> str:
    return _table(("status", "condition"), [(f"0x{code:04X}", when) for code, when in STATUSES])


def _commitments() -> str:
    rows = [
        (f"0x{status.NO_SUCH_SOP_INSTANCE:04X}", "not in the spool"),
        (f"0x{status.CLASS_INSTANCE_CONFLICT:04X}", "there, and of another SOP class"),
    ]
    return _table(("Failure Reason", "when"), rows)


def _public() -> str:
    rows = [(*_code(code), where) for code, where in codes.PUBLIC.items()]
    return _table(("code", "scheme", "meaning", "where it is public"), rows)


def _private() -> str:
    return _table(("code", "scheme", "meaning"), [_code(code) for code in codes.PRIVATE])


def _ciphers() -> str:
    return _table(("TLS 1.2 cipher suite",), [(f"`{name}`",) for name in CIPHERS.split(":")])


TABLES: dict[str, Callable[[], str]] = {
    "accepted": _accepted,
    "proposed": _proposed,
    "implementation": _implementation,
    "rejections": _rejections,
    "statuses": _statuses,
    "commitments": _commitments,
    "public_codes": _public,
    "private_codes": _private,
    "ciphers": _ciphers,
}


def _named(uid: str) -> str:
    return f"{UID(uid).name} `{uid}`"


def _role(scu: bool | None, scp: bool | None) -> str:
    """Return our roles; without role selection the acceptor is SCP (PS3.7 D.3.3.4)."""
    return "SCP, SCU" if scu and scp else "SCP"


def _code(code: Code) -> tuple[str, str, str]:
    return f"`{code.value}`", code.scheme_designator, code.meaning


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(refreshed(PAGE.read_text()))
