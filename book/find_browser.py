"""Find the Chromium that tests the pages; install one if there is none.

    python book/find_browser.py            print where it is
    python book/find_browser.py --install  install one first where needed

Looked for in this order: the environment variable ``BOOK_BROWSER``, the usual names on PATH,
Playwright's own. Installed from Debian's packages by root, else by Playwright.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL_COMMAND = "make browser"
MANUAL = "install Chromium and set BOOK_BROWSER to its path"


def find_browser(playwright_path):
    """Return the path of a Chromium or None; ``playwright_path`` is where Playwright keeps its."""
    chosen = os.environ.get("BOOK_BROWSER")
    if chosen:
        if not shutil.which(chosen):
            raise FileNotFoundError(f"BOOK_BROWSER is {chosen!r}, which is not a program")
        return shutil.which(chosen)
    on_path = next(filter(None, map(shutil.which, NAMES)), None)
    if on_path:
        return on_path
    return playwright_path if Path(playwright_path).is_file() else None


def install_browser():
    """Install Debian's package where that is possible, else let Playwright download its own."""
    if not (os.geteuid() == 0 and shutil.which("apt-get") and install_debian_package("chromium")):
        run(sys.executable, "-m", "playwright", "install", "chromium")


def install_debian_package(name):
    """Install a package with apt and tell whether that succeeded."""
    install = ("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", name)
    return run("apt-get", "update", "--quiet") and run(*install)


def run(*command):
    """Run a command with its output shown and tell whether it succeeded."""
    return subprocess.run(command, check=False).returncode == 0


def playwright_browser():
    """Return the path where Playwright keeps its own Chromium, whether or not it is there."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def main(arguments=None):
    """Print the browser's path, or say how to get one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--install", action="store_true", help="install one where none is found")
    options = parser.parse_args(arguments)
    path = find_browser(playwright_browser())
    if path is None and options.install:
        install_browser()
        path = find_browser(playwright_browser())
    if path is None:
        hint = MANUAL if options.install else f"run '{INSTALL_COMMAND}' or {MANUAL}"
        sys.exit(f"find_browser: no Chromium found: {hint}")
    print(path)


if __name__ == "__main__":
    main()
