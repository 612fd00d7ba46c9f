"""The build puts socket.io-client's official build into the wheel; ahd/client/fetch.py says how and which."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BrowserClientHook(BuildHookInterface[Any]):
    """Runs for wheels. A checkout that is installed as editable gets the client by `make run`."""

    def _fetch(self) -> dict[str, Any]:
        return runpy.run_path(str(Path(self.root, "ahd/client/fetch.py")))

    def dependencies(self) -> list[str]:
        """Node as a Python package, where the build would find no npm and no client."""
        fetch = self._fetch()
        present = fetch["is_present"](Path(self.root, "ahd/client"))
        return [] if present or fetch["npm_is_at_hand"]() else [fetch["NODE_PACKAGE"]]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        fetch = self._fetch()
        try:
            fetch["ensure"](Path(self.root, "ahd/client"))
        except fetch["FetchError"] as error:
            raise SystemExit(f"The wheel needs socket.io-client: {error}") from None
        # Ignored by git, wanted in the wheel.
        build_data["artifacts"].append("/ahd/client/socket.io*")
