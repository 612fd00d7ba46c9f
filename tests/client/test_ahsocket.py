"""AHsocket by itself: its rules over a played Socket.IO client, its forms, its types."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ahd.client import FOLDER
from tests.harness.node import modules, run_node

HERE = Path(__file__).resolve().parent


def test_rules() -> None:
    """Every test of ahsocket.test.cjs; its report is shown when one fails."""
    report = run_node(HERE / "ahsocket.test.cjs", AHSOCKET=str(FOLDER / "ahsocket.js"))
    assert "\n# fail 0\n" in report or "\nℹ fail 0\n" in report, report


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """AHsocket's files as a user has them, with socket.io-client beside."""
    for path in FOLDER.glob("ahsocket.*"):
        shutil.copy(path, tmp_path)
    (tmp_path / "node_modules").symlink_to(modules())
    return tmp_path


def test_require_and_import_in_node(copied: Path) -> None:
    (copied / "a.cjs").write_text(
        'const AHsocket = require("./ahsocket.js");\n'
        'const socket = new AHsocket({ url: "http://127.0.0.1:1", autoConnect: false });\n'
        "console.log(JSON.stringify([socket.state, require('./ahsocket.js').actionHeroWebSocket === AHsocket]));\n"
    )
    assert json.loads(run_node(copied / "a.cjs")) == ["disconnected", True]
    (copied / "a.mjs").write_text(
        'import AHsocket, { actionHeroWebSocket, AHsocket as named } from "./ahsocket.mjs";\n'
        'const socket = new AHsocket({ url: "http://127.0.0.1:1", autoConnect: false });\n'
        "console.log(JSON.stringify([socket.state, AHsocket === named && named === actionHeroWebSocket]));\n"
    )
    assert json.loads(run_node(copied / "a.mjs")) == ["disconnected", True]
    # In a package whose files are all modules the same file defines a global.
    (copied / "package.json").write_text('{"type": "module"}')
    (copied / "b.mjs").write_text(
        'import { io } from "socket.io-client";\nimport { AHsocket } from "./ahsocket.mjs";\n'
        "console.log(JSON.stringify(new AHsocket({ io, autoConnect: false, url: 'http://127.0.0.1:1' }).state));\n"
    )
    assert json.loads(run_node(copied / "b.mjs")) == "disconnected"


TYPED = """
import AHsocket, { actionHeroWebSocket, type Details, type State } from "./ahsocket.mjs";

const socket = new AHsocket({ transports: ["polling"], responseTimeout: 5 }, (details: Details) => details.public.id);
new actionHeroWebSocket((details) => details.room.length);
const state: State = socket.state;
socket.on("timeout", (event, params, next) => next("late", null, 1));
socket.on("say", (message) => ("bye" in message ? message.retryAfter : message.sentAt).toFixed());
async function use(): Promise<number> {
  const view = await socket.roomView();
  socket.action("add", { a: 1 }, (error, response, delta) => [error?.length, response?.sum, delta.toFixed()]);
  // @ts-expect-error a say needs a message
  socket.say();
  // @ts-expect-error no such event
  socket.on("no such event", () => {});
  // @ts-expect-error the state is the client's own
  socket.state = "connected";
  return view.roomStatus.membersCount;
}
export { use, state };
"""


def test_types(copied: Path) -> None:
    (copied / "use.mts").write_text(TYPED)
    tsc = modules() / "typescript" / "bin" / "tsc"
    run_node(tsc, "--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", str(copied / "use.mts"))


def test_types_name_every_method() -> None:
    """The declarations and the class have the same public names."""
    listed = run_node(
        "const A = require(process.argv[1]); const a = new A({ io: () => ({ on() {} }), autoConnect: false });"
        "const names = [];"
        "for (let o = a; o && o !== Object.prototype; o = Object.getPrototypeOf(o))"
        "  names.push(...Object.getOwnPropertyNames(o));"
        "console.log(names.filter((n) => !n.startsWith('_')).join('\\n'))",
        str(FOLDER / "ahsocket.js"),
    )
    declared = (FOLDER / "ahsocket.d.ts").read_text().split("export class AHsocket {")[1].split("\n}\n")[0]
    undeclared = {
        name for name in listed.split() if f"  {name}(" not in declared and f"{name}:" not in declared
        and f"  {name}<" not in declared
    }  # fmt: skip
    assert undeclared == {"emit", "listeners", "options", "messageCount"}
