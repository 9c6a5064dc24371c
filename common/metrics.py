"""Prometheus metrics of all services; ``sum_registries`` adds those of other processes."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()

ASSOCIATIONS = Counter(
    "osteoscreen_associations",
    "Associations by outcome (accepted, released, aborted, or the reason of the rejection)",
    ["outcome"],
    registry=REGISTRY,
)
OPEN_ASSOCIATIONS = Gauge(
    "osteoscreen_open_associations", "Associations open now", registry=REGISTRY
)
INSTANCES = Counter(
    "osteoscreen_instances",
    "Instances received by DIMSE or STOW-RS, by response status (hexadecimal)",
    ["status"],
    registry=REGISTRY,
)
REFUSED_INSTANCES = Counter(
    "osteoscreen_refused_instances",
    "Instances that were answered with any status but 0x0000",
    registry=REGISTRY,
)
STOW_REQUESTS = Counter(
    "osteoscreen_stow_requests",
    "STOW-RS requests by HTTP status",
    ["status"],
    registry=REGISTRY,
)
RECEIVED_BYTES = Counter(
    "osteoscreen_received_bytes", "Bytes of encoded data sets stored durably", registry=REGISTRY
)
STORE_SECONDS = Histogram(
    "osteoscreen_store_seconds",
    "Time from the C-STORE command to the durable file",
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
QUARANTINED = Gauge(
    "osteoscreen_quarantined_files",
    "Files in quarantine: over a limit, or read when processes ended",
    registry=REGISTRY,
)
SOURCE_PACS = Counter(
    "osteoscreen_source_pacs",
    "Requests to the source PACS by outcome (counted, fetched, unavailable)",
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
NO_GRADE = "none"
"""Label of a result that measures the spine and grades no hip."""
GRADES = Counter(
    "osteoscreen_grades", "Screened series by patient-level grade", ["grade"], registry=REGISTRY
)
WARNINGS = Counter(
    "osteoscreen_warnings",
    "Warnings of finished runs by topic (tube voltage, noise, …)",
    ["topic"],
    registry=REGISTRY,
)
SKIPPED_MESSAGES = Counter(
    "osteoscreen_skipped_messages",
    "Messages of the broker that the worker could not read",
    registry=REGISTRY,
)
OLDEST_WAITING_SECONDS = Gauge(
    "osteoscreen_oldest_waiting_seconds",
    "Time since completion of the longest waiting series; 0 if none is waiting",
    registry=REGISTRY,
)
AUDIT_OLDEST_SECONDS = Gauge(
    "osteoscreen_audit_oldest_seconds",
    "Age of the oldest audit message that the repository has not read; 0 if there is none",
    registry=REGISTRY,
)
SPOOL_FREE_BYTES = Gauge(
    "osteoscreen_spool_free_bytes",
    "Free bytes of the file system of the spool; NaN if it cannot be read",
    registry=REGISTRY,
)
QUEUE = Gauge(
    "osteoscreen_queue",
    "Series, studies and objects to deliver that are not finished, by state; each worker has"
    " the same numbers",
    ["kind", "state"],
    registry=REGISTRY,
)
QUEUE_AGE_SECONDS = Gauge(
    "osteoscreen_queue_age_seconds",
    "Time since the series or study that is longest in this state entered it; 0 if none is",
    ["kind", "state"],
    registry=REGISTRY,
)
HELD_INSTANCES = Gauge(
    "osteoscreen_held_instances",
    "Instances with changed content of another sender that wait for a decision",
    registry=REGISTRY,
)
WITHHELD = Counter(
    "osteoscreen_withheld_results",
    "Reports that the screening policy did not deliver, by reason code",
    ["reason"],
    registry=REGISTRY,
)
LIVE_MODEL = Gauge(
    "osteoscreen_live_model",
    "1 for the model that this worker loaded last to grade: name, version and SHA-256",
    ["name", "version", "sha256"],
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


def sum_registries(sources: Callable[[], Iterable[Metric]]) -> CollectorRegistry:
    """Return a registry that adds the metrics of other processes to those of this one.

    ``sources`` yields the metrics of the other processes. Samples with the same name and labels
    are added at each scrape.
    """

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
                    if sample.name.endswith("_created"):  # a timestamp, not a count
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
