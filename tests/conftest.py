"""A browser for the tests that need one (they are skipped where there is none), and a mark for slow ones"""
import os
import shutil

import pytest

HOW = ("install a Chromium (Debian: apt-get install chromium) or name one in CHROMIUM=/path, "
       "and playwright (in the dev extra)")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update",
         "--disable-sync"]


@pytest.fixture(scope="session")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason=HOW)
    names = "chromium", "chromium-browser", "google-chrome", "chrome"
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None: pytest.skip(HOW)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def pytest_configure(config): config.addinivalue_line("markers", "slow: takes minutes; run by pytest -m slow")


def pytest_collection_modifyitems(config, items):
    "What is marked slow runs only when `-m` says something."
    if not config.getoption("-m"): items[:] = [item for item in items if "slow" not in item.keywords]
