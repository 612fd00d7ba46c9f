"""The page on a server that asks for a token."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.auth.minting import ANN, TOKENS
from tests.browser.conftest import OpenPage
from tests.browser.test_page import connected, say
from tests.conftest import StartDaemon

pytestmark = pytest.mark.browser


def test_the_page_asks_for_the_token(start_daemon: StartDaemon, open_page: OpenPage, complaints: list[str]) -> None:
    daemon = start_daemon({"auth": {"required": True, "tokens": TOKENS}})
    page = open_page(daemon.url)
    field = page.get_by_label("This server asks for a token")
    expect(field).to_be_focused()
    expect(page.locator("#token-error")).to_have_text("")
    field.fill("not-the-right-token")
    page.get_by_role("button", name="Come in").click()
    expect(page.locator("#token-error")).to_have_text("the token is not valid")
    field.fill(ANN)
    field.press("Enter")
    connected(page)
    expect(field).to_be_hidden()
    say(page, "hello")
    expect(page.locator('.said.mine[data-fate="sent"]')).to_have_count(1)
    assert ANN not in page.content()
    assert ANN not in page.url
    # Socket.IO's client closes a session that was not let in, and may still poll it.
    complaints[:] = [text for text in complaints if "status of 400" not in text]


def test_nobody_is_asked_where_no_token_is_needed(start_daemon: StartDaemon, open_page: OpenPage) -> None:
    page = connected(open_page(start_daemon({"auth": {"tokens": TOKENS}}).url))
    expect(page.locator("#token-form")).to_be_hidden()


def test_a_page_whose_server_asks_from_now_on_asks_too(
    start_daemon: StartDaemon, open_page: OpenPage, complaints: list[str]
) -> None:
    """The token that it came in with is off the list."""
    config = {"auth": {"required": True, "tokens": TOKENS}}
    daemon = start_daemon(config)
    page = open_page(daemon.url)
    page.get_by_label("This server asks for a token").fill(ANN)
    page.get_by_role("button", name="Come in").click()
    connected(page)
    daemon.write_config({"auth": {"required": True, "tokens": TOKENS[1:]}})
    daemon.popen.send_signal(1)
    expect(page.get_by_label("This server asks for a token")).to_be_visible()
    expect(page.locator("#token-error")).to_have_text("the token is not valid")
    complaints[:] = [text for text in complaints if "status of 400" not in text]
