"""The metrics, in a registry of their own: read from the counters of the server at each scrape."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from ahd import __version__
from ahd.core.verbs import ACTION
from ahd.log import lines_lost
from ahd.monitor.durations import Durations
from ahd.monitor.loop import LoopLag
from ahd.monitor.process import Process
from ahd.monitor.requests import BOUNDS, OK, Requests
from ahd.monitor.sources import Sources
from ahd.monitor.traffic import Traffic

LabelledCounts = Iterable[tuple[tuple[str, ...], float]]


class Metrics(Collector):
    """`render` is what `/metrics` answers. `ready` says whether the server is."""

    def __init__(self, sources: Sources, requests: Requests, lag: LoopLag, traffic: Traffic) -> None:
        self._sources = sources
        self._requests = requests
        self._lag = lag
        self._traffic = traffic
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._registry.register(Process())

    def render(self, accept: str) -> tuple[str, bytes]:
        """Content type and body, in the form that an Accept header asks for."""
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Every metric but those of the process; called by the registry."""
        sources, rooms = self._sources, self._sources.rooms
        yield _gauge("ahd_build_info", "Always 1; the labels say what runs.", ("version", "python"),
                     [((__version__, platform.python_version()), 1)])  # fmt: skip
        yield _gauge("ahd_config_info", "Always 1; the label is the same on nodes that are configured alike.",
                     ("fingerprint",), [((sources.fingerprint(),), 1)])  # fmt: skip
        moment, taken = sources.last_reload()
        yield GaugeMetricFamily("ahd_config_last_reload_successful", "Whether the last reload was taken up.", taken)
        yield GaugeMetricFamily("ahd_config_last_reload_timestamp_seconds", "When the last reload was.", moment)
        yield _gauge("ahd_connections", "Clients that are connected.", ("server", "transport"),
                     sources.connections().items())  # fmt: skip
        yield GaugeMetricFamily("ahd_rooms", "Rooms that somebody on this node hears.", rooms.count())
        yield CounterMetricFamily("ahd_says", "Says heard on this node, announcements included.", rooms.says)
        yield CounterMetricFamily("ahd_deliveries", "Clients to which a say was handed.", rooms.deliveries)
        sending = sources.sending().items()
        yield _counter("ahd_slow_consumers", "Clients closed because they read too slowly.", ("server",),
                       [((server,), figures.slow_consumers) for server, figures in sending])  # fmt: skip
        yield _counter("ahd_says_dropped", "Says dropped for clients that read too slowly.", ("server",),
                       [((server,), figures.dropped) for server, figures in sending])  # fmt: skip
        closings = [((server, code), count) for server, each in sending for code, count in each.closings.items()]
        yield _counter("ahd_closings", "Clients closed by the server, by why.", ("server", "code"), closings)
        yield _counter("ahd_auth_refused", "Clients that were not let in, by why.", ("server", "code"),
                       list(sources.turned_away().items()))  # fmt: skip
        hits = [((limit,), count) for limit, count in sources.hits.counts.items()]
        yield _counter("ahd_limits_reached", "What was refused or closed because of a limit.", ("limit",), hits)
        yield GaugeMetricFamily("ahd_store_up", "Whether the store is there.", sources.store.away() is None)
        evicted = getattr(sources.store.cache, "evicted", None)
        if evicted is not None:
            yield CounterMetricFamily("ahd_cache_evictions", "Cached values given up to keep the bounds.", evicted)
        yield GaugeMetricFamily("ahd_actions_pending", "Actions under way.", sources.pending_actions())
        yield from self._queues()
        yield from self._bytes()
        yield CounterMetricFamily("ahd_log_lines_lost", "Log lines that could not be written.", lines_lost())
        yield from self._verbs()
        lags = self._lag.lags
        yield HistogramMetricFamily("ahd_event_loop_lag_seconds", "How late a timer of the event loop came.",
                                    lags.buckets(), lags.total)  # fmt: skip

    def _queues(self) -> Iterator[Metric]:
        queues = self._sources.queues().items()
        yield _gauge("ahd_unsent_bytes", "Bytes that clients have not taken yet.", ("server",),
                     [((server,), queue.unsent) for server, queue in queues])  # fmt: skip
        yield _gauge("ahd_unsent_bytes_largest", "The most of them that are one client's.", ("server",),
                     [((server,), queue.longest) for server, queue in queues])  # fmt: skip
        yield _gauge("ahd_verbs_waiting", "Verbs that stand behind one that waits for the store.", ("server",),
                     [((server,), queue.verbs) for server, queue in queues])  # fmt: skip
        busy, waiting = self._sources.threads()
        yield GaugeMetricFamily("ahd_threads_busy", "Threads that run plain functions.", busy)
        yield GaugeMetricFamily("ahd_threads_waiting", "Calls of plain functions that wait for a thread.", waiting)

    def _bytes(self) -> Iterator[Metric]:
        self._traffic.look()
        labels = ("server", "transport")
        yield _counter("ahd_received_bytes", "Bytes received.", labels, self._traffic.received.items())
        yield _counter("ahd_sent_bytes", "Bytes sent and acknowledged.", labels, self._traffic.sent.items())
        answered = [((str(status),), count) for status, count in self._requests.statuses.items()]
        yield _counter("ahd_http_requests", "HTTP requests answered, polls included.", ("status",), answered)
        refused = [((str(status),), count) for status, count in self._sources.refused().items()]
        yield _counter(
            "ahd_handshakes_refused", "Upgrades and heads of requests that were refused.", ("status",), refused
        )

    def _verbs(self) -> Iterator[Metric]:
        requests = self._requests
        verbs: dict[tuple[str, ...], float] = {}
        actions: dict[tuple[str, ...], float] = {}
        for server, tally in requests.tallies.items():
            for verb, answered in tally.verbs.items():
                _add(verbs, (server, verb, OK), answered.n)
            for action, answered in tally.actions.items():
                _add(verbs, (server, ACTION, OK), answered.n)
                _add(actions, (action, OK), answered.n)
        for (server, verb, action, outcome), count in requests.failures.items():
            _add(verbs, (server, verb, outcome), count)
            if verb == ACTION:
                _add(actions, (action, outcome), count)
        verb_times: dict[str, list[Durations]] = {}
        action_times: dict[str, list[Durations]] = {}
        for (verb, action), durations in requests.durations.items():
            verb_times.setdefault(verb, []).append(durations)
            if verb == ACTION:
                action_times[action] = [durations]
        yield _counter("ahd_verbs", "Verbs answered, actions included.", ("server", "verb", "outcome"), verbs.items())
        yield _counter("ahd_actions", "Actions answered.", ("action", "outcome"), actions.items())
        yield _histogram(
            "ahd_verb_duration_seconds", "From a verb's turn to its reply, of a sample.", "verb", verb_times
        )
        yield _histogram(
            "ahd_action_duration_seconds", "From an action's call to its reply, of a sample.", "action", action_times
        )


def _add(counts: dict[tuple[str, ...], float], key: tuple[str, ...], count: int) -> None:
    counts[key] = counts.get(key, 0) + count


def _gauge(name: str, text: str, labels: tuple[str, ...], values: LabelledCounts) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _counter(name: str, text: str, labels: tuple[str, ...], values: LabelledCounts) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _histogram(name: str, text: str, label: str, values: dict[str, list[Durations]]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=(label,))
    for key, parts in values.items():
        merged = Durations(BOUNDS).merge(parts)
        family.add_metric((key,), merged.buckets(), merged.total)
    return family
