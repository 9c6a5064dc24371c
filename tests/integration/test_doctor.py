"""Covered: ``python -m worker doctor`` on real servers, and the remedy of each failure."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from common.settings.load import load_settings
from common.settings.worker import DicomwebDestination, DimseDestination, WorkerSettings
from deploy.demo.embedded import Postgres, free_port
from tests.support.certificates import EXPIRED, Authority
from tests.support.deliveries import accept_only, dimse_destination
from tests.support.servers import Orthanc, running_dcmtk_storescp, running_orthanc
from tests.support.storage_scp import OpenStorageScp, associated
from tests.support.worker_cli import run_worker
from worker.diagnostics.certificate import check_certificate
from worker.diagnostics.checks import check_broker, check_database, check_spool
from worker.diagnostics.destination import check_destination
from worker.diagnostics.diagnostic import Diagnostic, without_password
from worker.diagnostics.models import check_model

pytestmark = pytest.mark.servers

MakeSettings = Callable[..., WorkerSettings]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeSettings:
    monkeypatch.chdir(tmp_path)
    return lambda **changes: load_settings(WorkerSettings).model_copy(update=changes)


def test_every_check_passes_on_real_servers(
    child_settings: dict[str, object], model_dir: Path, orthanc: Orthanc, tmp_path: Path
) -> None:
    child_settings |= {
        "MODEL_DIR": model_dir,
        "DESTINATIONS": [orthanc.dimse_destination(), orthanc.dicomweb_destination()],
    }

    ended = run_worker("doctor", "--json", cwd=tmp_path, settings=child_settings)

    checks = json.loads(ended.stdout)
    assert [check["name"] for check in checks if not check["ok"]] == []
    assert ended.returncode == 0
    assert [check["name"] for check in checks] == [
        "settings", "user", "database", "broker", "spool", "owners", "quarantine",
        "queue", "changed content", "withheld results", "model",
        "destination pacs", "destination archive",
    ]  # fmt: skip


@pytest.mark.covers("T12")
def test_every_failure_has_a_remedy_and_no_traceback_or_password(tmp_path: Path) -> None:
    closed = free_port()
    blocked = tmp_path / "a file"
    blocked.write_text("")
    away = {"name": "pacs", "kind": "dimse", "ae_title": "P", "host": "127.0.0.1"}
    web = {"name": "web", "kind": "dicomweb", "url": f"http://127.0.0.1:{closed}/dicom-web"}

    ended = run_worker(
        "doctor",
        cwd=tmp_path,
        settings={
            "DATABASE_URL": f"postgresql+psycopg2://me:hidden@127.0.0.1:{closed}/none",
            "BROKER_URL": f"redis://:hidden@127.0.0.1:{closed}/0",
            "SPOOL_DIR": blocked / "spool",
            "MODEL_DIR": tmp_path / "no model",
            "TLS_CA": blocked,  # a file without a certificate
            "DESTINATIONS": [
                {**away, "port": closed},
                {**away, "port": closed, "name": "tls", "tls": True},
                {**away, "port": closed, "name": "lost", "host": "nosuchhost.invalid"},
                {**web, "token": "hidden"},
            ],
        },
    )

    assert ended.returncode == 1
    assert ended.stdout.count("│ failed │") == 8
    assert ended.stdout.count("→") == 8
    for output in (ended.stdout, ended.stderr):
        assert "Traceback" not in output
        assert "hidden" not in output
    assert "refused" not in ended.stderr  # the table reports it, not a library's log


def failed(check: Diagnostic, remedy: str) -> bool:
    return not check.ok and remedy in check.remedy


def test_an_empty_database_is_distinguished_from_one_that_does_not_answer(
    postgres: Postgres, settings: MakeSettings
) -> None:
    empty = check_database(settings(database_url=postgres.url))
    wrong = check_database(settings(database_url=postgres.url.replace(postgres.password, "x")))

    assert failed(empty, "python -m db upgrade")
    assert failed(wrong, "OSTEOSCREEN_DATABASE_URL")
    assert "password" in wrong.detail


def test_a_migrated_database_passes(database_url: str, settings: MakeSettings) -> None:
    check = check_database(settings(database_url=database_url))

    assert check.ok
    assert "@127.0.0.1" not in check.detail


def test_a_read_only_database_fails(
    postgres: Postgres, database_url: str, settings: MakeSettings
) -> None:
    name = database_url.rpartition("/")[2]
    postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    check = check_database(settings(database_url=database_url))

    assert failed(check, "end the read-only mode of PostgreSQL")


def test_an_expired_certificate_fails(tmp_path: Path, settings: MakeSettings) -> None:
    authority = Authority(tmp_path / "ca")
    valid, expired = authority.issue("valid"), authority.issue("expired", dates=EXPIRED)
    checks = [
        check_certificate(settings(tls_cert=one.cert, tls_key=key))
        for one, key in ((valid, valid.key), (expired, expired.key), (valid, expired.key))
    ]

    assert [check.ok for check in checks] == [True, False, False]
    assert checks[1].detail == f"{expired.cert} has expired"
    assert "the key does not belong to the certificate" in checks[2].detail


def test_a_broker_that_does_not_answer_fails(settings: MakeSettings) -> None:
    check = check_broker(settings(broker_url=f"redis://127.0.0.1:{free_port()}/0"))

    assert failed(check, "start Redis")


def test_nothing_is_created(tmp_path: Path) -> None:
    missing = check_spool(tmp_path / "new", 0)
    empty = tmp_path / "empty"
    empty.mkdir()

    assert failed(missing, "start the services, which create it")
    assert check_spool(empty, 0).ok
    assert [*tmp_path.rglob("*")] == [empty]


def test_a_disk_on_which_senders_are_refused_fails(tmp_path: Path) -> None:
    full = check_spool(tmp_path, 10**9)

    assert failed(full, "free disk space")
    assert "below OSTEOSCREEN_MIN_FREE_MB=1000000000: senders get 0xA700" in full.detail


def test_an_altered_model_fails(model_dir: Path, tmp_path: Path) -> None:
    altered = tmp_path / "altered"
    altered.mkdir()
    for path in model_dir.iterdir():
        (altered / path.name).write_bytes(path.read_bytes())
    weights = bytearray((altered / "weights.npz").read_bytes())
    weights[len(weights) // 2] ^= 1
    (altered / "weights.npz").write_bytes(bytes(weights))

    assert check_model(model_dir).ok
    assert failed(check_model(altered), "OSTEOSCREEN_MODEL_DIR")


@pytest.mark.parametrize(
    ("takes", "words"),
    [
        (["SecondaryCaptureImageStorage"], ["refuses Comprehensive 3D SR", "88.34"]),
        (
            ["SecondaryCaptureImageStorage", "ComprehensiveSRStorage"],
            ["OSTEOSCREEN_SR_SOP_CLASS=comprehensive", "88.34"],
        ),
        (["Comprehensive3DSRStorage"], ["refuses Secondary Capture", "1.1.7)"]),
        (
            ["Comprehensive3DSRStorage", "SecondaryCaptureImageStorage"],
            ["refuses Key Object Selection", "88.59"],
        ),
    ],
)
def test_a_refused_sop_class_is_named_with_a_remedy(
    takes: list[str], words: list[str], tmp_path: Path, settings: MakeSettings
) -> None:
    options = accept_only(tmp_path, "VerificationSOPClass", *takes)
    with running_dcmtk_storescp(tmp_path / "received", *options) as port:
        pacs = dimse_destination(port, "PACS")
        check = check_destination(pacs, settings())

    assert not check.ok
    for word in words:
        assert word in check.detail + check.remedy
    assert list((tmp_path / "received").iterdir()) == []


def test_the_kind_of_confirmation_is_named(
    orthanc: Orthanc, tmp_path: Path, settings: MakeSettings
) -> None:
    full = DimseDestination.model_validate(orthanc.dimse_destination())
    only_find = full.model_copy(update={"commitment": False})
    with running_dcmtk_storescp(tmp_path / "received") as port:
        bare = full.model_copy(update={"port": port})
        checks = [check_destination(one, settings()) for one in (full, only_find, bare)]

    assert [check.ok for check in checks] == [True] * 3
    for check, word in zip(
        checks, ("by Storage Commitment", "by C-FIND", "confirms nothing"), strict=True
    ):
        assert word in check.detail


def test_a_pacs_that_does_not_allow_queries_is_reported(
    tmp_path: Path, settings: MakeSettings
) -> None:
    with running_orthanc(tmp_path / "pacs", DicomAlwaysAllowFind=False) as orthanc:
        pacs = DimseDestination.model_validate(orthanc.dimse_destination())
        check = check_destination(pacs, settings())

    assert check.ok
    assert "deliveries stay at sent until OSTEOSCREEN may query" in check.detail
    assert "takes SR and SC" in check.detail


def test_a_pacs_whose_late_reports_the_storage_scp_would_reject_fails(
    orthanc: Orthanc, settings: MakeSettings
) -> None:
    pacs = DimseDestination.model_validate(orthanc.dimse_destination())
    closed = settings(allowed_calling_aets=("CT_01",))
    by_query = pacs.model_copy(update={"commitment": False})

    failing = check_destination(pacs, closed)
    passing = [
        check_destination(pacs, settings(allowed_calling_aets=("CT_01", pacs.ae_title))),
        check_destination(pacs, settings()),
        check_destination(by_query, closed),
    ]

    assert failed(failing, f"add {pacs.ae_title} to OSTEOSCREEN_ALLOWED_CALLING_AETS")
    assert "late reports of Storage Commitment would be rejected" in failing.detail
    assert "takes SR and SC" in failing.detail
    assert [check.ok for check in passing] == [True] * 3


@pytest.mark.covers("T1")
def test_the_storage_scp_rejects_the_ae_titles_that_doctor_reports(
    open_storage_scp: OpenStorageScp,
) -> None:
    scp = open_storage_scp(allowed_calling_aets=("CT_01",))

    with associated(scp, calling="PACS") as rejected, associated(scp, calling="CT_01") as ct:
        assert (rejected.is_rejected, ct.is_established) == (True, True)
    assert [scp.settings.may_call(title) for title in ("PACS", "CT_01")] == [False, True]


def test_a_server_without_stow_rs_or_with_another_token_fails(
    tmp_path: Path, orthanc: Orthanc, settings: MakeSettings
) -> None:
    with running_orthanc(
        tmp_path / "closed", AuthenticationEnabled=True, RegisteredUsers={"ai": "secret"}
    ) as closed:
        checks = [
            check_destination(
                DicomwebDestination.model_validate(
                    {"kind": "dicomweb", "name": "web", "url": url, "token": "guess"}
                ),
                settings(),
            )
            for url in (closed.dicomweb_url, orthanc.url)  # the latter: REST, no DICOMweb
        ]

    assert failed(checks[0], "token")
    assert "HTTP 401, the token is missing or wrong" in checks[0].detail
    assert not checks[1].ok


def test_a_pacs_that_rejects_the_association_needs_our_ae_title(
    tmp_path: Path, settings: MakeSettings
) -> None:
    with running_dcmtk_storescp(tmp_path / "received", "--refuse") as port:
        pacs = dimse_destination(port, "PACS")
        check = check_destination(pacs, settings())

    assert failed(check, "enter our AE title OSTEOSCREEN at the PACS")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@host:1/0", "redis://host:1/0"),
        ("postgresql+psycopg2://me:p%40ss@host/db", "postgresql+psycopg2://host/db"),
        ("https://host/dicom-web", "https://host/dicom-web"),
    ],
)
def test_urls_are_shown_without_credentials(url: str, shown: str) -> None:
    assert without_password(url) == shown
