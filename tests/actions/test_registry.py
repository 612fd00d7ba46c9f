"""What is found in modules and directories, and every mistake in them, with its file and line."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from ahd.actions.builtin import BUILTIN
from ahd.actions.registry import Registry, load
from ahd.config import ConfigError
from ahd.config.schema import default, load_schema
from tests.actions.conftest import WriteModule
from tests.conftest import StartDaemon

ROOT = Path(__file__).parents[2]
_numbers = itertools.count()

GOOD = """
    from ahd import action

    @action(description="Adds")
    async def add(a: float, b: float = 0) -> dict:
        return {"sum": a + b}
"""


@pytest.fixture(autouse=True)
def own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test in a directory of its own, its modules forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def package() -> str:
    """A module name that no other test uses."""
    return f"shop{next(_numbers)}"


def found(*modules: str, builtin: tuple[str, ...] = ()) -> Registry:
    return load(modules, builtin, Path("ahd.yaml"))


def mistakes(*modules: str, builtin: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(ConfigError) as error:
        found(*modules, builtin=builtin)
    return [str(mistake) for mistake in error.value.mistakes]


def test_a_module_beside_the_configuration_file(write: WriteModule, package: str) -> None:
    write(f"{package}/__init__.py", "")
    file = write(f"{package}/actions.py", GOOD)
    actions = found(f"{package}.actions")
    assert list(actions) == ["add"]
    assert actions["add"].description == "Adds"
    assert (actions["add"].file, actions["add"].line) == (str(file), 3)


def test_a_packages_init_may_gather_actions(write: WriteModule, package: str) -> None:
    write(f"{package}/__init__.py", "from .one import add\nfrom .two import add as again, sub\n")
    write(f"{package}/one.py", GOOD)
    write(f"{package}/two.py", "from ahd import action\nfrom .one import add\n@action\ndef sub(a: int): ...\n")
    assert list(found(package, f"{package}.one")) == ["add", "sub"], "one action under several names is one action"


def test_a_directory_with_what_is_below_it(write: WriteModule) -> None:
    write("acts/a.py", GOOD)
    write("acts/sub/b.py", "from ahd import action\nfrom .._shared import NAME\n@action(name=NAME)\ndef x(): ...\n")
    write("acts/_shared.py", "NAME = 'from.shared'\n")
    write("acts/_skipped/c.py", "raise RuntimeError\n")
    write("acts/.hidden/c.py", "raise RuntimeError\n")
    write("acts/notes.txt", "no Python")
    assert list(found("./acts")) == ["add", "from.shared"]
    assert list(found("acts/")) == ["add", "from.shared"]
    assert list(found("./acts", "acts/")) == ["add", "from.shared"]


def test_one_file_and_an_absolute_path(write: WriteModule, tmp_path: Path) -> None:
    write("acts/a.py", GOOD)
    write("acts/b.py", "raise RuntimeError\n")
    assert list(found("./acts/a.py")) == ["add"]
    assert list(found(str(tmp_path / "acts" / "a.py"))) == ["add"]


def test_paths_begin_where_the_configuration_file_is(write: WriteModule, tmp_path: Path) -> None:
    write("etc/acts/a.py", GOOD)
    assert list(load(["./acts"], [], Path("etc/ahd.yaml"))) == ["add"]


def test_a_factory_may_make_actions(write: WriteModule) -> None:
    write(
        "acts/a.py",
        """
        from ahd import action

        def make(n):
            @action(name=f"times{n}")
            async def times(a: float):
                return {"product": a * n}

        for n in (2, 3):
            make(n)
        """,
    )
    assert list(found("./acts")) == ["times2", "times3"]


def test_all_mistakes_at_once(write: WriteModule) -> None:
    write(
        "acts/a.py",
        """
        from ahd import action

        @action
        async def add(a: float): ...

        @action
        async def add(a: set, *b): ...

        @action(name="say")
        async def speak(a: set, *b): ...

        @action
        async def status(): ...
        """,
    )
    write("acts/b.py", "import sys\nx = 1 +\n")
    write("acts/c.py", "x = 1\n\nimport nowhere_to_be_found\n")
    write("acts/d.py", "def f():\n    return {}['key']\n\nf()\n")
    write("acts/e.py", "import sys\nsys.exit('enough')\n")
    write("acts/f-g.py", "")
    write("acts/h.py", "from ahd import action\naction(description='x')(len)\n")
    assert mistakes("./acts", "./nowhere", "nowhere.at.all", "./ahd.txt", builtin=("status", "stats")) == [
        "acts/a.py:6:1: the action add is already defined in acts/a.py:3",
        "acts/a.py:9:1: the action say: the name say is reserved; use another one: @action(name=…)",
        "acts/a.py:9:1: the action say: the parameter a has a type that cannot be described to clients: set",
        "acts/a.py:9:1: the action say: the parameter b stands for any number of them (*b); name each parameter",
        "acts/a.py:12:1: the action status is built in; rename yours or take it out of actions.builtin",
        "acts/b.py:2:1: not Python: invalid syntax",
        "acts/c.py:3:1: ModuleNotFoundError: No module named 'nowhere_to_be_found'",
        "acts/d.py:2:1: KeyError: 'key'",
        "acts/e.py:2:1: SystemExit: enough",
        "acts/f-g.py:1:1: f-g cannot be the name of a Python module; rename it or begin it with _",
        "acts/h.py:2:1: TypeError: @action goes on a function, not on <built-in function len>",
        "ahd.yaml: actions.builtin[1]: there is no built-in action stats",
        f"ahd.yaml: actions.modules[1]: there is no ./nowhere in {Path.cwd()}",
        "ahd.yaml: actions.modules[2]: there is no Python module nowhere",
        f"ahd.yaml: actions.modules[3]: there is no ./ahd.txt in {Path.cwd()}",
    ]


def test_a_module_that_a_module_lacks_is_not_taken_for_the_module(write: WriteModule, package: str) -> None:
    write(f"{package}.py", "import json.nowhere\n")
    assert mistakes(package) == [f"{package}.py:1:1: ModuleNotFoundError: No module named 'json.nowhere'"]
    assert mistakes(f"{package}.part") == [f"{package}.py:1:1: ModuleNotFoundError: No module named 'json.nowhere'"]


def test_the_line_of_the_users_own_code_is_told(write: WriteModule) -> None:
    write("acts/a.py", "import json\n\njson.loads('{')\n")
    (mistake,) = mistakes("./acts")
    assert mistake.startswith("acts/a.py:3:1: JSONDecodeError: Expecting property name")


def test_a_file_that_is_no_python_text(tmp_path: Path) -> None:
    (tmp_path / "acts").mkdir()
    (tmp_path / "acts" / "a.py").write_bytes(b"x = '\xff'\n")
    (tmp_path / "acts" / "b.py").write_bytes(b"x = '\x00'\n")
    first, second = mistakes("./acts")
    assert "acts/a.py" in first
    assert "acts/b.py" in second


def test_what_is_neither_directory_nor_python(write: WriteModule) -> None:
    write("acts.txt", "")
    assert mistakes("./acts.txt") == ["ahd.yaml: actions.modules[0]: ./acts.txt is neither a directory nor a .py file"]


def test_a_mended_module_can_be_loaded(write: WriteModule) -> None:
    write("acts/a.py", "raise ValueError('first')\n")
    assert mistakes("./acts") == ["acts/a.py:1:1: ValueError: first"]
    write("acts/a.py", GOOD)
    assert list(found("./acts")) == ["add"]


def test_the_builtin_actions_are_those_of_the_schema() -> None:
    builtin = load_schema()["$defs"]["actions"]["properties"]["builtin"]
    assert set(BUILTIN) == set(builtin["items"]["enum"]) == set(default(builtin))
    assert list(load([], tuple(BUILTIN), Path("ahd.yaml"))) == sorted(BUILTIN)


def test_builtin_actions_can_be_left_out_and_replaced(write: WriteModule) -> None:
    write("acts/a.py", "from ahd import action\n@action(description='mine')\ndef status(): ...\n")
    actions = found("./acts", builtin=("sleepTest",))
    assert list(actions) == ["sleepTest", "status"]
    assert actions["status"].description == "mine"


# The command


def ahd(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ahd", *arguments]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment, check=False)


def test_the_command_lists_the_actions(write: WriteModule) -> None:
    write("ahd.yaml", "actions: {modules: [./acts], builtin: [sleepTest]}\n")
    write("acts/a.py", GOOD)
    result = ahd("actions", "--config", "ahd.yaml")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(
        "add  (acts/a.py:3)\n    Adds\n    a  a number\n    b [0]  a number\n\nsleepTest  ("
    )
    assert "    sleepDuration [1000]  a number: milliseconds\n" in result.stdout


def test_the_command_tells_mistakes_without_a_traceback(write: WriteModule) -> None:
    write("ahd.yaml", "actions: {modules: [./acts, nowhere]}\n")
    write("acts/a.py", "x = 1\nimport nowhere\n")
    for arguments in (("actions",), ("check",), ()):
        result = ahd(*arguments, "--config", "ahd.yaml")
        assert result.returncode == 78
        assert result.stdout == ""
        assert result.stderr.splitlines() == [
            "acts/a.py:2:1: ModuleNotFoundError: No module named 'nowhere'",
            "ahd.yaml:1:29: actions.modules[1]: there is no Python module nowhere",
            "2 mistakes",
        ]


def test_a_route_needs_its_action(write: WriteModule) -> None:
    write(
        "ahd.yaml",
        "commonWeb:\n  routes:\n    get:\n      - {path: /a, action: status}\n      - {path: /b, action: sttus}\n",
    )
    for arguments in (("check",), ("describe", "--openapi"), ()):
        result = ahd(*arguments, "--config", "ahd.yaml")
        assert result.returncode == 78
        reason = "there is no action sttus; did you mean status?"
        assert result.stderr.splitlines()[0] == f"ahd.yaml:5:28: commonWeb.routes.get[1].action: {reason}"


def test_mistakes_of_the_file_and_of_its_modules_are_told_at_once(write: WriteModule) -> None:
    write("ahd.yaml", "httpServer: {port: x}\nactions: {modules: [./acts, nowhere]}\n")
    write("acts/a.py", "import nowhere\n")
    for arguments in (("actions",), ("check",), (), ("describe", "--markdown")):
        result = ahd(*arguments, "--config", "ahd.yaml")
        assert result.returncode == 78
        assert result.stderr.splitlines() == [
            "acts/a.py:1:1: ModuleNotFoundError: No module named 'nowhere'",
            'ahd.yaml:1:20: httpServer.port: must be a whole number, not "x"',
            "ahd.yaml:2:29: actions.modules[1]: there is no Python module nowhere",
            "3 mistakes",
        ]
    write("ahd.yaml", "httpServer: {port: x}\nactions: {modules: [./acts, 1]}\n")
    lines = ahd("check", "--config", "ahd.yaml").stderr.splitlines()
    assert len(lines) == 3, "a section that is wrong itself is not acted on"
    assert "nowhere" not in "".join(lines)


def test_the_demonstration_is_found() -> None:
    actions = load(["./actions"], [], ROOT / "etc" / "ahd.yaml")
    assert list(actions) == ["add", "convert", "countCalls", "derive", "echo", "ring"]
    assert {name: action.style for name, action in actions.items() if action.style != "direct"} == {
        "countCalls": "task",
        "derive": "thread",
        "ring": "task",
    }


def test_a_daemon_offers_what_the_file_names(start_daemon: StartDaemon) -> None:
    demonstration = ROOT / "etc" / "actions" / "demo.py"
    daemon = start_daemon({"actions": {"modules": [str(demonstration)], "builtin": []}})
    for path, key, value in (
        ("add?a=1&b=2", "sum", 3),
        ("convert?degrees=100", "degrees", 212),
        ("countCalls", "calls", 1),
        ("derive?password=p&rounds=1", "error", None),
    ):
        with urlopen(f"{daemon.url}/api/{path}", timeout=10) as response:
            assert json.load(response).get(key) == value
