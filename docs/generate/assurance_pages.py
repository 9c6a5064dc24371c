"""Update the tables of two pages of ``docs/assurance``.

``python -m docs.generate.assurance_pages`` replaces the text between ``<!-- table: name -->``
and ``<!-- end -->`` in ``data-protection.md`` and ``ihe.md``; it keeps all other text.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pydicom.uid import UID
from sqlalchemy import Delete, Table

from common.audit.message import _KINDS
from common.settings.review import ReviewSettings
from common.settings.worker import WorkerSettings
from common.spool.held import HELD
from common.spool.layout import INCOMING, RESULTS
from common.spool.quarantine import QUARANTINE
from db.erasure import PatientRecord, erasing_statements
from db.models import Base
from docs.generate.conformance_page import SENT

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "docs/assurance/data-protection.md", ROOT / "docs/assurance/ihe.md")
TABLE = re.compile(r"<!-- table: (\w+) -->\n.*?<!-- end -->", re.DOTALL)

IDENTIFIERS = re.compile(r"patient|accession|_date$|_instance_uid$")
HEALTH = re.compile(
    r"^(grade|corrected_grade|probability_|neck_|t_score|result$|warnings$|reason_|comment)"
)
STAFF = re.compile(r"^(who|address|reader|entered_by|actor|paused_by|resumed_by|decided_by)$")
FREE = {("audit_message", "detail")}
"""Patient ID, UIDs, user and address of a message."""


def refreshed(page: str) -> str:
    """Return a page with updated tables; raises KeyError for an unknown table."""
    return TABLE.sub(
        lambda found: f"<!-- table: {found[1]} -->\n{TABLES[found[1]]()}\n<!-- end -->", page
    )


def personal_columns(table: Table) -> list[str]:
    """Return the columns with identifiers or health data of a patient."""
    names = [column.name for column in table.columns]
    return [
        name
        for name in names
        if IDENTIFIERS.search(name) or HEALTH.match(name) or (table.name, name) in FREE
    ]


def erased_tables() -> dict[str, str]:
    """Return what the erasure of a patient does to each table that it touches."""
    empty = PatientRecord("", (), (), 0, 0, 0, (), ())
    return {
        str(statement.table): "deleted"
        if isinstance(statement, Delete)
        else "kept, without the series"
        for statement in erasing_statements(empty, None)
    }


def _database() -> str:
    erased = erased_tables()
    rows = []
    for name, table in sorted(Base.metadata.tables.items()):
        personal = ", ".join(f"`{one}`" for one in personal_columns(table))
        staff = ", ".join(f"`{one.name}`" for one in table.columns if STAFF.match(one.name))
        rows.append((f"`{name}`", personal or "–", staff or "–", erased.get(name, "–")))
    head = ("table", "patient: identifiers and health data", "staff", "`erase`")
    return _table(head, rows)


def _spool() -> str:
    days = WorkerSettings.model_fields["retention_days"].default
    images = f"`RETENTION_DAYS` (default {days}) after the series has ended"
    rows = [
        (f"`{INCOMING}/`", "images that are being written", "the end of the transfer"),
        ("`STUDY/SERIES/`", "images as received, with every attribute", images),
        (f"`{RESULTS}/STUDY/`", "SR, secondary captures, PNG, JSON", "`erase`"),
        (f"`{HELD}/STUDY/`", "changed content of another sender", "the decision, or `erase`"),
        (f"`{QUARANTINE}/STUDY/`", "files that are not read", "an operator, or `erase`"),
        ("`models/`", "promoted models; no patient data", "an operator"),
    ]
    return _table(("folder of the spool", "content", "deleted by"), rows)


def _transit() -> str:
    minutes = ReviewSettings.model_fields["review_idle_minutes"].default
    page = f"TLS, a proxy with TLS, or loopback; log-off after {minutes} minutes"
    rows = [
        ("C-STORE and STOW-RS to osteoscreen", "`TLS_CERT`, `TLS_KEY`", "off"),
        ("… certificate of the sender", "`TLS_CA`, `TLS_CLIENT_CERTIFICATE`", "off"),
        ("C-STORE to a destination, C-FIND, C-MOVE", '`"tls": true` of the peer', "off"),
        ("STOW-RS, QIDO-RS and WADO-RS to a server", "an `https://` URL of the peer", "by URL"),
        ("review page", page, "required"),
        ("audit messages", "`AUDIT_SYSLOG`, always TLS", "no messages"),
        ("PostgreSQL", "`sslmode=verify-full` in `DATABASE_URL`", "by URL"),
        ("Redis (row IDs only)", "a `rediss://` URL in `BROKER_URL`", "by URL"),
        ("metrics and health (no patient data)", "none: keep them in the network", "plain"),
    ]
    return _table(("connection", "encrypted by", "default"), rows)


def _product() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return _table(("product", "version"), [(project["name"], project["version"])])


def _objects() -> str:
    return _table(("object", "SOP class"), [(UID(one).name, f"`{one}`") for one in SENT])


def _events() -> str:
    codes = dict.fromkeys(kind.event for kind in _KINDS.values())
    return _table(("event", "code"), [(one[2], f"{one[0]} {one[1]}") for one in codes])


TABLES: dict[str, Callable[[], str]] = {
    "database": _database,
    "spool": _spool,
    "transit": _transit,
    "product": _product,
    "objects": _objects,
    "events": _events,
}


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(refreshed(path.read_text()))
