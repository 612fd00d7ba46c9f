"""The first pages that a user has of their own, as printed in the README and as `ahd new` makes them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.harness.daemon import ROOT
from tests.harness.process import Process
from tests.harness.waiting import free_port
from tests.project.test_new import ENVIRONMENT
from tests.project.test_readme import FILES, README

pytestmark = pytest.mark.browser


def test_the_page_of_the_readme(open_page: OpenPage, tmp_path: Path) -> None:
    for language, name in FILES.items():
        [block] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(block)
    port = free_port()
    command = [sys.executable, "-m", "ahd", "--config", "ahd.yaml"]
    process = Process(command, cwd=tmp_path, env={**ENVIRONMENT, "AHD_HTTPSERVER_PORT": str(port)})
    try:
        process.wait_for_log(f"listens on http://127.0.0.1:{port}")
        first, second = open_page(f"http://127.0.0.1:{port}/"), open_page(f"http://127.0.0.1:{port}/")
        for page in (first, second):
            expect(page.locator("#sum")).to_have_text("1 + 2 = 3")
        first.get_by_label("Message").fill("hello")
        first.get_by_role("button", name="Say").click()
        for page in (first, second):
            expect(page.locator("#says li", has_text="hello")).to_have_count(1)
    finally:
        assert process.stop() == 0


def test_the_page_of_a_new_project(open_page: OpenPage, tmp_path: Path) -> None:
    """A new user's way: `ahd new`, then the first of its README's two commands, in that directory."""
    command = [sys.executable, "-m", "ahd", "new", "shop"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=30, env=ENVIRONMENT)
    assert "    make run " in (tmp_path / "shop" / "README.md").read_text()
    port = free_port()
    environment = {**ENVIRONMENT, "AHD_HTTPSERVER_PORT": str(port), "PYTHONPATH": str(ROOT)}
    process = Process(["make", "run", f"PYTHON={sys.executable}"], cwd=tmp_path / "shop", env=environment)
    try:
        process.wait_for_log(f"listens on http://127.0.0.1:{port}")
        first, second = open_page(f"http://127.0.0.1:{port}/"), open_page(f"http://127.0.0.1:{port}/")
        for page in (first, second):
            expect(page).to_have_title("shop")
            expect(page.locator("#said li", has_text="connected")).to_have_count(1)
        first.get_by_label("Your name").fill("Ann")
        first.get_by_role("button", name="Greet").click()
        expect(first.locator("#greeting")).to_have_text("Hello, Ann!")
        first.get_by_label("Say").fill("hello")
        first.get_by_role("button", name="Say").click()
        expect(second.locator("#said li", has_text=": hello")).to_have_count(1)
        expect(first.locator("#said li", has_text="me: hello")).to_have_count(1)
    finally:
        process.kill()
