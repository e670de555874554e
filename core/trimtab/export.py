"""What a ledger records, for the monitoring that is there already.

Each exporter is a hook: `Ledger(hooks=[OpenTelemetry()])`. Names and units are those of the
OpenTelemetry semantic conventions for generative AI; what those have no name for begins with
`trimtab.`.

>>> from trimtab import Event, Ledger
>>> def watch(event: Event) -> None:
...     print(event.model, event.usage.input_tokens, event.cost)
>>> ledger = Ledger(hooks=[watch])
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from trimtab.ledger import Event

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter
    from prometheus_client import CollectorRegistry

MODEL, KIND = "gen_ai.response.model", "gen_ai.token.type"
USED = {
    "gen_ai.usage.input_tokens": "input_tokens",
    "gen_ai.usage.output_tokens": "output_tokens",
    "gen_ai.usage.cache_read.input_tokens": "cache_read_tokens",
    "gen_ai.usage.cache_creation.input_tokens": "cache_write_tokens",
    "gen_ai.usage.reasoning.output_tokens": "reasoning_tokens",
}
"""Attributes of a span, and what of a call's usage they say."""
SECONDS = [0.01 * 2**power for power in range(14)]
"""Where the bins of a histogram end, as the conventions have it."""


class OpenTelemetry:
    """Measures each call, and says what is known of it on the span that it happened in.

    Args:
        meter: The global one of the name `trimtab` where it is not given.

    >>> from trimtab import Ledger
    >>> from trimtab.export import OpenTelemetry
    >>> ledger = Ledger("usage.db", hooks=[OpenTelemetry()])
    """

    def __init__(self, meter: Meter | None = None) -> None:
        try:
            from opentelemetry import metrics, trace
        except ImportError as error:
            raise ImportError(
                "this needs opentelemetry-api: pip install 'trimtab[otel]'"
            ) from error
        meter = meter or metrics.get_meter("trimtab")
        self._span = trace.get_current_span
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", "Tokens of a call, by their kind"
        )
        self._seconds = meter.create_histogram(
            "gen_ai.client.operation.duration", "s", "How long a call took"
        )
        self._dollars = meter.create_counter("trimtab.cost", "USD", "What calls cost")
        self._spared = meter.create_counter(
            "trimtab.saved.tokens", "{token}", "Tokens that levers saved, by lever"
        )

    def __call__(self, event: Event) -> None:
        """Export a call."""
        labels = _labels(event)
        for kind, tokens in _by_kind(event):
            self._tokens.record(tokens, {**labels, KIND: kind})
        if event.latency is not None:
            self._seconds.record(event.latency, labels)
        if event.cost is not None:
            self._dollars.add(float(event.cost), labels)
        for lever, tokens in _saved(event):
            self._spared.add(tokens, {**labels, "trimtab.lever": lever})
        span = self._span()
        if span.is_recording():
            span.set_attributes({**labels, **_attributes(event)})


class Prometheus:
    """Counts calls, tokens, dollars and seconds, for a Prometheus server to collect.

    Args:
        registry: The global one where it is not given.

    >>> from prometheus_client import CollectorRegistry
    >>> from trimtab import Ledger, Message, Pipeline, Request, Response, Usage
    >>> from trimtab.export import Prometheus
    >>> registry = CollectorRegistry()
    >>> pipeline = Pipeline(ledger=Ledger(hooks=[Prometheus(registry)]))
    >>> answer = Response(Message("assistant", "Hello!"), Usage(100, 20))
    >>> answer = pipeline.run(Request("gpt-4o", (Message("user", "Hello!"),)), lambda sent: answer)
    >>> labels = {"model": "gpt-4o", "tenant": "", "kind": "input"}
    >>> registry.get_sample_value("trimtab_tokens_total", labels)
    100.0
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        try:
            import prometheus_client as client
        except ImportError as error:
            raise ImportError(
                "this needs prometheus-client: pip install 'trimtab[prometheus]'"
            ) from error
        given: dict[str, Any] = {"registry": registry or client.REGISTRY}
        names = ["model", "tenant"]
        self._calls = client.Counter(
            "trimtab_calls", "Calls, by how they ended", [*names, "end"], **given
        )
        self._tokens = client.Counter(
            "trimtab_tokens", "Tokens, by their kind", [*names, "kind"], **given
        )
        self._dollars = client.Counter("trimtab_cost_dollars", "What calls cost", names, **given)
        self._spared = client.Counter(
            "trimtab_saved_tokens", "Tokens that levers saved", [*names, "lever"], **given
        )
        self._seconds = client.Histogram(
            "trimtab_call_seconds", "How long a call took", names, buckets=SECONDS, **given
        )

    def __call__(self, event: Event) -> None:
        """Export a call."""
        names = (event.model, event.tenant)
        end = "hit" if event.hit else "failed" if event.error else "answered"
        self._calls.labels(*names, end).inc()
        for kind, tokens in _by_kind(event):
            self._tokens.labels(*names, kind).inc(tokens)
        if event.cost is not None:
            self._dollars.labels(*names).inc(float(event.cost))
        for lever, tokens in _saved(event):
            self._spared.labels(*names, lever).inc(tokens)
        if event.latency is not None and not event.hit:
            self._seconds.labels(*names).observe(event.latency)


def _labels(event: Event) -> dict[str, str]:
    known = {"gen_ai.operation.name": "chat", MODEL: event.model, "trimtab.tenant": event.tenant}
    if event.error:
        known["error.type"] = event.error.partition("(")[0]
    return {name: value for name, value in known.items() if value}


def _by_kind(event: Event) -> Iterator[tuple[str, int]]:
    """Yield the tokens of a call's prompt and answer; an answer from the cache used none."""
    usage = event.usage
    for kind, tokens in (("input", usage.input_tokens), ("output", usage.output_tokens)):
        if tokens is not None and not event.hit:
            yield kind, tokens


def _saved(event: Event) -> Iterator[tuple[str, int]]:
    """Yield what each lever saved; what one added in its place is no saving."""
    for change in event.changes:
        if change.before > change.after:
            yield change.step, change.before - change.after
    if event.hit and event.saved is not None:
        parts = (event.saved.input_tokens, event.saved.output_tokens)
        if tokens := sum(part for part in parts if part is not None):
            yield "response cache", tokens


def _attributes(event: Event) -> dict[str, Any]:
    used = {name: getattr(event.usage, field) for name, field in USED.items()}
    ours = {
        "trimtab.cost": None if event.cost is None else float(event.cost),
        "trimtab.cache.hit": event.hit,
        "trimtab.saved.tokens": sum(tokens for _, tokens in _saved(event)),
        "gen_ai.conversation.id": event.session or None,
    }
    return {name: value for name, value in {**used, **ours}.items() if value is not None}
