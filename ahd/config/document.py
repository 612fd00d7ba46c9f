"""docs/configuration.md and etc/ahd.yaml, written from the schema.

python -m ahd.config.document           prints the page
python -m ahd.config.document --write   writes both files, in the source checkout
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from . import schema as schemas
from .write import default_file, describe

_INTRODUCTION = """\
<!-- Written from schema/ahd.schema.json by `python -m ahd.config.document --write`: change the schema instead. -->

# Configuration

`ahd --config FILE` reads one YAML file. JSON is YAML, so an actionHero `config.json` is read too. A file with `{}`
means every default; an empty file is a mistake, so that a truncated one does not start a server. `ahd config
--default` prints the whole default file ([etc/ahd.yaml](../etc/ahd.yaml)), `ahd config --config FILE` what a file
amounts to, and `ahd check --config FILE` says whether it is valid, and what becomes of each Socket.IO 0.9 option in
it.

All mistakes are reported at once, each as `FILE:LINE:COLUMN: path.to.key: reason`, then their number; the exit code
is 78.

Editors that know the YAML language server complete and check the file when its first line names the schema (`ahd
schema` prints it):

    # yaml-language-server: $schema=ahd.schema.json

## How it is read

- Scalars are YAML 1.2's: `on`, `off`, `yes`, `no` and `10:30` are text, `010` is ten, `0x10` and `0o20` are sixteen.
  Text that looks like a number needs quotes: `apiVersion: "1.10"`.
- A key that is given twice, a key that is not known, tags and a second document are mistakes. Anchors and aliases
  work.
- `${NAME}` in a value is replaced by the environment variable, `${NAME:-default}` by the default when the variable is
  unset or empty. The result is typed as its key wants it: `port: ${PORT:-8080}` is a number, and a list may come as
  `[a, b]`. In JSON, and between `{` `}` in YAML, it needs quotes. `$${` stands for `${` itself.
- Every key can be set by the environment as well, which wins over the file: `AHD_` + section + key in capitals, such
  as `AHD_HTTPSERVER_PORT=9000`. Lists and objects are written as in YAML:
  `AHD_HTTPSERVER_TRUSTEDPROXIES='[10.0.0.0/8]'`. So can each option of Socket.IO:
  `AHD_WEBSOCKETS_OPTIONS_POLLING_DURATION=10`. An `AHD_` variable of no key is a mistake.
- Paths are relative to the directory of the file; `~/` is the home directory.
- A secret is text, or `{file: NAME}`: the file `$CREDENTIALS_DIRECTORY/NAME` (systemd's `LoadCredential`) if there is
  one, or else the path. A newline at its end is left out. Secrets are never printed.
- On SIGHUP the file is read again. Only keys marked with *reload* may have changed, or else the whole reload is
  refused, the keys are named, and the old configuration goes on.
"""

_OPTIONS = """\
### Options of Socket.IO

A name in `settings` is what `io.enable(name)` was in Socket.IO 0.9, a pair in `options` what `io.set(name, value)`
was. All names of 0.9 are known: `ahd check` says for each that is used whether it is mapped, approximated or ignored,
and one that cannot be served is a mistake that names what to use instead. Today's names (with underscores) win over
0.9's. Times are seconds, sizes are bytes.

In `origins`, ports are taken as they are: `www.example.com:80` is `http://www.example.com` and not
`https://www.example.com`, which is `www.example.com:443`; `www.example.com:*` is both. A page of the server's own
origin is always allowed. `jsonp-polling` lets a page of any origin poll: a browser does not say whose page asks for a
script.
"""


def page() -> str:
    """The whole of docs/configuration.md."""
    schema = schemas.load_schema()
    parts = [_INTRODUCTION]
    for name, section in schemas.sections(schema):
        parts.append(f"## {name}\n\n{section['description']}\n")
        rows = ["| key | default | type | description |", "| --- | --- | --- | --- |"]
        for key, part in schemas.keys(schema, section):
            reload = " *(reload)*" if part["x-reload"] else ""
            rows.append(f"| `{key}` | {_code(part['default'])} | {_type(part)} | {_cell(describe(part))}{reload} |")
        parts.append("\n".join(rows) + "\n")
        for key, part in schemas.keys(schema, section):
            if part.get("properties") and not part.get("x-secret"):
                if (name, key) == ("webSockets", "options"):
                    parts.append(_OPTIONS)
                parts.append(_inner(schema, part))
    return "\n".join(parts)


def _inner(schema: schemas.Schema, part: schemas.Schema) -> str:
    rows = ["| name | default | type | description |", "| --- | --- | --- | --- |"]
    for name, inner in schemas.keys(schema, part):
        default = _code(inner["default"]) if "default" in inner else ""
        rows.append(f"| `{name}` | {default} | {_type(inner)} | {_cell(describe(inner))} |")
    return "\n".join(rows) + "\n"


def _code(value: Any) -> str:
    return f"`{json.dumps(value, ensure_ascii=False)}`".replace("|", "\\|")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


_WORDS = {"string": "text", "array": "list", "boolean": "true, false", "null": "null"}


def _type(part: schemas.Schema) -> str:
    bounds = []
    for word, name in (("≥", "minimum"), (">", "exclusiveMinimum"), ("≤", "maximum")):
        if name in part:
            bounds.append(f"{word} {part[name]}")
    names = " or ".join(_WORDS.get(name, name) for name in schemas.types(part))
    return " ".join([names, ", ".join(bounds)]).strip()


def main(arguments: Sequence[str]) -> int:
    if list(arguments) == ["--write"]:
        root = schemas.schema_file().parent.parent
        for name, text in (("docs/configuration.md", page()), ("etc/ahd.yaml", default_file())):
            (root / name).write_text(text, encoding="utf-8")
    elif arguments:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    else:
        sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
