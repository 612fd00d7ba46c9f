"""A page that was written for Socket.IO 0.9's client object, and the object itself, in Chromium."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.conftest import StartDaemon
from tests.harness.daemon import Daemon

pytestmark = pytest.mark.browser


def test_the_page_talks_with_itself_in_two_windows(daemon: Daemon, open_page: OpenPage) -> None:
    pages = [open_page(f"{daemon.url}/2012.html") for _ in range(2)]
    for page in pages:
        expect(page.locator("#state")).to_have_text(re.compile("connected by (websocket|xhr-polling)"))
        expect(page.locator("#log")).to_contain_text('welcome: {"welcome":"Hello! Welcome to the ahd api"')
    anna, ben = pages
    anna.get_by_label("Say").fill("as in 2012")
    anna.get_by_role("button", name="Say").click()
    expect(ben.locator("#log")).to_contain_text('say: {"message":"as in 2012","room":"defaultRoom"')
    expect(anna.locator("#log")).to_contain_text('"messageCount":1')
    anna.get_by_role("button", name="randomNumber").click()
    expect(anna.locator("#log")).to_contain_text('"randomNumber":0.')
    anna.get_by_role("button", name="roomView").click()
    expect(anna.locator("#log")).to_contain_text('"membersCount":2')
    anna.get_by_role("button", name="quit").click()
    expect(anna.locator("#state")).to_have_text("disconnected")


def test_the_page_comes_back(start_daemon: StartDaemon, open_page: OpenPage, complaints: list[str]) -> None:
    first = start_daemon()
    port = first.port
    page = open_page(f"{first.url}/2012.html")
    expect(page.locator("#state")).to_have_text(re.compile("connected by"))
    first.kill()
    expect(page.locator("#state")).to_have_text(re.compile("reconnecting, attempt"))
    start_daemon({"httpServer": {"port": port}}, name="second")
    # In 0.9's order: the connection is there again, then its namespace.
    expect(page.locator("#log")).to_contain_text('reconnect: {"transport":"', timeout=15000)
    expect(page.locator("#state")).to_have_text(re.compile("connected by"))
    complaints[:] = [text for text in complaints if "ERR_CONNECTION" not in text and "WebSocket" not in text]


@pytest.fixture
def window(daemon: Daemon, open_page: OpenPage) -> Page:
    """A window in which only socket.io.js is loaded."""
    page = open_page(f"{daemon.url}/2012.html")
    page.wait_for_function("socket.socket.transport?.name === 'websocket'")
    page.evaluate("socket.disconnect(); delete io.sockets[Object.keys(io.sockets)[0]]")
    return page


CONNECT = """(options) => new Promise((resolve) => {
  const socket = io.connect(options.url, options);
  socket.on('connect', () => setTimeout(() => resolve({
    connected: socket.socket.connected, transport: socket.socket.transport.name, id: socket.socket.sessionid,
    same: socket.socket.sessionid === socket.id, name: socket.name, path: socket.io.opts.path,
    transports: socket.io.opts.transports, reconnection: socket.io.reconnection(), timeout: socket.io.timeout(),
    attempts: socket.io.reconnectionAttempts(), delay: socket.io.reconnectionDelay(),
  }), 0));
})"""


def test_options_of_0_9_are_understood(window: Page) -> None:
    state = window.evaluate(
        CONNECT,
        {
            "url": "",
            "resource": "socket.io/",
            "transports": ["xhr-polling", "jsonp-polling"],
            "force new connection": True,
            "reconnect": False,
            "connect timeout": 5000,
            "max reconnection attempts": 7,
            "reconnection delay": 250,
            "flash policy port": 10843,
        },
    )
    assert state.pop("id")
    assert state == {
        "connected": True,
        "transport": "xhr-polling",
        "same": True,
        "name": "",
        "path": "/socket.io",
        "transports": ["polling"],
        "reconnection": False,
        "timeout": 5000,
        "attempts": 7,
        "delay": 250,
    }


def test_host_and_port_may_be_options(window: Page, daemon: Daemon) -> None:
    state = window.evaluate(
        CONNECT, {"url": None, "host": "127.0.0.1", "port": daemon.port, "transports": ["websocket"]}
    )
    assert state["transport"] == "websocket"


def test_one_connection_for_an_address_unless_a_new_one_is_forced(window: Page, daemon: Daemon) -> None:
    assert window.evaluate(
        """(url) => {
          const first = io.connect();
          const results = [io.connect('/') === first, io.connect(url) === first, io.connect(url + '/') === first,
            io.connect('', { 'force new connection': true }) === first, first.of('') === first,
            first.socket.of('/other') === first, first.socket.of('other') === first.of('/other'),
            first.of('other').name];
          return results;
        }""",
        daemon.url,
    ) == [True, True, True, False, True, False, True, "/other"]


def test_a_closed_socket_is_opened_again_by_connect(window: Page) -> None:
    assert window.evaluate(
        """() => new Promise((resolve) => {
          const socket = io.connect(), heard = [];
          socket.on('disconnect', () => { heard.push('disconnect'); io.connect(); });
          socket.on('connect', () => {
            heard.push('connect');
            heard.length === 1 ? socket.disconnect() : resolve(heard);
          });
        })"""
    ) == ["connect", "disconnect", "connect"]


def test_the_emitter_can_be_copied_as_pages_did(window: Page) -> None:
    assert window.evaluate(
        """() => {
          const mine = {}, calls = [];
          const emitter = new io.EventEmitter();
          for (const name in emitter) mine[name] = emitter[name];
          const listener = (value) => calls.push(value);
          mine.on('a', listener); mine.addListener('a', listener); mine.once('a', (v) => calls.push('once ' + v));
          const first = mine.emit('a', 1);
          mine.removeListener('a', listener);
          const second = mine.emit('a', 2);
          mine.on('b', listener); mine.removeAllListeners('b');
          return [calls, first, second, mine.emit('b'), mine.listeners('b').length];
        }"""
    ) == [[1, 1, "once 1"], True, False, False, 0]


def test_the_client_object_of_2013_is_ahsocket(window: Page) -> None:
    window.add_script_tag(url="/socket.io/ahsocket.js")
    assert window.evaluate(
        """() => new Promise((resolve) => {
          const socket = new actionHeroWebSocket({ resource: 'socket.io', 'force new connection': true }, (details) => {
            socket.action('cacheTest', { key: 'key', value: 'value' }, (error, response, delta) => {
              socket.quit();
              resolve([details.public.id.length > 0, error, response.cacheTestResults.saveResp, delta >= 0]);
            });
          });
        })"""
    ) == [True, None, True, True]


def test_the_client_is_a_module_too(window: Page) -> None:
    assert window.evaluate(
        """async () => {
          const { io } = await import('/socket.io/socket.io.esm.min.js');
          const { AHsocket } = await import('/socket.io/ahsocket.mjs');
          const socket = new AHsocket({ io });
          const { roomStatus } = await socket.roomView();
          const reason = new Promise((resolve) => socket.on('disconnected', resolve));
          socket.quit();
          await reason;
          return [roomStatus.members.length >= 1, socket.state];
        }"""
    ) == [True, "disconnected"]
