"""Finds the actions that the file names: imports modules, files and directories, and tells every mistake at once."""

from __future__ import annotations

import importlib
import sys
import traceback
import types
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ahd.actions.action import MODULE_RECORD, Action, Declaration
from ahd.actions.builtin import BUILTIN
from ahd.actions.signature import describe


@dataclass(frozen=True, slots=True)
class ActionMistake:
    """One thing that must be put right. `line` is 0 when it is not about a line, `file` is a path or a key."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}" if self.line else f"{self.file}: {self.reason}"


class ActionsError(Exception):
    """Actions that cannot be offered, with every mistake that was found; `str()` is what a user is shown."""

    def __init__(self, mistakes: Sequence[ActionMistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__(self.mistakes)

    def __str__(self) -> str:
        return "\n".join(map(str, self.mistakes))


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


def load(modules: Sequence[str], builtin: Sequence[str], base: Path) -> Registry:
    """Import what `actions.modules` names and offer its actions with those of `actions.builtin`.

    A name with a slash (or `.`, `..`) is a .py file or a directory, relative to `base`, the configuration file's own
    directory; any other is a Python module, looked for on Python's path and then in `base`. ActionsError: all mistakes.
    """
    loading = _Loading(base)
    for name in builtin:
        if name not in BUILTIN:
            loading.mistake("actions.builtin", 0, f"there is no built-in action {name}")
        else:
            loading.module(BUILTIN[name], "actions.builtin", only=name, shipped=True)
    for index, name in enumerate(modules):
        entry = f"actions.modules[{index}]"
        if "/" in name or name in (".", ".."):
            loading.path(base / name, name, entry)
        else:
            if str(base.resolve()) not in sys.path:
                sys.path.append(str(base.resolve()))
            loading.module(name, entry)
    if loading.mistakes:
        raise ActionsError(loading.mistakes)
    return Registry(loading.actions)


class _Loading:
    """What has been found so far."""

    def __init__(self, base: Path) -> None:
        self.actions: dict[str, Action] = {}
        self.mistakes: list[ActionMistake] = []
        self._seen: dict[int, Declaration] = {}
        self._names: dict[str, tuple[Declaration, bool]] = {}

    def mistake(self, file: str, line: int, reason: str) -> None:
        mistake = ActionMistake(shown(file), line, reason)
        if mistake not in self.mistakes:
            self.mistakes.append(mistake)

    def path(self, path: Path, name: str, entry: str) -> None:
        """Load a file, or every file in and below a directory whose path has no part that begins with _ or a dot."""
        if path.is_file() and path.suffix == ".py":
            self._files(path.parent, [path])
        elif path.is_dir():
            try:
                files = [file for file in sorted(path.rglob("*.py")) if _public(file.relative_to(path))]
            except OSError as error:
                self.mistake(entry, 0, f"{name} cannot be read: {error.strerror}")
                return
            self._files(path, files)
        elif path.exists():
            self.mistake(entry, 0, f"{name} is neither a directory nor a .py file")
        else:
            self.mistake(entry, 0, f"there is no {name} in {shown(str(path.parent.resolve()))}")

    def _files(self, directory: Path, files: list[Path]) -> None:
        package = _package(directory.resolve())
        for file in files:
            parts = file.relative_to(directory).with_suffix("").parts
            odd = next((part for part in parts if not part.isidentifier()), None)
            if odd is not None:
                self.mistake(str(file), 1, f"{odd} cannot be the name of a Python module; rename it or begin it with _")
            else:
                self.module(".".join((package, *parts)), str(file))

    def module(self, name: str, entry: str, only: str | None = None, shipped: bool = False) -> None:
        """Import a module and take its actions (`only` the one of that name)."""
        try:
            module = importlib.import_module(name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a module runs whatever it likes while it is imported, sys.exit() too
            self._not_imported(name, entry, error)
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

    def _not_imported(self, name: str, entry: str, error: BaseException) -> None:
        if isinstance(error, ModuleNotFoundError) and error.name and (name + ".").startswith(error.name + "."):
            self.mistake(entry, 0, f"there is no Python module {error.name}")
        elif isinstance(error, SyntaxError) and error.filename:
            self.mistake(error.filename, error.lineno or 1, f"not Python: {error.msg}")
        else:
            file, line = _raised_at(error, entry)
            text = str(error).strip().partition("\n")[0]
            self.mistake(file, line, f"{type(error).__name__}: {text}" if text else type(error).__name__)


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


def _raised_at(error: BaseException, entry: str) -> tuple[str, int]:
    """The innermost line of the user's own code that led to an error while a module was imported."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.lineno and not frame.filename.startswith("<frozen importlib") and frame.filename != __file__
        and frame.filename != importlib.__file__
    ]  # fmt: skip
    if not frames:
        return entry, 0
    own = [frame for frame in frames if "site-packages" not in frame.filename and "/lib/python" not in frame.filename]
    frame = (own or frames)[-1]
    return frame.filename, frame.lineno or 1
