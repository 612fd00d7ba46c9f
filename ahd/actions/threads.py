"""The threads in which plain functions run.

Not concurrent.futures': its threads keep the process from ending while one of them hangs, and its queue has no bound.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class Job:
    """A call that waits for a thread, runs in one, or has ended."""

    __slots__ = ("call", "started")

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.started = False


class Threads:
    """At most `limit` daemon threads, made when they are needed; at most `waiting` jobs stand in line for them."""

    def __init__(self, limit: int, waiting: int) -> None:
        self._limit = limit
        self._waiting = waiting
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._idle = 0
        self._open = 0  # jobs in the line or in a thread
        self._closed = False

    def figures(self) -> tuple[int, int]:
        """How many threads are at work, and how many jobs wait for one."""
        with self._changed:
            return self._threads - self._idle, len(self._jobs)

    def submit(self, call: Callable[[], None]) -> Job | None:
        """Have a call run, which must not raise; None when there is no room for it in the line."""
        with self._changed:
            if self._closed or self._open >= self._limit + self._waiting:
                return None
            job = Job(call)
            self._open += 1
            self._jobs.append(job)
            if self._idle >= len(self._jobs):
                self._changed.notify()
            elif self._threads < self._limit:
                self._threads += 1
                threading.Thread(target=self._work, name=f"ahd-action-{self._threads}", daemon=True).start()
        return job

    def withdraw(self, job: Job) -> bool:
        """Take a job out of the line; False when it has started already."""
        with self._changed:
            if job.started:
                return False
            try:
                self._jobs.remove(job)
            except ValueError:
                return False
            self._open -= 1
            return True

    def close(self) -> None:
        """Let the threads end, each after the job that it runs now; what waits is dropped."""
        with self._changed:
            self._closed = True
            self._open -= len(self._jobs)
            self._jobs.clear()
            self._changed.notify_all()

    def _work(self) -> None:
        ended = 0
        while True:
            with self._changed:
                self._open -= ended
                while not self._jobs:
                    if self._closed:
                        self._threads -= 1
                        return
                    self._idle += 1
                    self._changed.wait()
                    self._idle -= 1
                job = self._jobs.popleft()
                job.started = True
            job.call()
            ended = 1
            del job  # nothing of a call may live on while the thread is idle
