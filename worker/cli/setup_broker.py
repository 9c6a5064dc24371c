"""Password of the Redis of this host."""

from urllib.parse import urlsplit

import redis

from worker.cli.setup_answers import SetupError

SECONDS = 5.0


def set_password(url: str) -> bool:
    """Give the Redis of a URL the password of the URL if it has none; return whether it did.

    Redis writes it into its configuration file, where it has one. Raises SetupError if it does
    not answer, or requires another password.
    """
    parts = urlsplit(url)
    where = f"Redis at {parts.hostname}:{parts.port or 6379}"
    options = {"socket_connect_timeout": SECONDS, "socket_timeout": SECONDS}
    try:
        with redis.Redis.from_url(_without_password(url), **options) as client:
            if not _requires_password(client):
                _require(client, parts.password or "")
                return True
        with redis.Redis.from_url(url, **options) as client:
            client.ping()
    except redis.AuthenticationError:
        raise SetupError(
            f"{where} requires another password: write its URL into a file and name it by"
            " --broker-url-file"
        ) from None
    except redis.RedisError as error:
        raise SetupError(f"{where}: {error}; start it, or use --broker-url-file") from None
    return False


def _requires_password(client: "redis.Redis") -> bool:
    try:
        client.ping()
    except redis.AuthenticationError:
        return True
    return False


def _require(client: "redis.Redis", password: str) -> None:
    client.config_set("requirepass", password)
    client.auth(password)
    try:
        client.config_rewrite()
    except redis.ResponseError as error:
        client.config_set("requirepass", "")  # as it will be after its next start
        raise SetupError(f"the configuration file of Redis is not written: {error}") from None


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
