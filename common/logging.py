"""Logging configuration, applied once at the start of a process.

Log lines carry a static event name and identifiers (UIDs, AE titles, addresses), never a
patient's name, ID or birth date.
"""

import logging
import secrets
import sys
from typing import Literal

import pydicom
import structlog

from common.log_limit import RefusalLimit

MULTILINE = frozenset({"exception", "stack"})
LogFormat = Literal["text", "json"]
LogOptions = tuple[LogFormat, int, int]

_options: tuple[LogFormat, int] = ("text", logging.INFO)


def log_options() -> LogOptions:
    """Return format, level and disabled level of this process, for a child process."""
    return *_options, logging.root.manager.disable


def configure_logging(log_format: LogFormat, *, level: int = logging.INFO) -> None:
    """Write the records of structlog and of the libraries to stderr, one line each."""
    global _options
    _options = (log_format, level)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        escape_control_characters,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            RefusalLimit(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    _limit_libraries()


def _limit_libraries() -> None:
    """Set the levels of loggers of libraries, which would print patient data or repeat."""
    # Lower levels print whole messages and data sets, including patient data.
    # Imported here first, because pydicom sets the level of its logger at import.
    for name in (pydicom.__name__, "pynetdicom"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Client errors are counted and answered; these loggers would repeat each of them.
    for name in ("uvicorn", "python_multipart"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Warnings of pydicom contain values of data elements.
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)


def escape_control_characters(
    _: object, __: str, event_dict: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Escape the characters of texts that a terminal does not print.

    A peer could otherwise write lines and terminal commands into the log. Tracebacks keep
    their lines.
    """
    for name, value in event_dict.items():
        if isinstance(value, str) and not value.isprintable() and name not in MULTILINE:
            event_dict[name] = "".join(
                one if one.isprintable() else repr(one)[1:-1] for one in value
            )
    return event_dict


def new_correlation_id() -> str:
    """Return an ID that connects the log lines of all services about one association."""
    return secrets.token_hex(8)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger: ``log.info("series_queued", series_instance_uid=…)``."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
