"""ahd as a process of its own, started from a configuration file as a user starts it."""

from __future__ import annotations

import copy
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.harness.process import Process
from tests.harness.waiting import DEADLINE, free_port

ROOT = Path(__file__).resolve().parents[2]

Config = Mapping[str, Any]


def merged(lower: Config, upper: Config) -> dict[str, Any]:
    """`lower` with `upper` laid over it, section by section."""
    result: dict[str, Any] = copy.deepcopy(dict(lower))
    for key, value in upper.items():
        if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = merged(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


class Daemon(Process):
    """A running ahd.

    `config` is laid over `{log: {format: json}}` and free ports for the listeners it enables. A string is written as it
    is: then the ports are the caller's own matter.
    """

    def __init__(
        self,
        config: Config | str,
        directory: Path,
        *,
        name: str = "ahd",
        env: Mapping[str, str] | None = None,
        python: str | None = None,
        arguments: tuple[str, ...] = (),
        pass_fds: tuple[int, ...] = (),
    ) -> None:
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config_file = directory / f"{name}.yaml"
        self.write_config(config)
        # What the caller's shell says about ahd must not reach the daemon; coverage and locale may.
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("AHD_", "PORT", "REDIS_"))
        }
        environment["PYTHONPATH"] = str(ROOT)
        environment["PYTHONUNBUFFERED"] = "1"
        environment.update(env or {})
        command = [python or sys.executable, "-m", "ahd", "--config", str(self.config_file), *arguments]
        super().__init__(command, name=name, env=environment, cwd=directory, pass_fds=pass_fds)

    def write_config(self, config: Config | str) -> None:
        """Write the configuration file anew, as before a reload; ports chosen at the first time are kept."""
        if isinstance(config, str):
            self.config: dict[str, Any] = {}
            self._ports: dict[str, Any] = {}
            self.config_file.write_text(config)
            return
        ports = getattr(self, "_ports", {})
        if not ports:
            for section, default in (("httpServer", True), ("tcpServer", False), ("monitor", False)):
                if config.get(section, {}).get("enable", default):
                    ports[section] = {"port": free_port()}
            self._ports = ports
        self.config = merged(merged({"log": {"format": "json"}}, ports), config)
        # At once: a daemon that is told to reload may still be reading for the time before.
        fresh = self.config_file.with_suffix(".new")
        fresh.write_text(yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True))
        fresh.replace(self.config_file)

    def events(self, event: str) -> list[dict[str, Any]]:
        """The JSON log lines with this `event`, in order."""
        with self.arrived:
            return [line for line in map(_json_line, self.lines) if line.get("event") == event]

    def wait_for_event(self, event: str, deadline: float = DEADLINE, count: int = 1, **fields: Any) -> dict[str, Any]:
        """The `count`-th JSON log line with this `event` and these fields."""

        def found() -> dict[str, Any] | None:
            lines = [line for line in map(_json_line, self.lines) if line.get("event") == event]
            lines = [line for line in lines if all(line.get(key) == value for key, value in fields.items())]
            return lines[count - 1] if len(lines) >= count else None

        line: dict[str, Any] = self.wait_for(found, deadline, f"the log event {event} {fields or ''}")
        return line

    def wait_until_listening(self, deadline: float = 20.0) -> None:
        """Until every listener that the configuration enables has logged its address."""
        enabled = {"httpServer": "web", "tcpServer": "socket", "monitor": "monitor"}
        for section in self._ports:
            self.wait_for_event("listening", deadline, server=enabled[section])

    def address(self, server: str = "web") -> str:
        """The address that a listener (web, socket, monitor) has logged, such as `http://127.0.0.1:8080`."""
        address: str = self.wait_for_event("listening", server=server)["address"]
        return address

    @property
    def url(self) -> str:
        return self.address("web")

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    @property
    def tcp_port(self) -> int:
        port = urlsplit(self.address("socket")).port
        assert port is not None
        return port

    @property
    def monitor_url(self) -> str:
        return self.address("monitor")

    def assert_clean(self) -> None:
        """Nothing in the log that a user should never see."""
        log = self.log()
        found = re.search(r"Traceback|was never (awaited|retrieved)|Task was destroyed|exception in callback", log)
        assert found is None, f"{self.name} logged:\n{log[-8000:]}"


def _json_line(line: str) -> dict[str, Any]:
    if not line.startswith("{"):
        return {}
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
