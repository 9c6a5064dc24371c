"""TLS to PostgreSQL and Redis: real servers, certificates that are verified, and refusals.

Covered: PostgreSQL of Debian with the ``pg_hba.conf`` of ``deploy/compose.tls.yaml``; Valkey
behind a TLS proxy, because that of the wheel has no TLS.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from common.settings.load import load_settings
from common.settings.worker import WorkerSettings
from common.task_publisher import SCREENING_QUEUE, TaskPublisher
from db.migrate import upgrade
from db.session import make_engine
from deploy.demo.embedded import Postgres, Valkey
from tests.support.certificates import Authority
from tests.support.servers import missing
from tests.support.tls_proxy import tls_proxy
from worker.diagnostics.checks import check_broker, check_database

pytestmark = [pytest.mark.servers, pytest.mark.covers("T4")]
COMPOSE = Path(__file__).parents[2] / "deploy/compose.tls.yaml"


class TlsPostgres(Postgres):
    """PostgreSQL of Debian, which has TLS, with the access rules of the compose file."""

    def __init__(self, authority: Authority) -> None:
        super().__init__()
        installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        if not installed:
            missing("PostgreSQL is not installed (Debian package postgresql)")
        self._programs = installed[-1].parents[1]
        self._identity = authority.issue("postgres")

    def _copy_programs(self, user: int, group: int) -> None:
        """Leave the programs where every user can run them."""

    def _create_cluster(self) -> None:
        super()._create_cluster()
        command = yaml.safe_load(COMPOSE.read_text())["services"]["postgres"]["command"][-1]
        rules = re.search(r"printf '(local.*)' > /tmp/pg_hba.conf", command)
        assert rules is not None
        (self._data / "pg_hba.conf").write_text(rules[1].replace("\\n", "\n"))
        with (self._data / "postgresql.conf").open("a") as file:
            file.write("ssl = on\n")
        for source, name in (
            (self._identity.cert, "server.crt"),
            (self._identity.key, "server.key"),
        ):
            path = Path(shutil.copy(source, self._data / name))
            path.chmod(0o600)
            if self._user is not None:
                shutil.chown(path, self._user, self._group)


@pytest.fixture(scope="module")
def postgres(authority: Authority) -> Iterator[TlsPostgres]:
    with TlsPostgres(authority) as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerSettings:
    monkeypatch.chdir(tmp_path)
    return load_settings(WorkerSettings)


def test_postgres_is_verified_and_refuses_a_connection_without_tls(
    postgres: TlsPostgres, authority: Authority, settings: WorkerSettings, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other").ca
    verified = f"{postgres.url}?sslmode=verify-full&sslrootcert={authority.ca}"
    engine = make_engine(verified, application_name="tests")
    upgrade(engine)
    with engine.connect() as connection:
        uses_tls = connection.exec_driver_sql(
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        ).scalar()
    engine.dispose()

    checks = [
        check_database(settings.model_copy(update={"database_url": url}))
        for url in (
            verified,
            f"{postgres.url}?sslmode=verify-full&sslrootcert={other}",
            f"{postgres.url}?sslmode=disable",
        )
    ]

    assert uses_tls is True
    assert [one.ok for one in checks] == [True, False, False], checks
    assert "certificate verify failed" in checks[1].detail
    assert "no encryption" in checks[2].detail
    assert postgres.password not in "".join(one.detail for one in checks)


def test_broker_certificate_is_verified(
    authority: Authority, settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Valkey() as valkey, tls_proxy(valkey.port, authority.issue("redis")) as port:
        url = f"rediss://:{valkey.password}@localhost:{port}/0"
        with_ca = f"{url}?ssl_ca_certs={authority.ca}"
        given = {}
        for name, value in (("verified", with_ca), ("unknown authority", url)):
            monkeypatch.setenv("OSTEOSCREEN_BROKER_URL", value)
            given[name] = load_settings(WorkerSettings)
        # First the one that must fail: kombu shares the connections of an address.
        unknown, verified = (check_broker(given[name]) for name in reversed(given))
        publisher = TaskPublisher.from_url(given["verified"].broker_url)
        published = publisher.screen(1)
        waiting = publisher.queue_length(SCREENING_QUEUE)
        publisher.close()

    assert (unknown.ok, verified.ok) == (False, True), (unknown, verified)
    assert "certificate verify failed" in unknown.detail
    assert (published, waiting) == (True, 1)
