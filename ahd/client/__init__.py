"""What a browser loads: Socket.IO's official client, its 0.9 face, and AHsocket.

`ahsocket.*` and `io09.js` are the project's own. `socket.io*` are the official build of the version pinned in
`ahd.client.fetch`, which puts them here when the package is built or run from a checkout.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
