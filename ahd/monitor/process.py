"""Metrics of the process under the names that every Prometheus client gives them.

prometheus_client's own collector needs /proc/stat, which systemd's ProcSubset=pid hides: it would tell nothing there.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PAGE = os.sysconf("SC_PAGE_SIZE")


class Process(Collector):
    """Of this process; of memory and open files only where there is a /proc. `started`: epoch seconds."""

    def __init__(self, started: float | None = None) -> None:
        self._started = time.time() if started is None else started

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        times = os.times()
        yield CounterMetricFamily("process_cpu_seconds", "Processor time, user and system.", times.user + times.system)
        yield GaugeMetricFamily("process_start_time_seconds", "When it was started, epoch seconds.", self._started)
        yield GaugeMetricFamily("process_max_fds", "How many files may be open.", _most_files())
        try:
            with open("/proc/self/statm", encoding="ascii") as file:
                pages = file.read().split()
            files = len(os.listdir("/proc/self/fd"))
        except OSError:
            return
        yield GaugeMetricFamily("process_virtual_memory_bytes", "Virtual memory.", int(pages[0]) * PAGE)
        yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory.", int(pages[1]) * PAGE)
        yield GaugeMetricFamily("process_open_fds", "Open files, sockets included.", files)


def _most_files() -> float:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return float("inf") if soft == resource.RLIM_INFINITY else soft
