"""The monitor of a real daemon: what it answers before, while and until the end."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as text_metrics

from ahd.app import assemble
from ahd.config import loads
from ahd.config.fingerprint import fingerprint
from tests.conftest import StartDaemon
from tests.harness.certificates import self_signed
from tests.harness.daemon import ROOT, Daemon
from tests.harness.raw import Polling, WebSocket, request
from tests.harness.redis import RedisServer
from tests.harness.waiting import accepts, eventually, free_port
from tests.limits.test_slow_consumer import Deaf

ON: dict[str, Any] = {"monitor": {"enable": True}}

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(daemon: Daemon) -> Samples:
    answer = request(daemon.monitor_url + "/metrics")
    assert answer.status == 200
    families = text_metrics(answer.body.decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families for sample in family.samples
    }  # fmt: skip


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


def ready(daemon: Daemon) -> tuple[int, list[str]]:
    answer = request(daemon.monitor_url + "/readyz")
    body = json.loads(answer.body)
    assert body["ready"] is (answer.status == 200)
    return answer.status, [reason["reason"] for reason in body["reasons"]]


def test_it_is_off_until_it_is_enabled(start_daemon: StartDaemon) -> None:
    port = free_port()
    daemon = start_daemon({"monitor": {"port": port}})
    assert not accepts(port)
    assert not [line for line in daemon.events("listening") if line["server"] == "monitor"]


def test_the_verbs_are_not_observed_without_it() -> None:
    verbs = assemble(loads("log: {logRequests: false}", {})).verbs
    assert (verbs.observe, verbs.meter) == (None, None)


def test_alive_and_ready(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(ON)
    answer = request(daemon.monitor_url + "/livez")
    assert (answer.status, answer.body) == (200, b"ok\n")
    assert ready(daemon) == (200, [])
    head = request(daemon.monitor_url + "/metrics?x=1", "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["Content-Length"]) > 1000
    # It is nowhere else, and nothing else is here.
    assert request(daemon.url + "/metrics").status == 404
    assert request(daemon.monitor_url + "/").status == 404
    posted = request(daemon.monitor_url + "/livez", "POST", "x")
    assert (posted.status, posted.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"nonsense\r\n\r\n", b" 400 "), (b"GET /livez HTTP/1.1\r\nX: " + b"x" * 20000, b" 413 ")],
)
def test_bad_requests(start_daemon: StartDaemon, sent: bytes, status: bytes) -> None:
    daemon = start_daemon(ON)
    host, port = daemon.monitor_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(sent)
        assert status in client.recv(4096)
    assert request(daemon.monitor_url + "/livez").status == 200


def test_it_counts_what_clients_do(start_daemon: StartDaemon) -> None:
    daemon = start_daemon({**ON, "tcpServer": {"enable": True}})
    before = samples(daemon)
    with WebSocket(daemon.url) as client, socket.create_connection(("127.0.0.1", daemon.tcp_port), 10) as tcp:
        client.connect()
        client.until('42["welcome"')
        polling = Polling(daemon.url)
        polling.connect()
        lines = tcp.makefile("rb")
        assert b"welcome" in lines.readline()
        for packet in ('["action",{"action":"randomNumber"}]', '["action",{"action":"made-up-1"}]',
                       '["action",{"action":"made-up-2"}]', '["action",{"action":["x"]}]', '["action",5]',
                       '["say",{"message":"hello"}]', '["roomChange",{}]'):  # fmt: skip
            client.send(f"42{packet}")
            client.until('42["response"')
        tcp.sendall(b"randomNumber\r\n")
        while b"randomNumber" not in lines.readline():
            pass
        assert request(daemon.url + "/api/randomNumber").status == 200
        found = samples(daemon)
        assert value(found, "ahd_connections", server="webSocket", transport="websocket") == 1
        assert value(found, "ahd_connections", server="webSocket", transport="polling") == 1
        assert value(found, "ahd_connections", server="socket", transport="tcp") == 1
        assert value(found, "ahd_rooms") == 1
    assert value(found, "ahd_actions_total", action="randomNumber", outcome="ok") == 3
    assert value(found, "ahd_actions_total", action="(unknown)", outcome="unknown_action") == 3
    assert value(found, "ahd_actions_total", action="(unknown)", outcome="bad_input") == 1
    assert "made-up" not in str(found)
    for server in ("socket", "web"):
        assert value(found, "ahd_verbs_total", server=server, verb="action", outcome="ok") == 1
    assert value(found, "ahd_verbs_total", server="webSocket", verb="say", outcome="ok") == 1
    assert value(found, "ahd_verbs_total", server="webSocket", verb="roomChange", outcome="bad_input") == 1
    assert value(found, "ahd_action_duration_seconds_count", action="randomNumber") == 3
    # Requests are logged: each is timed.
    assert value(found, "ahd_verb_duration_seconds_count", verb="action") == 7
    assert value(found, "ahd_verb_duration_seconds_bucket", verb="say", le="+Inf") == 1
    assert value(found, "ahd_says_total") - value(before, "ahd_says_total") >= 2
    assert value(found, "ahd_deliveries_total") > value(before, "ahd_deliveries_total")
    assert value(found, "ahd_slow_consumers_total", server="webSocket") == 0
    assert value(found, "ahd_says_dropped_total", server="socket") == 0
    assert value(found, "ahd_cache_evictions_total") == 0
    assert value(found, "ahd_store_up") == 1
    assert value(found, "process_resident_memory_bytes") > 1e6
    eventually(lambda: value(samples(daemon), "ahd_event_loop_lag_seconds_count") >= 2)


def moved(daemon: Daemon, direction: str, server: str, transport: str) -> float:
    labels = tuple(sorted({"server": server, "transport": transport}.items()))
    return samples(daemon).get((f"ahd_{direction}_bytes_total", labels), 0.0)


@pytest.mark.parametrize("secure", [False, True])
def test_bytes_are_counted_by_transport(start_daemon: StartDaemon, tmp_path: Path, secure: bool) -> None:
    pair = self_signed(tmp_path)
    tls = {"secure": True, "keyFile": str(pair.key_file), "certFile": str(pair.cert_file)}
    daemon = start_daemon({**ON, "httpServer": tls if secure else {}, "tcpServer": {"enable": True}})
    with WebSocket(daemon.url) as client, socket.create_connection(("127.0.0.1", daemon.tcp_port), 10) as tcp:
        client.connect()
        client.until('42["welcome"')
        text = "x" * 10_000
        for _ in range(5):
            client.send(f'42["action",{{"action":"cacheTest","key":"k","value":"{text}"}}]')
            client.until('42["response"')
        # While they are open.
        eventually(lambda: moved(daemon, "received", "webSocket", "websocket") >= 50_000)
        eventually(lambda: moved(daemon, "sent", "webSocket", "websocket") >= 50_000)
        assert moved(daemon, "sent", "webSocket", "websocket") < 200_000
        tcp.sendall(b"status\r\n" * 10)
        lines = tcp.makefile("rb")
        for _ in range(11):
            lines.readline()
    if not secure:
        for _ in range(3):
            request(daemon.url + "/api/status", headers={"X-Long": "y" * 3000})
        eventually(lambda: moved(daemon, "received", "web", "http") >= 9000)
        assert 500 < moved(daemon, "sent", "web", "http") < 20_000
    eventually(lambda: moved(daemon, "received", "socket", "tcp") >= 80)
    assert moved(daemon, "sent", "socket", "tcp") > 1000
    # Not again once they have ended.
    before = moved(daemon, "received", "webSocket", "websocket")
    assert moved(daemon, "received", "webSocket", "websocket") == before < 80_000


def once(daemon: Daemon, name: str, wanted: Callable[[float], bool], **labels: str) -> Samples:
    """The samples as soon as one of them is as wanted."""

    def found() -> Samples | None:
        now = samples(daemon)
        return now if wanted(value(now, name, **labels)) else None

    result = eventually(found, what=name)
    assert result is not None
    return result


def test_queues_are_told(start_daemon: StartDaemon, tmp_path: Path) -> None:
    acts = tmp_path / "acts"
    acts.mkdir()
    (acts / "slow.py").write_text(
        "import time\nfrom ahd import action\n\n@action(description='x')\ndef slow(seconds: float) -> dict:\n"
        "    time.sleep(seconds)\n    return {}\n"
    )
    config = {"actions": {"modules": [str(acts)]}, "general": {"simultaneousActions": 60}}
    daemon = start_daemon({**ON, **config, "limits": {"sendBuffer": 50_000_000}, "log": {"logRequests": False}})
    with WebSocket(daemon.url) as client:
        client.connect()
        client.until('42["welcome"')
        for _ in range(45):
            client.send('42["action",{"action":"slow","seconds":1}]')
        found = once(daemon, "ahd_threads_waiting", lambda waiting: waiting == 5)
        assert value(found, "ahd_threads_busy") == 40
        assert value(found, "ahd_actions_pending") == 45
        assert value(found, "ahd_unsent_bytes", server="webSocket") == 0
        for _ in range(45):
            client.until('42["response"')
        deaf = Deaf(daemon.port)
        text = "x" * 60_000
        for _ in range(150):  # more than the kernel takes
            client.send(f'420["say",{{"message":"{text}"}}]')
            client.until("430[")
        found = once(daemon, "ahd_unsent_bytes", lambda size: size > 0, server="webSocket")
        largest = value(found, "ahd_unsent_bytes_largest", server="webSocket")
        assert 0 < largest <= value(found, "ahd_unsent_bytes", server="webSocket")
        deaf.socket.close()
    once(daemon, "ahd_unsent_bytes", lambda size: size == 0, server="webSocket")
    found = samples(daemon)
    assert (value(found, "ahd_threads_busy"), value(found, "ahd_threads_waiting")) == (0, 0)


def test_verbs_that_wait_are_told(start_daemon: StartDaemon, redis_server: RedisServer) -> None:
    daemon = start_daemon({**ON, "redis": {"enable": True, "url": redis_server.url}})
    with WebSocket(daemon.url) as client:
        client.connect()
        client.until('42["welcome"')
        redis_server.pause()
        try:
            for room in "abcd":
                client.send(f'42["roomChange",{{"room":"{room}"}}]')
            eventually(lambda: value(samples(daemon), "ahd_verbs_waiting", server="webSocket") == 3)
        finally:
            redis_server.resume()
        for _ in range(4):
            client.until('42["response"')
    assert value(samples(daemon), "ahd_verbs_waiting", server="webSocket") == 0


def test_http_requests_and_refused_handshakes_are_counted(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(ON)
    for path in ("/api/status", "/api/status", "/nothing-here"):
        request(daemon.url + path)
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Origin": "https://other.example",
               "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
    assert request(daemon.url + "/socket.io/?EIO=4&transport=websocket", headers=upgrade).status == 403
    found = samples(daemon)
    assert value(found, "ahd_http_requests_total", status="200") == 2
    assert value(found, "ahd_http_requests_total", status="404") == 1
    assert value(found, "ahd_handshakes_refused_total", status="403") == 1


def test_a_sample_is_timed_when_requests_are_not_logged(start_daemon: StartDaemon) -> None:
    daemon = start_daemon({**ON, "log": {"logRequests": False}})
    with WebSocket(daemon.url) as client:
        client.connect()
        client.until('42["welcome"')

        def ask(times: int) -> tuple[float, float]:
            for _ in range(times):
                client.send('42["detailsView"]')
            for _ in range(times):
                client.until('42["response"')
            found = samples(daemon)
            answered = value(found, "ahd_verbs_total", server="webSocket", verb="detailsView", outcome="ok")
            return answered, value(found, "ahd_verb_duration_seconds_count", verb="detailsView")

        answered, timed = ask(500)
        assert (answered, 1 <= timed <= 200) == (500, True)
        eventually(lambda: ask(1)[1] > timed + 2)


def test_open_metrics_for_who_asks_for_it(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(ON)
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = request(daemon.monitor_url + "/metrics", headers=accept)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert "ahd_says" in [family.name for family in open_metrics(answer.body.decode())]


def test_the_process_is_told_of(start_daemon: StartDaemon) -> None:
    """From what systemd's ProcSubset=pid leaves of /proc."""
    daemon = start_daemon(ON)
    found = samples(daemon)
    resident = daemon.rss()
    assert abs(value(found, "process_resident_memory_bytes") - resident) < resident / 2
    assert value(found, "process_virtual_memory_bytes") > resident
    assert abs(value(found, "process_open_fds") - daemon.open_files()) <= 3
    assert value(found, "process_max_fds") >= 256
    assert 0 <= time.time() - value(found, "process_start_time_seconds") < 30
    spent = value(found, "process_cpu_seconds_total")
    assert 0.01 < spent < 30
    for _ in range(20):
        request(daemon.url + "/api/status")
    eventually(lambda: value(samples(daemon), "process_cpu_seconds_total") > spent)


def test_evictions_are_counted(start_daemon: StartDaemon, tmp_path: Path) -> None:
    acts = tmp_path / "acts"
    acts.mkdir()
    (acts / "fill.py").write_text(
        "from ahd import Context, action\n\n@action(description='x')\nasync def fill(context: Context) -> dict:\n"
        "    for i in range(3):\n        await context.cache.save(str(i), i)\n    return {}\n"
    )
    daemon = start_daemon({**ON, "limits": {"cacheEntries": 1}, "actions": {"modules": [str(acts)]}})
    assert request(daemon.url + "/api/fill").status == 200
    assert value(samples(daemon), "ahd_cache_evictions_total") == 2


def test_reloads_are_told(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(ON)
    before = samples(daemon)
    assert value(before, "ahd_config_last_reload_successful") == 1
    assert value(before, "ahd_config_info", fingerprint=fingerprint(loads(daemon.config_file.read_text(), {}))) == 1
    daemon.write_config({**ON, "general": {"welcomeMessage": "new"}})
    daemon.signal(signal.SIGHUP)
    daemon.wait_for_event("reloaded")
    found = samples(daemon)
    moment = "ahd_config_last_reload_timestamp_seconds"
    assert value(before, moment) < value(found, moment) <= time.time()
    assert value(found, "ahd_config_info", fingerprint=fingerprint(loads(daemon.config_file.read_text(), {}))) == 1
    daemon.write_config({**ON, "chat": {"announce": "what"}})
    daemon.signal(signal.SIGHUP)
    daemon.wait_for_event("reloadRefused")
    assert value(samples(daemon), "ahd_config_last_reload_successful") == 0


def test_it_answers_while_the_others_drain(start_daemon: StartDaemon) -> None:
    daemon = start_daemon({**ON, "shutdown": {"delay": 1, "drain": 1, "timeout": 10}})
    daemon.signal(signal.SIGTERM)
    daemon.wait_for_event("draining")
    assert eventually(lambda: ready(daemon)[1]) == ["draining"]
    assert request(daemon.monitor_url + "/livez").status == 200
    assert daemon.wait() == 0


def test_a_blocked_loop_is_told(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(ON)
    daemon.signal(signal.SIGSTOP)
    time.sleep(1.3)  # the length of the block itself
    daemon.signal(signal.SIGCONT)
    assert ready(daemon) == (503, ["loopBlocked"])
    eventually(lambda: ready(daemon) == (200, []))
    assert value(samples(daemon), "ahd_event_loop_lag_seconds_sum") >= 1


def test_a_store_that_is_away_is_told(start_daemon: StartDaemon, redis_server: RedisServer) -> None:
    daemon = start_daemon({**ON, "redis": {"enable": True, "url": redis_server.url}})
    assert ready(daemon) == (200, [])
    redis_server.stop()
    eventually(lambda: ready(daemon) == (503, ["storeAway"]))
    assert value(samples(daemon), "ahd_store_up") == 0
    assert request(daemon.monitor_url + "/livez").status == 200
    redis_server.start()
    eventually(lambda: ready(daemon) == (200, []))


def test_an_address_in_use_is_one_line(start_daemon: StartDaemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        daemon = start_daemon({"monitor": {"enable": True, "port": other.getsockname()[1]}}, wait=False)
        assert daemon.wait() == 1
        assert "the monitor server cannot listen" in daemon.events("startFailed")[0]["message"]


def test_it_is_not_ready_before_everybody_listens(tmp_path: Path) -> None:
    async def look() -> tuple[list[Any], list[Any]]:
        app = assemble(loads("{httpServer: {port: 0}, monitor: {enable: true, port: 0}}", {}), tmp_path / "ahd.yaml")
        assert app.monitor is not None
        assert [server.name for server in app.servers] == ["monitor", "web"]
        before = app.monitor.reasons()
        await app.start()
        after = app.monitor.reasons()
        await app.close()
        return before, after

    before, after = asyncio.run(look())
    assert [reason["reason"] for reason in before] == ["starting"]
    assert after == []


def raw(daemon: Daemon, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=10) as client:
        client.sendall(sent)
        return client.recv(4096)


def test_the_dashboard_has_no_name_that_there_is_not(start_daemon: StartDaemon) -> None:
    daemon = start_daemon({**ON, "tcpServer": {"enable": True}})
    assert request(daemon.url + "/api/randomNumber").status == 200
    assert b"431" in raw(daemon, b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000)
    eventually(lambda: moved(daemon, "sent", "web", "http"))
    names = {name for name, _ in samples(daemon)}
    dashboard = json.loads((ROOT / "etc" / "grafana.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += [item["query"] for item in dashboard["templating"]["list"]]
    rules = [rule for group in yaml.safe_load((ROOT / "etc" / "alerts.yaml").read_text())["groups"]
             for rule in group["rules"]]  # fmt: skip
    assert len({rule["alert"] for rule in rules}) == len(rules) > 8
    assert all(rule["annotations"]["summary"] for rule in rules)
    expressions += [rule["expr"] for rule in rules]
    used = set(re.findall(r"\b(?:ahd|process)_\w+", " ".join(expressions)))
    assert len(used) > 15
    assert used - names == set()
    documented = set(re.findall(r"`(ahd_\w+)", (ROOT / "docs" / "operations.md").read_text()))
    bare = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in names if name.startswith("ahd_")}
    assert bare == documented
