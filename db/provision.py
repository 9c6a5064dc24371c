"""Create the owner of the tables and the database, on a PostgreSQL that has neither."""

from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError

from db import migrate, roles
from db.session import make_engine

LOCAL_SERVER = "postgresql+psycopg2:///postgres"
"""The server of this host by its socket, as the operating system's user."""


def create_database(server_url: str, owner_url: str) -> list[str]:
    """Create role and database of ``owner_url``; return what was created.

    ``server_url`` is of a superuser. An existing role gets the password of the URL, and an
    existing database is kept, so that a set-up that was interrupted can be repeated.
    """
    owner = make_url(owner_url)
    server = make_url(server_url).set(drivername="postgresql+psycopg2")
    engine = create_engine(server, isolation_level="AUTOCOMMIT", hide_parameters=True)
    try:
        with engine.connect() as connection:
            login = roles.Login(str(owner.username), str(owner.password))
            new = roles.create_role(connection, login, attributes="CREATEROLE")
            created = [f"role {login.name}"] if new else []
            created += _create_database(connection, str(owner.database), str(owner.username))
    finally:
        engine.dispose()
    of_database = make_engine(
        server.set(database=owner.database).render_as_string(hide_password=False),
        application_name="db",
    )
    roles.set_log_parameters(of_database)
    of_database.dispose()
    return created


def service_urls(owner_url: str, passwords: dict[str, str]) -> dict[str, str]:
    """Return the URL of each service: the owner's database with the service's own user."""
    owner = make_url(owner_url)
    return {
        service: owner.set(
            username=f"osteoscreen_{service}", password=password
        ).render_as_string(hide_password=False)
        for service, password in passwords.items()
    }


def is_same_database(url: str, other: str) -> bool:
    """Return whether two URLs name the same database of the same server."""
    try:
        one, two = make_url(url), make_url(other)
    except ArgumentError:
        return False
    return (one.host, one.port, one.database) == (two.host, two.port, two.database)


def prepare_tables(owner_url: str, urls: list[str]) -> bool:
    """Migrate the database, and create the users of the services with their rights.

    A URL with another user is left out. Returns whether the log of PostgreSQL is free of values
    (``db.roles.LOG_PARAMETERS``), which only a superuser can set.
    """
    logins = []
    for url in urls:
        try:
            logins.append(roles.read_login(url))
        except roles.NotAServiceRole:
            continue
    engine = make_engine(owner_url, application_name="db")
    try:
        migrate.upgrade(engine)
        if logins:
            roles.create_roles(engine, logins)
        return roles.has_log_parameters(engine) or roles.set_log_parameters(engine)
    finally:
        engine.dispose()


def _create_database(connection: Connection, name: str, owner: str) -> list[str]:
    quote = connection.dialect.identifier_preparer.quote_identifier
    known = text("SELECT 1 FROM pg_database WHERE datname = :name")
    if connection.scalar(known, {"name": name}) is not None:
        return []
    connection.execute(text(f"CREATE DATABASE {quote(name)} OWNER {quote(owner)}"))
    return [f"database {name}"]
