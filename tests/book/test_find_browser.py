"""Which Chromium tests the pages."""

import pytest

import find_browser


@pytest.fixture
def program(tmp_path):
    """A function that puts a program into a folder of ``tmp_path`` and returns its path."""

    def put(name):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        return str(path)

    return put


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch, tmp_path):
    monkeypatch.delenv("BOOK_BROWSER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def test_chosen_browser_comes_first(program, monkeypatch):
    program("bin/chromium")
    monkeypatch.setenv("BOOK_BROWSER", program("elsewhere/chrome"))
    assert find_browser.find_browser("") == program("elsewhere/chrome")


def test_chosen_browser_must_exist(monkeypatch):
    monkeypatch.setenv("BOOK_BROWSER", "/nowhere/chrome")
    with pytest.raises(FileNotFoundError, match="BOOK_BROWSER is '/nowhere/chrome'"):
        find_browser.find_browser("")


@pytest.mark.parametrize("name", find_browser.NAMES)
def test_browser_on_path(program, name):
    assert find_browser.find_browser(program("own/chrome")).endswith("own/chrome")
    assert find_browser.find_browser(program("own/chrome")) != program(f"bin/{name}")
    assert find_browser.find_browser(program("own/chrome")) == program(f"bin/{name}")


def test_no_browser(tmp_path):
    assert find_browser.find_browser(str(tmp_path / "missing")) is None


def test_without_a_browser_the_command_to_run_is_named(monkeypatch):
    monkeypatch.setattr(find_browser, "playwright_browser", lambda: "/nowhere")
    with pytest.raises(SystemExit, match="run 'make browser'"):
        find_browser.main([])


@pytest.mark.parametrize(
    ("user", "first"), [(0, "apt-get update"), (1000, "playwright install chromium")]
)
def test_root_installs_the_system_package_and_others_playwrights(monkeypatch, program, user, first):
    program("bin/apt-get")
    monkeypatch.setattr(find_browser.os, "geteuid", lambda: user)
    commands = []
    monkeypatch.setattr(
        find_browser, "run", lambda *command: commands.append(" ".join(command)) or True
    )
    find_browser.install_browser()
    assert first in commands[0]
