"""Finds the actions that the file names: imports modules, files and directories, and tells every mistake at once."""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
import traceback
import types
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ahd.actions.action import MODULE_RECORD, Action, Declaration
from ahd.actions.builtin import BUILTIN
from ahd.actions.signature import describe
from ahd.config import where
from ahd.config.mistakes import ConfigError, Mistake, Place, dotted
from ahd.config.mistakes import Path as KeyPath

LIBRARIES = (
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    str(Path(__file__).parents[1]),
)
"""Where code lives that is not the user's own."""


class Registry(Mapping[str, Action]):
    """The actions by their names, sorted."""

    def __init__(self, actions: Mapping[str, Action]) -> None:
        self.by_name = dict(sorted(actions.items()))
        """The same as a plain dict, for the path of a message."""

    def __getitem__(self, name: str) -> Action:
        return self.by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_name)

    def __len__(self) -> int:
        return len(self.by_name)


def load(modules: Sequence[str], builtin: Sequence[str], source: Path) -> Registry:
    """Import what `actions.modules` names and offer its actions with those of `actions.builtin`.

    A name with a slash (or `.`, `..`) is a directory or a .py file, any other a Python module, looked for on Python's
    path and then beside `source`, the configuration file; relative paths begin there too. Raises ConfigError with all
    mistakes of all modules.
    """
    loading = _Loading(source)
    base = source.resolve().parent
    for index, name in enumerate(builtin):
        entry = ("actions", "builtin", index)
        if name not in BUILTIN:
            loading.key_mistake(entry, f"there is no built-in action {name}")
        else:
            loading.module(BUILTIN[name], entry, only=name, shipped=True)
    for index, name in enumerate(modules):
        entry = ("actions", "modules", index)
        if "/" in name or name in (".", ".."):
            loading.path(base / name, name, entry)
        else:
            if str(base) not in sys.path:
                sys.path.append(str(base))
            loading.module(name, entry)
    if loading.mistakes:
        raise ConfigError(loading.mistakes)
    return Registry(loading.actions)


class _Loading:
    """What has been found so far."""

    def __init__(self, source: Path) -> None:
        self.actions: dict[str, Action] = {}
        self.mistakes: list[Mistake] = []
        self._source = source
        self._seen: dict[int, Declaration] = {}
        self._names: dict[str, tuple[Declaration, bool]] = {}

    def mistake(self, file: str, line: int, reason: str) -> None:
        """Something is wrong in a line of a module."""
        mistake = Mistake(Place(shown(file), line, 1), "", reason)
        if mistake not in self.mistakes:
            self.mistakes.append(mistake)

    def key_mistake(self, entry: KeyPath, reason: str) -> None:
        """Something is wrong with an entry of the configuration file."""
        self.mistakes.append(Mistake(where(self._source, entry, os.environ), dotted(entry), reason))

    def path(self, path: Path, name: str, entry: KeyPath) -> None:
        """Load a file, or every file in and below a directory whose path has no part that begins with _ or a dot."""
        if path.is_file() and path.suffix == ".py":
            self._files(path.parent, [path], entry)
        elif path.is_dir():
            try:
                files = [file for file in sorted(path.rglob("*.py")) if _public(file.relative_to(path))]
            except OSError as error:
                self.key_mistake(entry, f"{name} cannot be read: {error.strerror}")
                return
            self._files(path, files, entry)
        elif path.exists():
            self.key_mistake(entry, f"{name} is neither a directory nor a .py file")
        else:
            self.key_mistake(entry, f"there is no {name} in {path.parent.resolve()}")

    def _files(self, directory: Path, files: list[Path], entry: KeyPath) -> None:
        package = _package(directory.resolve())
        for file in files:
            parts = file.relative_to(directory).with_suffix("").parts
            odd = next((part for part in parts if not part.isidentifier()), None)
            if odd is not None:
                self.mistake(str(file), 1, f"{odd} cannot be the name of a Python module; rename it or begin it with _")
            else:
                self.module(".".join((package, *parts)), entry, file=str(file))

    def module(self, name: str, entry: KeyPath, only: str | None = None, shipped: bool = False, file: str = "") -> None:
        """Import a module and take its actions (`only` the one of that name)."""
        try:
            module = importlib.import_module(name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a module runs whatever it likes while it is imported, sys.exit() too
            self._not_imported(name, entry, error, file)
            return
        for declaration in _declarations(module):
            if only is None or declaration.name == only:
                self._take(declaration, shipped)

    def _take(self, declaration: Declaration, shipped: bool) -> None:
        if id(declaration) in self._seen:
            return
        self._seen[id(declaration)] = declaration
        other = self._names.get(declaration.name)
        if other is not None:
            first, is_shipped = other
            where = f"{shown(first.file)}:{first.line}"
            reason = f"the action {declaration.name} is already defined in {where}"
            if is_shipped:
                reason = f"the action {declaration.name} is built in; rename yours or take it out of actions.builtin"
            self.mistake(declaration.file, declaration.line, reason)
            return
        self._names[declaration.name] = declaration, shipped
        action, reasons = describe(declaration)
        for reason in reasons:
            self.mistake(declaration.file, declaration.line, f"the action {declaration.name}: {reason}")
        if action is not None:
            self.actions[action.name] = action

    def _not_imported(self, name: str, entry: KeyPath, error: BaseException, file: str) -> None:
        if isinstance(error, ModuleNotFoundError) and error.name and (name + ".").startswith(error.name + "."):
            self.key_mistake(entry, f"there is no Python module {error.name}")
        elif isinstance(error, SyntaxError) and error.filename:
            self.mistake(error.filename, error.lineno or 1, f"not Python: {error.msg}")
        else:
            text = str(error).strip().partition("\n")[0]
            reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
            raised_at = _raised_at(error) or (file, 1)
            if not raised_at[0]:
                self.key_mistake(entry, f"{name} cannot be imported: {reason}")
            else:
                self.mistake(*raised_at, reason)


def shown(file: str) -> str:
    """A path as a user in the current directory would write it."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return file


def _public(path: Path) -> bool:
    return not any(part.startswith(("_", ".")) for part in path.parts)


def _package(directory: Path) -> str:
    """The name of a package that stands for a directory, so that its files can import each other with a dot."""
    name = f"ahd_actions_{zlib.crc32(str(directory).encode('utf-8', 'surrogateescape')):08x}"
    if name not in sys.modules:
        package = types.ModuleType(name)
        package.__path__ = [str(directory)]
        sys.modules[name] = package
    importlib.invalidate_caches()
    return name


def _declarations(module: Any) -> list[Declaration]:
    """The actions that a module defines or has imported by name, each once."""
    found = {id(declaration): declaration for declaration in getattr(module, MODULE_RECORD, ())}
    for value in vars(module).values():
        declaration = getattr(value, "__ahd_action__", None) if isinstance(value, types.FunctionType) else None
        if isinstance(declaration, Declaration):
            found.setdefault(id(declaration), declaration)
    return list(found.values())


def _raised_at(error: BaseException) -> tuple[str, int] | None:
    """The innermost line of the user's own code that led to an error while a module was imported, or of any code."""
    machinery = ("<frozen importlib", __file__, importlib.__file__)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.lineno and not frame.filename.startswith(machinery)
    ]
    if not frames:
        return None
    own = [frame for frame in frames if not frame.filename.startswith(LIBRARIES)]
    frame = (own or frames)[-1]
    return frame.filename, frame.lineno or 1
