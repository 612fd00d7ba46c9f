"""From a file and an environment to a Config, or to all mistakes in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from . import files, legacy, rules, tree
from . import schema as schemas
from .environment import override, substitute
from .mistakes import ConfigError, Mistake, Note, Place, dotted
from .mistakes import Path as KeyPath
from .model import SECTIONS, Config, Secret
from .tree import Node, plain
from .validate import node_at, place_of, validate

Values = dict[str, dict[str, Any]]


def load(path: str | Path, environ: Mapping[str, str]) -> Config:
    """The configuration of a file. Raises ConfigError with all mistakes of the file and of the AHD_ variables."""
    file = Path(path)
    text = files.read_text(file, str(path))
    return loads(text, environ, source=str(path), directory=file.parent)


def loads(text: str, environ: Mapping[str, str], *, source: str = "ahd.yaml", directory: str | Path = ".") -> Config:
    """The configuration of a text: `source` is its name in mistakes, `directory` what its paths are relative to."""
    schema = schemas.load_schema()
    root, mistakes = tree.parse(text, source)
    if root is None:
        raise ConfigError(mistakes)
    root, values, wrong, found = read(root, environ, schema, Path(directory).absolute())
    mistakes += found

    view = rules.View(root, wrong, values, schema)
    findings = rules.check(view)
    mistakes += [finding for finding in findings if isinstance(finding, Mistake)]
    notes = [finding for finding in findings if isinstance(finding, Note)]

    plan = _plan(values, schema)
    for line in plan.report:
        given = view.given("webSockets", "options", line.name)
        key: KeyPath = ("webSockets", "options", line.name) if given else ("webSockets", "settings")
        if line.outcome == "refused":
            mistakes.append(Mistake(place_of(root, key), dotted(key), line.sentence))
        elif line.outcome != "mapped":
            reason = line.sentence if given else f"{line.name}: {line.sentence}"
            notes.append(Note(place_of(root, key), dotted(key), f"{line.outcome}: {reason}"))
    if mistakes:
        sound = not any(mistake.path.startswith("actions") for mistake in mistakes)
        raise ConfigError(mistakes, _section("actions", values["actions"]) if sound else None)
    notes.sort(key=lambda note: (note.place.line, note.place.column))
    built = {schemas.snake(name): _section(name, values[name]) for name in SECTIONS}
    return Config(**built, socket_io=plan, notes=tuple(notes))


def where(source: str | Path, key: KeyPath, environ: Mapping[str, str]) -> Place:
    """Where a key is written, for a mistake that shows only when its value is used."""
    try:
        root, _ = tree.parse(files.read_text(Path(source), str(source)), str(source))
    except ConfigError:
        root = None
    if root is None:
        return Place(str(source))
    return place_of(override(root, environ, schemas.load_schema())[0], key)


def read(
    root: Node, environ: Mapping[str, str], schema: schemas.Schema, directory: Path
) -> tuple[Node, Values, set[KeyPath], list[Mistake]]:
    """A tree with the environment's part, checked against the schema: the tree as it then is, the value of every key
    (the default in place of a wrong one), the paths of what is wrong, and the mistakes."""
    root, mistakes = override(root, environ, schema)
    root, unset = substitute(root, environ, schema)
    mistakes += unset
    if not isinstance(root.value, dict) and unset:
        raise ConfigError(mistakes)  # the file is one text, and that cannot be read
    if isinstance(root.value, dict):
        empty = {name: Node({}, node.place) for name, node in root.value.items() if node.value is None}
        root = Node({**root.value, **empty}, root.place, root.keys)
    against_schema, wrong = validate(root, schema)
    mistakes += against_schema
    if not isinstance(root.value, dict):
        raise ConfigError(mistakes)
    values = _values(root, wrong, schema)
    mistakes += _read_files(root, values, wrong, schema, directory, environ)
    return root, values, wrong, mistakes


def _values(root: Node, wrong: set[KeyPath], schema: schemas.Schema) -> Values:
    values = schemas.defaults(schema)
    for section, node in root.value.items():
        if section not in values or (section,) in wrong or not isinstance(node.value, dict):
            continue
        for key, child in node.value.items():
            about = [path for path in wrong if path[:2] == (section, key)]
            if key not in values[section] or any(not _is_option(path) for path in about):
                continue
            value = plain(child)
            for path in about:
                value.pop(path[2], None)
            if isinstance(value, dict) and isinstance(values[section][key], dict):
                value = {**values[section][key], **value}
            values[section][key] = value
    return values


def _is_option(path: KeyPath) -> bool:
    """A wrong option leaves the others as they are; in any other key a wrong part makes the whole wrong."""
    return path[:2] == ("webSockets", "options") and len(path) > 2


def _read_files(
    root: Node,
    values: Values,
    wrong: set[KeyPath],
    schema: schemas.Schema,
    directory: Path,
    environ: Mapping[str, str],
) -> list[Mistake]:
    """Make paths absolute and secrets known, in place, and say which files cannot be read."""
    mistakes = []

    def found(path: KeyPath, reason: str) -> None:
        mistakes.append(Mistake(place_of(root, path), dotted(path), reason))

    def settle(path: KeyPath, part: schemas.Schema, holder: dict[str, Any]) -> None:
        key, kind = str(path[-1]), part.get("x-path")
        value = holder.get(key)
        if value is None:
            return
        if part.get("x-secret"):
            if isinstance(value, dict):
                try:
                    value = files.read_secret(value["file"], directory, environ)
                except (OSError, ValueError) as error:
                    found((*path, "file"), f"the secret's file: {files.why_unreadable(error)}")
                    value = ""
            holder[key] = Secret(value)
        elif kind == "module":
            holder[key] = []
            for index, name in _sound_items(root, path, wrong) or enumerate(value):
                if "/" in name or name in (".", ".."):
                    name = str(files.absolute(name, directory, environ))
                    if problem := files.path_problem(Path(name), kind):
                        found((*path, index), f"{name}: {problem}")
                holder[key].append(name)
        elif kind:
            holder[key] = files.absolute(value, directory, environ)
            if problem := files.path_problem(holder[key], kind):
                found(path, f"{holder[key]}: {problem}")
        elif isinstance(value, dict):
            for name, inner in schemas.keys(schema, part):
                settle((*path, name), inner, value)
        elif isinstance(value, list):
            items = schemas.resolve(schema, part.get("items", {}))
            for index, item in enumerate(value):
                for name, inner in schemas.keys(schema, items) if isinstance(item, dict) else ():
                    settle((*path, index, name), inner, item)

    for section, part in schemas.sections(schema):
        for key, inner in schemas.keys(schema, part):
            settle((section, key), inner, values[section])
    return mistakes


def _sound_items(root: Node, path: KeyPath, wrong: set[KeyPath]) -> list[tuple[int, Any]]:
    """The items of a list in the file with their places in it, without those that are wrong by themselves."""
    node = node_at(root, path)
    if node is None or not isinstance(node.value, list):
        return []
    return [(index, plain(item)) for index, item in enumerate(node.value) if (*path, index) not in wrong]


def _plan(values: Values, schema: schemas.Schema) -> legacy.SocketIOPlan:
    sockets = values["webSockets"]
    return legacy.make_plan(
        sockets["settings"],
        sockets["options"],
        log_level=sockets["logLevel"],
        allowed_origins=values["commonWeb"]["allowedOrigins"],
        defaults=schemas.option_defaults(schema),
    )


def _section(name: str, values: dict[str, Any]) -> Any:
    schema = schemas.load_schema()
    fields = {}
    for key, part in schemas.keys(schema, dict(schemas.sections(schema))[name]):
        value = values[key]
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = float(value) if "number" in schemas.types(part) else int(value)
        fields[schemas.snake(key)] = _frozen(value)
    return SECTIONS[name](**fields)


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return MappingProxyType({key: _frozen(child) for key, child in value.items()})
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
