"""`make install` puts ahd where a system looks for it, and `make uninstall` takes it away again."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml

from ahd import __version__
from tests.harness.daemon import ROOT


def make(target: str, root: Path, **variables: str) -> str:
    named = [f"{name}={value}" for name, value in {"DESTDIR": str(root), **variables}.items()]
    environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "PYTHONPATH")}
    command = ["make", "--no-print-directory", "-C", str(ROOT), target, *named]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A wheel that was just built, and nothing from the network: what ahd needs is in this Python already."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    return {"PYTHON": sys.executable, "SOURCE": str(wheel), "PIP_ARGS": "--no-deps --no-index --force-reinstall"}


def test_install_and_uninstall(tmp_path: Path, variables: dict[str, str]) -> None:
    root = tmp_path / "root"
    told = make("install", root, **variables)
    assert f"Installed ahd {__version__}." in told
    units = {path.name for path in (ROOT / "systemd").iterdir()}
    assert {path.name for path in (root / "usr/lib/systemd/system").iterdir()} == units
    for name in units:
        text = (root / "usr/lib/systemd/system" / name).read_text()
        assert "/usr/local" not in text
        assert ("ExecStart=/usr/bin/ahd --config /etc/ahd/" in text) is name.endswith(".service")
    assert (root / "usr/bin/ahd").readlink() == Path("../lib/ahd/bin/ahd")
    library = root / "usr/lib/ahd"
    # Nothing remembers where it was put together; a service that may not write has everything compiled.
    for path in (library / "pyvenv.cfg", *(file for file in (library / "bin").iterdir() if not file.is_symlink())):
        assert str(root) not in path.read_text(), path
    assert (library / "bin/ahd").read_text().startswith("#!/usr/lib/ahd/bin/python")
    (package,) = library.glob("lib/python3.*/site-packages/ahd")
    (compiled,) = package.glob("__pycache__/app.*.pyc")
    assert str(root).encode() not in compiled.read_bytes()

    config = root / "etc/ahd/ahd.yaml"
    schema = config.read_text().splitlines()[0].partition("$schema=")[2]
    assert (root / schema.lstrip("/")).is_file()
    assert yaml.safe_load(config.read_text()) == yaml.safe_load((ROOT / "etc/ahd.yaml").read_text())
    environment = {"PYTHONPATH": sysconfig.get_path("purelib"), "PATH": os.environ["PATH"]}
    command = [str(library / "bin/python"), "-P", "-m", "ahd", "check", "--config", str(config)]
    checked = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert f"{config} is valid" in checked.stdout, checked.stderr

    # A second time is an upgrade: what is configured stays, and so does what was installed besides.
    config.write_text("general: {serverName: mine}\n")
    (package.parent / "mine.py").write_text("")
    assert f"Kept {config}" in make("install", root, **variables)
    assert config.read_text() == "general: {serverName: mine}\n"
    assert (package.parent / "mine.py").exists()

    make("uninstall", root)
    left = {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}
    assert left == {"etc/ahd/ahd.yaml", "etc/ahd/cluster.yaml"}


def test_a_python_that_will_not_do_is_told(tmp_path: Path) -> None:
    command = ["make", "--no-print-directory", "-C", str(ROOT), "install", f"DESTDIR={tmp_path}", "PYTHON=/bin/false"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert not list(tmp_path.iterdir())
