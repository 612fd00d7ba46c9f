"""`ahd console`: talk to a running server, from a terminal or from a script."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import importlib.util
import os
import ssl
import sys
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from ahd.console.clients import SCHEMES, ConnectError, client
from ahd.console.session import Session, write_line

TOKEN_VARIABLE = "CONSOLE_TOKEN"  # noqa: S105  # the name of a variable; AHD_ ones are keys of the configuration


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", type=_url, help="http://, https://, tcp:// or tls:// and an address")
    parser.add_argument("--json", action="store_true", help='print every event as {"event": …, "data": …}, one a line')
    parser.add_argument("--follow", action="store_true", help="in a script: go on listening after the last command")
    parser.add_argument(
        "--transport", choices=("polling", "websocket"), help="one of Socket.IO's transports instead of both"
    )
    parser.add_argument(
        "--token",
        action="store_true",
        help="ask for the token to come in with, and do not show it; scripts: --token-file, or $CONSOLE_TOKEN",
    )
    parser.add_argument("--token-file", metavar="FILE", help="file with the token")
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument("--ca", metavar="FILE", help="PEM file with the certificates to trust, for https and tls")
    trust.add_argument("--insecure", action="store_true", help="trust every certificate")


def run(arguments: argparse.Namespace) -> int:
    try:
        tls = ssl.create_default_context(cafile=arguments.ca)
    except OSError as error:
        print(f"ahd console: {arguments.ca}: {error.strerror or error}", file=sys.stderr)
        return 2
    if arguments.insecure:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    try:
        token = _token(arguments)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        print(f"ahd console: {arguments.token_file}: {reason}", file=sys.stderr)
        return 2
    terminal = sys.stdin.isatty()
    if terminal and importlib.util.find_spec("prompt_toolkit") is None:
        print("ahd console: a terminal needs prompt_toolkit: pip install 'ahd[console]'", file=sys.stderr)
        return 1
    return asyncio.run(_session(arguments, tls, terminal, token))


def _token(arguments: argparse.Namespace) -> str | None:
    """The token to come in with: never one of the command line, which others can list. OSError, ValueError."""
    if arguments.token_file is not None:
        text = Path(arguments.token_file).read_text(encoding="utf-8").strip()
        if not text or len(text.split()) != 1:
            raise ValueError("there is no token in it")
        return text
    if arguments.token:
        return getpass.getpass("Token: ").strip()
    return os.environ.get(TOKEN_VARIABLE) or None


async def _session(arguments: argparse.Namespace, tls: ssl.SSLContext, terminal: bool, token: str | None) -> int:
    transports = [arguments.transport] if arguments.transport else ["polling", "websocket"]
    connection = client(arguments.url, transports, tls, token)
    # Looked up at each call: on a terminal, standard output is another one while there is a prompt.
    session = Session(connection, arguments.json, write_line)
    try:
        await connection.open(session.deliver)
        return await (session.interactive() if terminal else session.script(sys.stdin, arguments.follow))
    except ConnectError as error:
        print(f"ahd console: cannot connect to {arguments.url.geturl()}: {error}", file=sys.stderr)
        return 1
    finally:
        await connection.close()


def _url(text: str) -> SplitResult:
    url = urlsplit(text)
    try:
        valid = url.scheme in SCHEMES and bool(url.hostname) and url.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise argparse.ArgumentTypeError(f"{text} is no address such as http://127.0.0.1:8080 or tcp://127.0.0.1:5000")
    return url
