"""The book in JupyterLab: open a notebook, run all its cells, move a slider, see the picture change"""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

root = Path(__file__).resolve().parent.parent
pytest.importorskip("jupyterlab", reason="JupyterLab comes with the dev extra: make setup")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    "A server on a copy of the book whose outputs are stripped, so that whatever is seen was made there."
    work = tmp_path_factory.mktemp("lab")
    shutil.copytree(root / "nbs", work / "nbs")
    shutil.copytree(root / "data", work / "data", ignore=shutil.ignore_patterns("cache"))
    shutil.copy(root / "README.md", work)
    for path in (work / "nbs").glob("*.ipynb"):
        nb = json.loads(path.read_text(encoding="utf-8"))
        for cell in nb["cells"]:
            if cell["cell_type"] == "code": cell["outputs"] = []
            if re.match(r"#\s*\|\s*slow", "".join(cell["source"])): cell["source"] = ["# takes minutes"]
        path.write_text(json.dumps(nb), encoding="utf-8")
    settings = work / "settings/@jupyterlab/notebook-extension"
    settings.mkdir(parents=True)
    tracker = settings / "tracker.jupyterlab-settings"
    tracker.write_text('{"windowingMode": "none"}')                      # or cells out of sight do not exist
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    folders = {"JUPYTER_CONFIG_DIR": work / "CONFIG", "JUPYTER_DATA_DIR": work / "DATA",
               "JUPYTERLAB_SETTINGS_DIR": work / "settings", "JUPYTERLAB_WORKSPACES_DIR": work / "workspaces",
               "IPYTHONDIR": work / "ipython"}
    folders = {name: str(folder) for name, folder in folders.items()} | {"OMP_NUM_THREADS": "1"}
    server = subprocess.Popen([sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
                               "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0",
                               "--IdentityProvider.token=", f"--ServerApp.root_dir={work}",
                               "--LabApp.news_url=",
                               "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"],
                              env=os.environ | folders, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/"
    for _ in range(240):
        try: urllib.request.urlopen(address + "api/status", timeout=1); break
        except OSError: time.sleep(0.5)
    yield address
    server.terminate()
    server.wait(30)


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    def serve(route):
        here = "127.0.0.1" in route.request.url or not route.request.url.startswith("http")
        return route.continue_() if here else route.abort()
    page.route("**/*", serve)
    yield page
    page.close()


def ready(page):
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=120_000)
    page.get_by_text(re.compile(r"\| Idle")).wait_for(timeout=120_000)
    page.wait_for_timeout(1500)


def run_all(page, seconds):
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    page.wait_for_function("""() => {
        const all = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputArea-prompt')];
        return all.length && all.every(e => /\\d/.test(e.textContent)) }""", timeout=1000 * seconds)


@pytest.mark.parametrize("name", ["10_collapse", "30_plan", "41_surprise"])
def test_run_all_and_move_a_slider(lab, page, name):
    page.goto(f"{lab}lab/workspaces/{name}/tree/nbs/{name}.ipynb")  # a workspace without the last test's tabs
    ready(page)
    assert page.locator(".jp-OutputArea-output div.film").count() == 0
    run_all(page, 300)
    assert page.locator('[data-mime-type="application/vnd.jupyter.error"]').count() == 0
    film = page.locator(".jp-OutputArea-output div.film").first
    film.scroll_into_view_if_needed()
    seen = "f => [...f.querySelectorAll('img')].filter(i => i.offsetParent).map(i => i.src)"
    def shown(): return film.evaluate(seen)
    before, slider = shown(), film.locator("input[type=range]")
    slider.focus()
    slider.press("End" if slider.input_value() != slider.get_attribute("max") else "Home")
    assert len(before) == len(shown()) == 1 and shown() != before


def test_links_of_the_first_page_open_notebooks(lab, page):
    page.goto(f"{lab}lab/workspaces/index/tree/nbs/index.ipynb")
    ready(page)
    run_all(page, 120)
    link = page.locator(".jp-RenderedMarkdown a", has_text="Why does predicting").first
    link.scroll_into_view_if_needed()
    link.click()
    title = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) h1", has_text="Why does predicting")
    title.first.wait_for(timeout=60_000)
