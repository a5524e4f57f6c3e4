"""What the server counts, in the text form of Prometheus."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one application, in a registry of their own.

    Args:
        num_waiting: Gives the requests that wait for the model.
        num_items: Gives the items of the catalogue.
    """

    def __init__(self, num_waiting: Callable[[], float], num_items: Callable[[], float]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "g2rec_requests", "Requests answered", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "g2rec_request_seconds",
            "From a request's head to the end of its answer",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batch_size = Histogram(
            "g2rec_batch_size",
            "Requests that went through the model at once",
            buckets=_SIZES,
            registry=self._registry,
        )
        self._batch_seconds = Histogram(
            "g2rec_batch_seconds",
            "What a batch took in the model",
            buckets=_SECONDS,
            registry=self._registry,
        )
        waiting = Gauge("g2rec_waiting", "Requests that wait for the model", registry=self._registry)
        waiting.set_function(num_waiting)
        items = Gauge("g2rec_items", "Items of the catalogue", registry=self._registry)
        items.set_function(num_items)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, size: int, seconds: float) -> None:
        """Count one batch."""
        self._batch_size.observe(size)
        self._batch_seconds.observe(seconds)

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self._registry)
