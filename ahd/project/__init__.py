"""`ahd new`: a project that runs at once, from the files in `template` (their names end in `.in`)."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from string import Template

SUFFIX = ".in"
HIDDEN = "dot-"
"""Begins the name of a file that begins with a dot in the project."""


class ProjectError(Exception):
    """The project cannot be made; the text is one line that says why."""


def create(directory: Path) -> list[Path]:
    """Write a new project; the files, in order. The directory may be there when it is empty. Raises ProjectError."""
    try:
        if directory.is_symlink() or directory.exists():
            if not directory.is_dir():
                raise ProjectError(f"{directory} is not a directory")
            if any(directory.iterdir()):
                raise ProjectError(f"{directory} is not empty: name a new directory")
        names = {"name": directory.resolve().name}
        written = []
        for path, source in sorted(_files(files(__package__) / "template", PurePosixPath())):
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            # Only ${name} is replaced; every other dollar is the file's own.
            target.write_text(Template(source).safe_substitute(names), encoding="utf-8")
            written.append(target)
    except OSError as error:
        raise ProjectError(f"{error.filename or directory}: {error.strerror or error}") from None
    return written


def _files(folder: Traversable, path: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
    """Path in the project and text of every file of the template."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry, path / entry.name)
        elif entry.name.endswith(SUFFIX):
            name = entry.name.removesuffix(SUFFIX)
            if name.startswith(HIDDEN):
                name = "." + name.removeprefix(HIDDEN)
            yield path / name, entry.read_text(encoding="utf-8")
