"""Logs and metrics: set up once at the entry of a process; all metrics are named here.

Logs carry a static event name and identifiers (UIDs, AE titles, addresses), never a patient's
name, ID or birth date.
"""

import logging
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()

ASSOCIATIONS = Counter(
    "osteoscreen_associations",
    "Associations by outcome (accepted, released, aborted, or why they were rejected)",
    ["outcome"],
    registry=REGISTRY,
)
OPEN_ASSOCIATIONS = Gauge(
    "osteoscreen_open_associations", "Associations open now", registry=REGISTRY
)
INSTANCES = Counter(
    "osteoscreen_instances",
    "Instances offered by any way, by status (hexadecimal, as answered)",
    ["status"],
    registry=REGISTRY,
)
STOW_REQUESTS = Counter(
    "osteoscreen_stow_requests",
    "STOW-RS requests by HTTP status",
    ["status"],
    registry=REGISTRY,
)
RECEIVED_BYTES = Counter(
    "osteoscreen_received_bytes", "Bytes of encoded data sets made durable", registry=REGISTRY
)
STORE_SECONDS = Histogram(
    "osteoscreen_store_seconds",
    "From the command of a C-STORE to its durable file",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
    registry=REGISTRY,
)
PENDING_SERIES = Gauge(
    "osteoscreen_pending_series",
    "Series in the spool that are not registered yet",
    registry=REGISTRY,
)
REGISTERED_SERIES = Counter(
    "osteoscreen_registered_series",
    "Series revisions registered by evidence of completion",
    ["completed_by"],
    registry=REGISTRY,
)
SOURCE_PACS = Counter(
    "osteoscreen_source_pacs",
    "Counts and fetches asked of the source PACS by outcome (counted, fetched, unavailable)",
    ["outcome"],
    registry=REGISTRY,
)
SCREENINGS = Counter(
    "osteoscreen_screenings",
    "Finished runs by outcome (screened, rejected, failed, …)",
    ["outcome"],
    registry=REGISTRY,
)
REJECTIONS = Counter(
    "osteoscreen_rejections", "Rejected series by reason code", ["reason"], registry=REGISTRY
)
GRADES = Counter(
    "osteoscreen_grades", "Screened series by patient-level grade", ["grade"], registry=REGISTRY
)
WARNINGS = Counter(
    "osteoscreen_warnings",
    "Warnings of finished runs by what they are about (tube voltage, noise, …)",
    ["topic"],
    registry=REGISTRY,
)
OLDEST_WAITING_SECONDS = Gauge(
    "osteoscreen_oldest_waiting_seconds",
    "How long the longest waiting series has been complete; 0 where none waits",
    registry=REGISTRY,
)
STEP_SECONDS = Histogram(
    "osteoscreen_step_seconds",
    "Duration of one step of the pipeline",
    ["step"],
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100),
    registry=REGISTRY,
)
COMMITMENTS = Counter(
    "osteoscreen_commitments",
    "Objects that destinations reported on by Storage Commitment (committed, failed)",
    ["outcome"],
    registry=REGISTRY,
)
DELIVERIES = Counter(
    "osteoscreen_deliveries",
    "Delivery attempts by destination and outcome (sent, confirmed, refused, unreachable)",
    ["destination", "outcome"],
    registry=REGISTRY,
)


def add_up(sources: Callable[[], Iterable[Metric]]) -> CollectorRegistry:
    """The metrics of this process and those that ``sources`` gives, of other processes: what
    has the same name and labels is added up, whenever somebody looks."""

    class Sum(Collector):
        def describe(self) -> Iterable[Metric]:
            return REGISTRY.collect()

        def collect(self) -> Iterator[Metric]:
            families: dict[str, Metric] = {}
            values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
            for metric in (*REGISTRY.collect(), *sources()):
                families.setdefault(
                    metric.name, Metric(metric.name, metric.documentation, metric.type)
                )
                sums = values.setdefault(metric.name, {})
                for sample in metric.samples:
                    key = sample.name, tuple(sample.labels.items())
                    if sample.name.endswith("_created"):  # a time
                        sums[key] = min(sums.get(key, sample.value), sample.value)
                    else:
                        sums[key] = sums.get(key, 0.0) + sample.value
            for name, family in families.items():
                for (sample_name, labels), value in values[name].items():
                    family.add_sample(sample_name, dict(labels), value)
                yield family

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Sum())
    return registry


def configure_logging(
    log_format: Literal["text", "json"], *, level: int = logging.INFO
) -> None:
    """Send structlog's and the libraries' records to stderr, one line each."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
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
    # Their lower levels print whole messages and data sets, with the patient in them.
    for name in ("pydicom", "pynetdicom"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # What clients do wrong is counted and answered; these would repeat it, request by request.
    for name in ("uvicorn", "python_multipart"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Warnings, too, carry values of data elements (pydicom).
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)


def new_correlation_id() -> str:
    """Names what happens because of one association, in the logs of all services."""
    return secrets.token_hex(8)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger: ``log.info("series_queued", series_instance_uid=…)``."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
