"""The WSGI environments that python-socketio's handlers are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine import Engine


class Environs(dict[str, dict[str, Any]]):
    """The WSGI environments of the sessions, each made when it is first asked for."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    def __missing__(self, sid: str) -> dict[str, Any]:
        environ = self[sid] = self._engine.sockets[sid].handshake.environ()
        return environ

    def get(self, sid: str, default: Any = None) -> Any:
        return self[sid] if sid in self or sid in self._engine.sockets else default
