"""A child process whose output is kept and can be waited for."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.harness.waiting import DEADLINE


class Process:
    """A command in a process group of its own; stdout and stderr are read line by line as they come.

    `lines` holds stderr, `output` stdout, without line ends.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str = "",
        env: Mapping[str, str] | None = None,
        cwd: Path | str | None = None,
        stdin: bool = False,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.name = name or Path(command[0]).name
        self.lines: list[str] = []
        self.output: list[str] = []
        self.arrived = threading.Condition()
        self.popen = subprocess.Popen(
            list(command),
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=pass_fds,
        )
        self._readers = [
            threading.Thread(target=self._read, args=(self.popen.stderr, self.lines), daemon=True),
            threading.Thread(target=self._read, args=(self.popen.stdout, self.output), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any, kept: list[str]) -> None:
        for line in stream:
            with self.arrived:
                kept.append(line.decode("utf-8", "replace").rstrip("\r\n"))
                self.arrived.notify_all()
        stream.close()
        with self.arrived:
            self.arrived.notify_all()

    @property
    def pid(self) -> int:
        return self.popen.pid

    def log(self) -> str:
        """All of stderr so far."""
        with self.arrived:
            return "\n".join(self.lines)

    def wait_for(self, found: Callable[[], Any], deadline: float = DEADLINE, what: str = "") -> Any:
        """Wait until `found()` is true, asked after every line that arrives; fails when the process ends before."""
        end = time.monotonic() + deadline
        with self.arrived:
            while True:
                result = found()
                if result:
                    return result
                if self.popen.poll() is not None and not any(reader.is_alive() for reader in self._readers):
                    raise AssertionError(
                        f"{self.name} ended with {self.popen.returncode} before {what}\n{self._tail()}"
                    )
                remaining = end - time.monotonic()
                if remaining <= 0:
                    raise AssertionError(f"{self.name}: not within {deadline} s: {what}\n{self._tail()}")
                self.arrived.wait(min(remaining, 0.2))

    def wait_for_log(self, pattern: str, deadline: float = DEADLINE, start: int = 0) -> re.Match[str]:
        """The first match of the regular expression in a line of stderr, from line number `start` on."""
        expression = re.compile(pattern)

        def found() -> re.Match[str] | None:
            for line in self.lines[start:]:
                match = expression.search(line)
                if match:
                    return match
            return None

        match: re.Match[str] = self.wait_for(found, deadline, f"a line like {pattern!r}")
        return match

    def _tail(self) -> str:
        return "\n".join([*self.lines[-60:], *self.output[-20:]])

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def wait(self, deadline: float = DEADLINE) -> int:
        """The exit code, once it has ended; negative for a signal."""
        try:
            code = self.popen.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {deadline} s\n{self._tail()}") from None
        for reader in self._readers:
            reader.join(2)
        if self.popen.stdin is not None:
            # What was written for a process that is gone cannot be flushed any more.
            with contextlib.suppress(OSError):
                self.popen.stdin.close()
        return code

    def stop(self, deadline: float = 30.0) -> int:
        """End it with SIGTERM and return the exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGCONT)
            self.popen.terminate()
        return self.wait(deadline)

    def kill(self) -> int:
        """End it and all that it started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return self.wait()

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def rss(self) -> int:
        """Resident memory in bytes."""
        fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def processor_time(self) -> float:
        """Seconds of processor that it has used so far."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[0]) / 1e9

    def open_files(self) -> int:
        """The number of open file descriptors."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def group(self) -> list[int]:
        """The processes of its group that are still alive, itself included."""
        alive = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError, IndexError):
                # The name in brackets may hold spaces: the fields start behind it.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[2]) == self.pid and fields[0] != "Z":
                    alive.append(int(entry.name))
        return alive
