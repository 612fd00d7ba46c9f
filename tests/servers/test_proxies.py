"""Whose word is taken for a client's address and scheme."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from ahd.servers.httphead import Headers
from ahd.servers.proxies import Client, Trusted


def fields(forwarded: str | None = None, proto: str | None = None) -> Headers:
    headers = Headers()
    if forwarded is not None:
        headers.add("X-Forwarded-For", forwarded)
    if proto is not None:
        headers.add("x-forwarded-proto", proto)
    return headers


LOCAL = ["127.0.0.1", "10.0.0.0/8", "2001:db8:1::/48", "unix"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("127.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9, 192.0.2.7", "192.0.2.7"),  # the left one is the client's invention
        ("127.0.0.1", "203.0.113.9, 192.0.2.7, 10.1.2.3", "192.0.2.7"),
        ("127.0.0.1", "10.1.1.1, 10.2.2.2", "10.1.1.1"),  # everybody is trusted: the first
        ("198.51.100.1", "192.0.2.7", "198.51.100.1"),  # nobody we know
        ("::ffff:127.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("2001:db8:1::5", "2001:DB8:0:0::9", "2001:db8::9"),
        ("127.0.0.1", "[2001:db8::9]:4711", "2001:db8::9"),
        ("127.0.0.1", '"[2001:db8::9]"', "2001:db8::9"),
        ("127.0.0.1", "192.0.2.7:4711", "192.0.2.7"),
        ("127.0.0.1", "unknown", "127.0.0.1"),
        ("127.0.0.1", "192.0.2.7, <script>", "127.0.0.1"),
        ("127.0.0.1", "192.0.2.7, garbage, 10.1.2.3", "10.1.2.3"),
        ("127.0.0.1", "unix", "127.0.0.1"),
        ("unix", "192.0.2.7", "192.0.2.7"),
        ("unix", None, "unix"),
    ],
)
def test_address(peer, forwarded, expected):
    assert Trusted(LOCAL).client(peer, "http", fields(forwarded)).address == expected


@pytest.mark.parametrize(
    ("peer", "forwarded", "proto", "expected"),
    [
        ("127.0.0.1", "192.0.2.7", "https", "https"),
        ("127.0.0.1", "192.0.2.7", "WSS", "https"),
        ("127.0.0.1", None, "https", "https"),
        ("127.0.0.1", "192.0.2.7, 10.1.1.1", "https", "https"),
        ("127.0.0.1", "192.0.2.7, 10.1.1.1", "https, http", "https"),
        ("127.0.0.1", "192.0.2.7", "https, http", "http"),  # the left one is the client's invention
        ("127.0.0.1", "192.0.2.7", "gopher", "http"),
        ("127.0.0.1", "192.0.2.7", "", "http"),
        ("198.51.100.1", "192.0.2.7", "https", "http"),
    ],
)
def test_scheme(peer, forwarded, proto, expected):
    assert Trusted(LOCAL).client(peer, "http", fields(forwarded, proto)).scheme == expected


def test_nobody_is_trusted_by_default():
    trusted = Trusted([])
    assert trusted.client("127.0.0.1", "https", fields("192.0.2.7", "http")) == Client("127.0.0.1", "https")
    assert trusted.client("unix", "http", fields("192.0.2.7", "https")) == Client("unix", "http")


def test_unix_must_be_named():
    assert Trusted(["127.0.0.1"]).client("unix", "http", fields("192.0.2.7")).address == "unix"


def test_tornado_headers_are_fields():
    headers = HTTPHeaders()
    headers.add("x-forwarded-for", "203.0.113.9")
    headers.add("x-forwarded-for", "192.0.2.7")
    assert Trusted(LOCAL).client("127.0.0.1", "http", headers) == Client("192.0.2.7", "http")


@pytest.mark.parametrize("entry", ["localhost", "10.0.0.0/33", "10.0.0.1/8", "", "UNIX", "1.2.3"])
def test_a_bad_entry_is_named(entry):
    with pytest.raises(ValueError, match="no address, no network"):
        Trusted(["127.0.0.1", entry])


@given(st.text(), st.text(), st.text())
def test_garbage_never_raises_and_a_stranger_is_never_believed(forwarded, proto, peer):
    trusted = Trusted(LOCAL)
    assert trusted.client("198.51.100.1", "http", fields(forwarded, proto)) == Client("198.51.100.1", "http")
    assert trusted.client("127.0.0.1", "http", fields(forwarded, proto)).scheme in ("http", "https")
    trusted.client(peer, "http", fields(forwarded, proto))
