"""The parameters of an HTTP request: from its query and its body. PURE but for the files, which `uploads` writes.

Names that come more than once have a list of their values. What the query and forms say is text; what JSON says is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from tornado.httputil import HTTPFile, HTTPInputError, ParseMultipartConfig, parse_multipart_form_data

from ahd.servers.http import HttpRequest

MAX_FIELDS = 1000
"""The most parameters of one request."""
MAX_NAME = 1000
"""The longest name of a parameter, in characters."""
_MULTIPART = ParseMultipartConfig(max_parts=MAX_FIELDS, max_part_header_size=8192)

NOT_TEXT = "Error: the {where} is not valid UTF-8"
TOO_MANY = f"Error: a request may have {MAX_FIELDS} parameters, with names of {MAX_NAME} characters"
NOT_JSON = "Error: the body is not valid JSON"
NOT_OBJECT = "Error: the body must be a JSON object"
NOT_PLAIN = "Error: a body with a Content-Encoding is not understood"
NOT_MULTIPART = "Error: the body is not valid multipart/form-data"
NOT_KNOWN = (
    "Error: a body of the type {kind} is not understood; send application/json, application/x-www-form-urlencoded or "
    "multipart/form-data"
)


class BadRequest(Exception):
    """A request whose parameters cannot be read: an HTTP status and the sentence for the client; `allow`: methods."""

    def __init__(self, sentence: str, status: int = 400, allow: str = "") -> None:
        super().__init__(sentence)
        self.allow = allow
        self.sentence = sentence
        self.status = status


@dataclass(slots=True)
class Body:
    """What a body says. `text`: its values are text."""

    params: dict[str, Any] = field(default_factory=dict)
    text: bool = True
    files: dict[str, list[HTTPFile]] = field(default_factory=dict)


def from_query(query: str, where: str = "query") -> dict[str, Any]:
    """The parameters of a query, or of a url-encoded form. Raises BadRequest."""
    if not query:
        return {}
    if where == "query" and not query.isascii():
        query = _utf8(query, where)
    if query.isascii() and "%" not in query and "+" not in query:
        pairs = [part.partition("=")[::2] for part in query.split("&") if part]
        if len(pairs) > MAX_FIELDS:
            raise BadRequest(TOO_MANY)
    else:
        try:
            pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
        except UnicodeDecodeError:
            raise BadRequest(NOT_TEXT.format(where=where)) from None
        except ValueError:
            raise BadRequest(TOO_MANY) from None
    params: dict[str, Any] = dict(pairs)
    if len(params) != len(pairs):
        params = _gathered(pairs)
    if len(query) > MAX_NAME:
        _check_names(params)
    return params


def _utf8(text: str, where: str) -> str:
    """Bytes that stand unescaped in a request's line, which a shell reads as Latin-1."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        raise BadRequest(NOT_TEXT.format(where=where)) from None


def _gathered(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for name, value in pairs:
        if name not in params:
            params[name] = value
        elif type(params[name]) is list:
            params[name].append(value)
        else:
            params[name] = [params[name], value]
    return params


def _check_names(params: dict[str, Any]) -> None:
    if any(len(name) > MAX_NAME for name in params):
        raise BadRequest(TOO_MANY)


def from_body(request: HttpRequest, decode: Callable[[bytes], Any]) -> Body:
    """The parameters of a request's body, by its Content-Type. Raises BadRequest."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise BadRequest(NOT_PLAIN, 415)
    declared = request.headers.get("content-type", "")
    kind = declared.partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json") or (not kind and request.body.lstrip()[:1] == b"{"):
        return Body(_from_json(request.body, decode), text=False)
    if kind in ("application/x-www-form-urlencoded", ""):
        try:
            form = request.body.decode()
        except UnicodeDecodeError:
            raise BadRequest(NOT_TEXT.format(where="body")) from None
        return Body(from_query(form.strip("\r\n"), "body"))
    if kind == "multipart/form-data":
        return _from_multipart(request.body, declared)
    raise BadRequest(NOT_KNOWN.format(kind=kind[:100]), 415)


def _from_json(body: bytes, decode: Callable[[bytes], Any]) -> dict[str, Any]:
    try:
        value = decode(body)
    except (ValueError, RecursionError):
        raise BadRequest(NOT_JSON) from None
    if type(value) is not dict:
        raise BadRequest(NOT_OBJECT, 422)
    return value


def _from_multipart(body: bytes, declared: str) -> Body:
    boundary = _boundary(declared)
    arguments: dict[str, list[bytes]] = {}
    files: dict[str, list[HTTPFile]] = {}
    try:
        parse_multipart_form_data(boundary.encode("latin-1"), body, arguments, files, config=_MULTIPART)
        pairs = [(name, value.decode()) for name, values in arguments.items() for value in values]
    except UnicodeDecodeError:
        raise BadRequest(NOT_TEXT.format(where="body")) from None
    except (HTTPInputError, ValueError, LookupError):
        raise BadRequest(NOT_MULTIPART) from None
    params = _gathered(pairs)
    _check_names(params)
    _check_names(dict.fromkeys(files))
    return Body(params, True, files)


def _boundary(declared: str) -> str:
    for parameter in declared.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        value = value.strip('"')
        if name.strip().lower() == "boundary" and 0 < len(value) <= 200:
            return value
    raise BadRequest(NOT_MULTIPART)


def decoded(part: str) -> str:
    """A part of a path as text. Raises BadRequest."""
    if "%" not in part and part.isascii():
        return part
    try:
        return unquote_to_bytes(part.encode("latin-1")).decode()
    except UnicodeError:
        raise BadRequest(NOT_TEXT.format(where="path")) from None
