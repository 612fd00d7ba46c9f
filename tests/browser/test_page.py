"""The page in Chromium, on a real daemon: what docs/clients.md and a person with eyes, ears or a keyboard expect."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.conftest import StartDaemon
from tests.harness.daemon import Daemon
from tests.harness.node import modules

pytestmark = pytest.mark.browser

CONNECTED = re.compile("Connected · (WebSocket|polling)")
PHONE = {"width": 360, "height": 640}


def connected(page: Page) -> Page:
    expect(page.locator("#status-text")).to_have_text(CONNECTED)
    return page


def say(page: Page, text: str) -> None:
    page.locator("#message").fill(text)
    page.locator("#message").press("Enter")


def own_id(page: Page) -> str:
    return page.locator("#details dd .id").inner_text()


def go(page: Page, room: str) -> None:
    page.get_by_label("Go to another room").fill(room)
    page.get_by_role("button", name="Go", exact=True).first.click()
    expect(page.locator("#current-room")).to_have_text(room)


def test_two_windows_chat(daemon: Daemon, open_page: OpenPage) -> None:
    anna, ben = connected(open_page(daemon.url)), connected(open_page(daemon.url))
    expect(anna.locator("#people li")).to_have_count(2)
    expect(ben.locator("#people li")).to_have_count(2)
    expect(anna.locator(".noted", has_text="has come")).to_have_count(1)

    say(anna, "hello Ben")
    line = ben.locator(".said", has_text="hello Ben")
    expect(line).to_have_count(1)
    expect(line.locator(".by .id")).to_have_text(own_id(anna)[:6])
    expect(line.locator(".by .id")).to_have_attribute("title", own_id(anna))
    expect(line.locator("time")).to_have_text(re.compile(r"\d\d:\d\d"))
    expect(anna.locator('.said.mine[data-fate="sent"]')).to_have_count(1)
    expect(anna.locator(".said", has_text="hello Ben")).to_have_count(1)

    go(ben, "lounge")
    expect(anna.locator(".noted", has_text="has left")).to_have_count(1)
    expect(anna.locator("#people li")).to_have_count(1)
    expect(ben.locator("#people li")).to_have_count(1)
    say(anna, "are you there?")
    expect(anna.locator('.said.mine[data-fate="sent"]')).to_have_count(2)
    expect(ben.locator(".said", has_text="are you there?")).to_have_count(0)


def test_listening_and_silence(daemon: Daemon, open_page: OpenPage) -> None:
    anna, ben = connected(open_page(daemon.url)), connected(open_page(f"{daemon.url}/?room=lounge"))
    expect(ben.locator("#current-room")).to_have_text("lounge")
    anna.get_by_label("Listen to a room").fill("lounge")
    anna.get_by_role("button", name="Listen").click()
    expect(anna.locator("#listening .name")).to_have_text("#lounge")
    say(ben, "in the lounge")
    expect(anna.locator(".said", has_text="in the lounge").locator(".place")).to_have_text("# lounge")
    expect(anna.locator("#people li")).to_have_count(1)

    anna.get_by_label("Listen to a room").fill("lounge")
    anna.get_by_role("button", name="Listen").click()
    expect(anna.locator("#listen-error")).to_have_text("you are already listening to this room")

    anna.get_by_role("button", name="Silence lounge").click()
    expect(anna.locator("#listening li")).to_have_count(0)
    expect(anna.locator("#listening-none")).to_be_visible()
    say(ben, "nobody hears this")
    expect(ben.locator('.said.mine[data-fate="sent"]')).to_have_count(2)
    expect(anna.locator(".said", has_text="nobody hears this")).to_have_count(0)

    anna.get_by_role("button", name="Go", exact=True).first.click()
    expect(anna.locator("#change-error")).to_have_text("room is required")


def test_what_others_say_is_never_html(daemon: Daemon, open_page: OpenPage) -> None:
    anna, ben = connected(open_page(daemon.url)), connected(open_page(daemon.url))
    evil = '<img src=x onerror="document.title=1"><b id="evil">bold</b>'
    say(anna, evil)
    expect(ben.locator(".said .text")).to_have_text(evil)
    go(anna, "<i>room</i>")
    expect(anna.locator("#chat-room")).to_have_text("<i>room</i>")
    for page in (anna, ben):
        assert page.locator("#evil, .log img, #chat-room i").count() == 0
        assert page.title() == "ahd"


def test_actions_are_run_from_their_interface(daemon: Daemon, open_page: OpenPage) -> None:
    page = connected(open_page(daemon.url))
    action = page.get_by_label("Action", exact=True)
    expect(action).to_be_enabled()
    assert {"actionsView", "cacheTest", "randomNumber", "sleepTest", "status"} <= set(
        action.locator("option").all_inner_texts()
    )

    action.select_option("cacheTest")
    expect(page.get_by_label("key required")).to_be_visible()
    page.get_by_label("key required").fill("colour")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("#verdict")).to_contain_text("value is a required parameter for this action")
    page.get_by_label("value required").fill("blue")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("#verdict .word")).to_have_text("OK")
    expect(page.locator("#verdict .time")).to_have_text(re.compile(r"\d+ ms"))
    result: dict[str, Any] = json.loads(page.locator("#result-text").inner_text())
    assert result["cacheTestResults"]["loadResp"]["value"] == "blue"

    action.select_option("sleepTest")
    page.get_by_label("sleepDuration optional").fill("30")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("#result-text")).to_contain_text('"sleepDuration": 30')


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_the_address_chooses_the_transport(daemon: Daemon, open_page: OpenPage, transport: str) -> None:
    page = connected(open_page(f"{daemon.url}/?transport={transport}"))
    shown = {"websocket": "WebSocket", "polling": "polling"}[transport]
    expect(page.locator("#status-text")).to_have_text(f"Connected · {shown}")
    expect(page.locator("#details")).to_contain_text(shown)
    chosen = page.locator("#transports a[aria-current]")
    expect(chosen).to_have_count(1)
    expect(chosen).to_have_attribute("data-transport", transport)
    say(page, "by this way")
    expect(page.locator('.said.mine[data-fate="sent"]')).to_have_count(1)


def test_automatic_begins_with_polling_and_becomes_a_websocket(daemon: Daemon, open_page: OpenPage) -> None:
    page = open_page(daemon.url)
    expect(page.locator("#status-text")).to_have_text("Connected · WebSocket")
    expect(page.locator("#details")).to_contain_text("WebSocket")


def test_a_daemon_that_dies_and_comes_back(
    start_daemon: StartDaemon, open_page: OpenPage, complaints: list[str]
) -> None:
    first = start_daemon()
    port = first.port
    page = connected(open_page(f"{first.url}/?room=lounge"))
    expect(page.locator("#current-room")).to_have_text("lounge")
    page.get_by_label("Listen to a room").fill("news")
    page.get_by_role("button", name="Listen").click()
    expect(page.locator("#listening li")).to_have_count(1)
    old_id = own_id(page)

    first.kill()
    expect(page.locator("#status")).to_have_attribute("data-state", "reconnecting")
    expect(page.locator("#status-text")).to_have_text(re.compile(r"Reconnecting( in \d+ s|…)"))
    expect(page.locator("#announcement")).to_have_text(re.compile("Reconnecting"))
    say(page, "into the void")
    failed = page.locator('.said.mine[data-fate="failed"]')
    expect(failed.locator(".fate")).to_contain_text("Not sent: not connected")

    second = start_daemon({"httpServer": {"port": port}}, name="second")
    page.get_by_role("button", name="Try now").click()
    connected(page)
    expect(page.locator("#current-room")).to_have_text("lounge")
    expect(page.locator("#listening .name")).to_have_text("#news")
    expect(page.locator("#details dd .id")).not_to_have_text(old_id)

    other = connected(open_page(f"{second.url}/?room=lounge"))
    expect(other.locator("#people li")).to_have_count(2)
    page.get_by_role("button", name="Retry").click()
    expect(page.locator('.said.mine[data-fate="sent"]')).to_have_count(1)
    expect(other.locator(".said", has_text="into the void")).to_have_count(1)
    say(connected(open_page(f"{second.url}/?room=news")), "heard from afar")
    expect(page.locator(".said", has_text="heard from afar").locator(".place")).to_have_text("# news")
    # Chromium itself reports the connections that were refused.
    complaints[:] = [text for text in complaints if "ERR_CONNECTION" not in text and "WebSocket" not in text]


def test_the_server_says_where_socket_io_is(start_daemon: StartDaemon, open_page: OpenPage) -> None:
    daemon = start_daemon({"webSockets": {"options": {"resource": "/elsewhere"}}})
    for address in ("/", "/public/", "/?resource=/elsewhere"):
        connected(open_page(f"{daemon.url}{address}"))


def test_a_daemon_that_is_not_there(daemon: Daemon, open_page: OpenPage, complaints: list[str]) -> None:
    page = open_page(f"{daemon.url}/?resource=/nowhere")
    expect(page.locator("#status-text")).to_have_text("Offline")
    expect(page.get_by_role("alert").first).to_contain_text("/nowhere/socket.io.js could not be loaded")
    complaints.clear()


def test_with_the_keyboard_alone(daemon: Daemon, open_page: OpenPage) -> None:
    page = connected(open_page(daemon.url))
    keys = page.keyboard
    keys.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    keys.press("Enter")
    expect(page.locator("#message")).to_be_focused()
    keys.type("first line")
    keys.press("Shift+Enter")
    keys.type("second line")
    keys.press("Enter")
    expect(page.locator(".said.mine .text")).to_have_text("first line\nsecond line")
    expect(page.locator("#message")).to_be_focused()
    expect(page.locator("#message")).to_have_value("")

    # Every control can be reached, shows that it has the focus, and none holds it.
    page.evaluate("document.activeElement.blur(); document.body.tabIndex = -1; document.body.focus()")
    reached: dict[int, str] = {}
    for _ in range(60):
        keys.press("Tab")
        number, name, outline = page.evaluate(
            "() => { const e = document.activeElement; return [[...document.querySelectorAll('*')].indexOf(e),"
            " e === document.body ? '' : e.id || e.dataset.transport || e.textContent,"
            " getComputedStyle(e).outlineStyle] }"
        )
        if number in reached or name == "":
            break
        assert outline != "none", f"{name} does not show its focus"
        reached[number] = name
    for control in (
        "change-room", "listen-room", "log", "message", "action", "run-action", "refresh-details",
        "auto", "websocket", "polling"
    ):  # fmt: skip
        assert control in reached.values(), f"{control} is not among {reached}"


def overflow(page: Page) -> list[int]:
    measured: list[int] = page.evaluate("[document.documentElement.scrollWidth, document.body.scrollWidth, innerWidth]")
    return measured


def test_a_phone_shows_each_view_without_scrolling_sideways(daemon: Daemon, open_page: OpenPage) -> None:
    page = connected(open_page(daemon.url, viewport=PHONE, has_touch=True))
    say(page, "w" * 300)
    expect(page.locator('.said.mine[data-fate="sent"]')).to_have_count(1)
    panels = {"Rooms": "rooms", "Actions": "actions", "Connection": "connection", "Chat": "chat"}
    for name, view in panels.items():
        link = page.get_by_role("navigation", name="Views").get_by_role("link", name=name)
        link.click()
        expect(link).to_have_attribute("aria-current", "true")
        expect(page.locator(f"section.{view}")).to_be_visible()
        for other in {*panels.values()} - {view}:
            expect(page.locator(f"section.{other}")).to_be_hidden()
        assert max(overflow(page)[:2]) <= PHONE["width"], name
        inner = page.evaluate(
            "() => [...document.querySelectorAll('.panel, .scroll, .log')]"
            ".filter((e) => e.scrollWidth > e.clientWidth + 1)"
            ".map((e) => e.className)"
        )
        assert inner == [], name
        # Big enough for a finger.
        assert link.bounding_box()["height"] >= 44  # type: ignore[index]
    page.get_by_role("link", name="Rooms").click()
    go(page, "r" * 200)
    assert max(overflow(page)[:2]) <= PHONE["width"]


def test_nothing_jumps_while_it_connects(daemon: Daemon, open_page: OpenPage) -> None:
    page = open_page("about:blank")
    page.add_init_script(
        "globalThis.shift = 0; "
        "new PerformanceObserver((list) => { for (const e of list.getEntries()) shift += e.value })"
        ".observe({ type: 'layout-shift', buffered: true })"
    )
    page.goto(daemon.url)
    connected(page)
    expect(page.locator("#people li")).to_have_count(1)
    assert page.evaluate("globalThis.shift") < 0.1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["wide", "chat", "rooms", "actions", "connection"])
def test_axe_finds_no_barrier(daemon: Daemon, open_page: OpenPage, scheme: str, view: str) -> None:
    """axe-core's rules, its contrasts (AA) included; the browser's own checks of the page's policy stay on."""
    options: dict[str, Any] = {"color_scheme": scheme, "bypass_csp": True}
    if view != "wide":
        options["viewport"] = PHONE
    page = connected(open_page(f"{daemon.url}/#{view}", **options))
    other = connected(open_page(daemon.url))
    say(other, "hello")
    page.evaluate(
        "document.querySelector('#message').value = 'hello'; document.querySelector('#say-form').requestSubmit()"
    )
    expect(page.locator(".said")).to_have_count(2)
    page.add_script_tag(path=modules() / "axe-core" / "axe.min.js")
    report = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    found = [
        f"{violation['id']}: {node['html'][:200]} {node['failureSummary']}"
        for violation in report["violations"]
        for node in violation["nodes"]
    ]
    assert found == []


def test_the_page_needs_no_other_network(daemon: Daemon, open_page: OpenPage) -> None:
    page = open_page("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(daemon.url)
    connected(page)
    assert asked
    assert [url for url in asked if not url.startswith(daemon.url) and not url.startswith("ws")] == []
    sources = [path.read_text() for path in (Path(__file__).resolve().parents[2] / "ahd/page").iterdir()]
    assert [found for text in sources for found in re.findall(r"https?://[\w./-]+", text)] == [
        "http://www.w3.org/2000/svg"
    ]
