"""Counters of the server, in the form that Prometheus reads."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from cosmos_robot.serving.job import JobState

_SECONDS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """What is counted."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "cosmos_robot_requests",
            "Requests answered, by interface and status.",
            ["interface", "status"],
            registry=self._registry,
        )
        self._jobs = Gauge("cosmos_robot_jobs", "Jobs that are kept, by state.", ["state"], registry=self._registry)
        self._batches = Histogram(
            "cosmos_robot_generation_seconds",
            "Seconds of a forward pass of the world model, denoising and decoding.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batched = Counter(
            "cosmos_robot_generated", "Jobs that the world model answered.", registry=self._registry
        )

    def count_request(self, interface: str, status: int) -> None:
        """Count one answer."""
        self._requests.labels(interface, str(status)).inc()

    def count_batch(self, jobs: int, seconds: float) -> None:
        """Count one batch of the world model."""
        self._batches.observe(seconds)
        self._batched.inc(jobs)

    def text(self, jobs: Mapping[JobState, int]) -> bytes:
        """Everything, as Prometheus reads it."""
        for state, count in jobs.items():
            self._jobs.labels(state.value).set(count)
        return generate_latest(self._registry)
