"""Reading: the configuration file, and the files that it names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from .mistakes import ConfigError, Mistake, Place

MAX_BYTES = 256 * 1024


def read_text(path: Path, shown: str) -> str:
    """The text of the configuration file. Raises ConfigError, which names the file as `shown`."""

    def wrong(reason: str, line: int = 1, column: int = 1) -> ConfigError:
        return ConfigError([Mistake(Place(shown, line, column), "", reason)])

    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise wrong(why_unreadable(error)) from None
    if len(data) > MAX_BYTES:
        raise wrong(f"larger than {MAX_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        raise wrong("not UTF-8", before.count(b"\n") + 1, column) from None


def why_unreadable(error: OSError | ValueError) -> str:
    """An error of open() as a reason."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, IsADirectoryError):
        return "it is a directory, not a file"
    if isinstance(error, PermissionError):
        return "it may not be read (permission denied)"
    return f"it cannot be read ({error.strerror if isinstance(error, OSError) else error})"


def absolute(text: str, directory: Path, environ: Mapping[str, str]) -> Path:
    """A path of the file as an absolute one: relative to the file's directory, ~ is the home directory."""
    if (text == "~" or text.startswith("~/")) and environ.get("HOME"):
        text = environ["HOME"] + text[1:]
    return Path(os.path.normpath(directory / text))


def path_problem(path: Path, kind: str) -> str | None:
    """What keeps a path from being used as "file", "directory", "socket" or "module" (directory or .py file)."""
    try:
        if kind == "file" or (kind == "module" and path.suffix == ".py" and path.is_file()):
            with path.open("rb"):
                return None
        if kind == "socket":
            return None if path.parent.is_dir() else f"there is no directory {path.parent}"
        if path.is_dir():
            return None if os.access(path, os.R_OK | os.X_OK) else "the directory may not be read (permission denied)"
        return "it is no directory" if path.exists() else "there is no such directory"
    except (OSError, ValueError) as error:
        return why_unreadable(error)


def read_secret(name: str, directory: Path, environ: Mapping[str, str]) -> str:
    """The text of a secret's file without the newline at its end: a credential of that name, or else a path.

    Raises OSError or ValueError (not UTF-8 text, empty).
    """
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    if credentials and "/" not in name and (Path(credentials) / name).is_file():
        path = Path(credentials) / name
    else:
        path = absolute(name, directory, environ)
    with path.open("rb") as file:
        data = file.read(MAX_BYTES)
    try:
        text = data.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None
    if not text:
        raise ValueError("it is empty")
    return text
