"""`ahd describe`: what a server with this configuration offers, as OpenAPI, AsyncAPI or Markdown."""

from __future__ import annotations

import argparse
import importlib
import json
import os

from ahd.config import load, loads


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", help="the server's configuration (default: every default)")
    kinds = parser.add_mutually_exclusive_group(required=True)
    kinds.add_argument("--openapi", action="store_const", const="openapi", dest="kind", help="the actions over HTTP")
    kinds.add_argument("--asyncapi", action="store_const", const="asyncapi", dest="kind", help="the verbs and events")
    kinds.add_argument("--markdown", action="store_const", const="markdown", dest="kind", help="a page for people")


def run(arguments: argparse.Namespace) -> int:
    source = arguments.config or "ahd.yaml"
    config = loads("{}", os.environ) if arguments.config is None else load(source, os.environ)
    actions = importlib.import_module("ahd.app").assemble(config, source).actions.by_name
    describe = importlib.import_module("ahd.describe")
    if arguments.kind == "markdown":
        print(describe.markdown(actions, config), end="")
        return 0
    if arguments.kind == "openapi":
        document = describe.openapi(actions, config.common_web, config.general, config.auth)
    else:
        document = describe.asyncapi(actions, config)
    print(json.dumps(document, indent=2, ensure_ascii=False))
    return 0
