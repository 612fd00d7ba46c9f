"""The commands: what they print, and their exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from ahd import __version__, cli
from ahd.config import ConfigError, Mistake, Place, loads
from ahd.config.schema import schema_file
from ahd.config.write import default_file, effective

ROOT = Path(__file__).resolve().parents[1]
VALID = "webSockets:\n  options:\n    transports: [xhr-polling]\n    close timeout: 7\n"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for name in [name for name in os.environ if name.startswith("AHD_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def app(monkeypatch):
    """In place of ahd.app and ahd.daemon: remembers how it was called."""
    calls: list[tuple[Any, ...]] = []

    def run(config, source):
        calls.append(("run", config, source))
        return 0

    module = types.ModuleType("ahd.app")
    module.__dict__["run"] = run
    module.__dict__["assemble"] = lambda config, source: calls.append(("assemble", config, source))
    module.__dict__["calls"] = calls
    monkeypatch.setitem(sys.modules, "ahd.app", module)
    monkeypatch.setitem(sys.modules, "ahd.daemon", module)
    return module


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "ahd.yaml"
    file.write_text(VALID)
    return file


def process(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AHD_")}
    environ |= {"PYTHONPATH": str(ROOT), **more.pop("environ", {})}
    command = [sys.executable, "-m", "ahd", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=False, **more)


def test_run_hands_the_configuration_to_the_app(app, file):
    assert cli.main(["--config", str(file)]) == 0
    assert app.calls == [("run", loads(VALID, {}, source=str(file)), file)]


def test_the_code_of_run_is_the_exit_code(app, file):
    app.run = lambda config, source: 1
    assert cli.main(["--config", str(file)]) == 1


def test_check(app, file, capsys):
    assert cli.main(["check", "--config", str(file)]) == 0
    assert app.calls == [("assemble", loads(VALID, {}, source=str(file)), str(file))]
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "browser client minification: mapped: the minified socket.io.js is served",
        "browser client etag: mapped: socket.io.js has an ETag",
        "browser client gzip: mapped: socket.io.js is compressed",
        "transports: mapped: polling only, so no upgrade is offered",
        "close timeout: approximated: Engine.IO 4 has one time-out; ping_timeout is 7 s",
        f"{file}:4:20: webSockets.options.close timeout: warning: approximated: "
        "Engine.IO 4 has one time-out; ping_timeout is 7 s",
        f"{file} is valid",
    ]


@pytest.mark.parametrize("name", ["ahd.yaml", "heroku.yaml"])
def test_check_puts_the_shipped_files_together(name):
    result = process("check", "--config", f"etc/{name}", environ={"PORT": "5000"}, cwd=ROOT)
    assert (result.returncode, result.stdout.splitlines()[-1]) == (0, f"etc/{name} is valid")


def test_check_tells_what_cannot_be_assembled(app, file, capsys):
    def assemble(config, source):
        raise ConfigError([Mistake(Place("shop.py", 3, 1), "", "two actions are named buy")])

    app.assemble = assemble
    assert cli.main(["check", "--config", str(file)]) == 78
    captured = capsys.readouterr()
    assert captured.err == "shop.py:3:1: two actions are named buy\n1 mistake\n"
    assert captured.out == ""


@pytest.mark.parametrize("arguments", [["--config"], ["check", "--config"], ["config", "--config"]])
def test_mistakes_go_to_standard_error_with_78(app, tmp_path, capsys, arguments):
    file = tmp_path / "ahd.yaml"
    file.write_text("htpServer: {}\nlog: {level: x}\n")
    assert cli.main([*arguments, str(file)]) == 78
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        f"{file}:1:1: htpServer: unknown section; did you mean httpServer?",
        f'{file}:2:14: log.level: must be one of debug, info, warning, error, not "x"',
        "2 mistakes",
    ]
    assert app.calls == []


def test_config_prints_what_is_effective(file, capsys, monkeypatch):
    monkeypatch.setenv("AHD_HTTPSERVER_PORT", "9000")
    assert cli.main(["config", "--config", str(file)]) == 0
    shown = loads(capsys.readouterr().out, {})
    expected = loads("httpServer: {port: 9000}\n" + VALID, {})
    assert effective(shown) == effective(expected)
    assert shown.socket_io == expected.socket_io


def test_config_default(capsys):
    assert cli.main(["config", "--default"]) == 0
    assert capsys.readouterr().out == default_file()


def test_schema(capsys):
    assert cli.main(["schema"]) == 0
    assert capsys.readouterr().out == schema_file().read_text(encoding="utf-8")


def test_version(capsys):
    assert cli.main(["version"]) == 0
    assert capsys.readouterr().out == f"ahd {__version__}\n"


@pytest.mark.parametrize("command", [[], *([name] for name in cli.COMMANDS)], ids=str)
def test_help_everywhere(command, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([*command, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(" ".join(["usage: ahd", *command]))
    if not command:
        assert all(f"    {name} " in text for name in cli.COMMANDS)


@pytest.mark.parametrize(
    "arguments",
    [[], ["--config"], ["bogus"], ["check"], ["config"], ["config", "--default", "--config", "x"], ["version", "x"]],
    ids=str,
)
def test_wrong_usage_is_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: ahd")


def test_the_process_ends_with_the_code(tmp_path):
    result = process("--config", str(tmp_path / "none.yaml"))
    assert (result.returncode, result.stdout) == (78, "")
    assert result.stderr == f"{tmp_path}/none.yaml:1:1: there is no such file\n1 mistake\n"
    assert process("version").stdout == f"ahd {__version__}\n"


def test_a_variable_of_no_key_is_a_mistake(file):
    result = process("config", "--config", str(file), environ={"AHD_HTTPSERVER_PROT": "1"})
    assert result.returncode == 78
    expected = "$AHD_HTTPSERVER_PROT: no key has this variable; did you mean AHD_HTTPSERVER_PORT?\n1 mistake\n"
    assert result.stderr == expected


@pytest.mark.parametrize("command", [["schema"], ["config", "--default"], ["version"]], ids=str)
def test_a_reader_that_goes_away_is_no_traceback(command):
    reader, writer = os.pipe()
    os.close(reader)
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with os.fdopen(writer, "wb") as closed:
        result = subprocess.run(
            [sys.executable, "-m", "ahd", *command],
            stdout=closed,
            stderr=subprocess.PIPE,
            env=environ,
            timeout=30,
            check=False,
        )
    assert (result.returncode, result.stderr) == (1, b"")


def test_an_interrupt_is_no_traceback(app, file, capsys):
    def run(config, source):
        raise KeyboardInterrupt

    app.run = run
    assert cli.main(["--config", str(file)]) == 1
    assert capsys.readouterr().err == ""


def test_any_text_can_be_printed(tmp_path):
    file = tmp_path / "ahd.yaml"
    file.write_text("general: {serverName: ä☃}", encoding="utf-8")
    environ = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    result = process("config", "--config", str(file), environ=environ)
    assert (result.returncode, result.stderr) == (0, "")
    assert loads(result.stdout, {}).general.server_name == "ä☃"


def test_only_the_called_command_is_imported():
    code = (
        "import sys; from ahd import cli; cli.main(['version']); print(sorted(m for m in sys.modules if 'ahd.' in m))"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=30, check=True
    )
    assert "ahd.commands.version" in result.stdout
    assert "ahd.commands.check" not in result.stdout
    assert "ahd.app" not in result.stdout
