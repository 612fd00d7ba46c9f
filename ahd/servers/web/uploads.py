"""Uploaded files on their way to an action: in a directory of the call's own, removed when it has ended."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from tornado.httputil import HTTPFile

from ahd.actions.upload import Upload


class Uploads:
    """The files of one call, below `directory` (None: the system's for temporary files). Blocks: for a thread."""

    def __init__(self, directory: Path | None, files: dict[str, list[HTTPFile]]) -> None:
        self._directory = directory
        self._files = files
        self._folder: Path | None = None

    def write(self) -> dict[str, Any]:
        """Write the files and return them as parameters; several of one name are a list. Raises OSError."""
        self._folder = folder = Path(tempfile.mkdtemp(prefix="ahd-upload-", dir=self._directory))
        params: dict[str, Any] = {}
        number = 0
        for name, files in self._files.items():
            uploads = []
            for file in files:
                # The client's own name stays out of the path.
                path = folder / str(number)
                number += 1
                path.write_bytes(file.body)
                uploads.append(Upload(path, file.filename, file.content_type, len(file.body)))
            params[name] = uploads[0] if len(uploads) == 1 else uploads
        return params

    def remove(self) -> None:
        """Remove what is still there. Idempotent."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
