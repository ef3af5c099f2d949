"""The site as a reader meets it: built from the committed notebooks, served, looked at in a browser"""
import re
import subprocess
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

pytest.importorskip("sphinx", reason="the site needs the dev extra: make setup")
root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root / "docs"))
from parts import chapters, parts  # noqa: E402

site = root / "docs/_site"


class Reader(HTMLParser):
    "Links, anchors, and pictures of a page."
    def __init__(self, text):
        super().__init__()
        self.links, self.anchors, self.pictures = [], {""}, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.add(attributes.get("id", ""))
        if tag == "a" and "href" in attributes: self.links.append(attributes["href"])
        if tag in ("img", "script"): self.links.append(attributes.get("src") or "")
        if tag == "link": self.links.append(attributes["href"])
        if tag == "img": self.pictures.append(attributes)


@pytest.fixture(scope="session")
def pages():
    subprocess.run([sys.executable, str(root / "docs/build.py")], check=True)
    return {path: Reader(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_): pass


@pytest.fixture(scope="session")
def address(pages):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture
def page(browser, address):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.asked_elsewhere, page.complaints = [], []
    def serve(route):
        if route.request.url.startswith((address, "data:", "blob:", "file:")): return route.continue_()
        page.asked_elsewhere.append(route.request.url)
        route.abort()
    page.route("**/*", serve)
    def listen(message):
        if message.type == "error": page.complaints.append(message.text)
    page.on("console", listen)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    yield page
    page.close()


def test_every_chapter_and_module_has_a_page(pages):
    names = {path.relative_to(site).as_posix() for path in pages}
    for notebook in (root / "nbs").glob("*.ipynb"): assert f"{notebook.stem}.html" in names
    for module in (root / "lewm_nb").rglob("[a-z]*.py"):
        assert f"api/{'.'.join(module.relative_to(root / 'lewm_nb').with_suffix('').parts)}.html" in names


def test_sidebar_groups_chapters_by_part_and_modules_by_folder(pages):
    text = (site / "index.html").read_text(encoding="utf-8")
    tree = re.search(r'<div class="sidebar-tree">(.*?)</div>\s*</div>', text, re.S)[1]
    caption = r'<span class="caption-text">(.*?)</span>'
    groups = {name: re.findall(r'toctree-l1[^>]*>\s*<a[^>]*href="([^"]+)"', inside)
              for name, inside in re.findall(caption + r"(.*?)(?=<span class=.caption-text|$)", tree, re.S)}
    expected = {name: [f"{c.path.stem}.html" for c in inside] for name, _, inside in parts(chapters())}
    library = groups.pop("The library")
    assert groups == expected and list(groups) == list(expected)
    folders = [f"api/{p.parent.name}.html" for p in sorted((root / "lewm_nb").glob("*/__init__.py"))]
    assert library[0] == "api/index.html" and sorted(library[1:]) == folders


def test_a_module_of_several_chapters_names_them_all(pages):
    book = chapters()
    for module in {module for c in book for module in c.exports}:
        text = (site / f"api/{module}.html").read_text(encoding="utf-8")
        sentence = text.split("Explained and tested in")[1].split("</p>")[0]
        where = [c.path.stem for c in book if module in c.exports]
        assert re.findall(r'href="../(\w+)\.html"', sentence) == where


def test_no_link_or_anchor_is_broken(pages):
    for path, reader in pages.items():
        for link in reader.links:
            if re.match(r"[a-z]+:", link) or not link: continue
            file, anchor = urldefrag(unquote(link))
            target = (path.parent / file.split("?")[0]).resolve() if file else path
            if target.is_dir(): target /= "index.html"
            assert target.exists(), f"{path.name}: {link}"
            if target in pages: assert anchor in pages[target].anchors or anchor == "", f"{path.name}: {link}"


def test_every_picture_is_described(pages):
    for path, reader in pages.items():
        for picture in reader.pictures:
            assert picture.get("alt", "").strip(), f"{path.name}: {str(picture)[:80]}"


def test_pages_ask_no_other_host_and_raise_no_error(pages, page, address):
    for path in pages:
        page.goto(address + path.relative_to(site).as_posix())
        page.wait_for_load_state("networkidle")
        assert page.asked_elsewhere == [] and page.complaints == [], path.name


def test_no_page_scrolls_sideways_on_a_phone(pages, page, address):
    page.set_viewport_size({"width": 390, "height": 844})
    for path in pages:
        page.goto(address + path.relative_to(site).as_posix())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path.name


def test_formulas_are_typeset(page, address):
    page.goto(address + "11_sigreg.html")
    page.wait_for_selector("mjx-container")
    assert page.locator("mjx-merror").count() == 0
    assert page.locator("article p", has_text="$").count() == 0


SHOWN = "film => [...film.querySelectorAll('img')].filter(i => i.offsetParent).map(i => i.src)"


def test_sliders_change_their_pictures(pages, page, address):
    films = [path for path in pages if 'class="film"' in path.read_text(encoding="utf-8")]
    assert len(films) >= 10
    for path in films:
        page.goto(address + path.relative_to(site).as_posix())
        for film in page.locator("div.film").all():
            def shown(): return film.evaluate(SHOWN)
            before, slider = shown(), film.locator("input[type=range]")
            slider.focus()
            slider.press("End" if slider.input_value() != slider.get_attribute("max") else "Home")
            assert len(before) == len(shown()) == 1 and shown() != before, path.name


@pytest.mark.parametrize("how", ["http", "file"])
def test_search_finds(page, address, how):
    page.goto((address if how == "http" else site.as_uri() + "/") + "search.html?q=Epps-Pulley")
    page.wait_for_selector("#search-results li a")
    assert any("11_sigreg" in a.get_attribute("href") for a in page.locator("#search-results li a").all())


def test_from_home_to_a_chapter_its_library_page_and_back(page, address):
    page.goto(address)
    assert page.locator("div.film").first.bounding_box()["y"] < 900  # a film of a plan on the first screen
    page.locator(".sidebar-tree a", has_text="Why does predicting").click()
    page.locator("p.where a", has_text="API of").click()
    page.wait_for_url("**/api/collapse.html")
    page.locator("article a", has_text="Why does predicting").first.click()
    page.locator("article a code", has_text="effective_rank").first.click()
    page.wait_for_url("**/api/collapse.html#*")
    page.locator(".sidebar-brand").first.click()
    page.wait_for_url("**/index.html")
    page.goto(address + "27_train.html")
    page.locator("a.next-page").click()
    page.wait_for_url("**/28_sanity.html")


def test_the_picture_is_seen_and_its_code_is_folded(page, address):
    page.goto(address + "02_words.html")
    cell = page.locator("div.cell.tag_fold").first
    assert cell.locator("img").bounding_box()["y"] < 900 and not cell.locator("div.cell_input").is_visible()
    cell.locator("summary").click()
    assert cell.locator("div.cell_input").is_visible()


def test_whoever_is_led_into_a_folded_section_finds_it_open(page, address):
    page.goto(address + "02_words.html")
    folded = page.locator("details.maintainers")
    assert folded.count() == 1 and folded.get_attribute("open") is None
    link = page.locator("article h2", has_text="For maintainers").locator("a.headerlink")
    link.click(force=True)
    page.wait_for_selector("details.maintainers[open]")
    folded.locator("summary").click()
    link.click(force=True)                                               # the same address again
    page.wait_for_selector("details.maintainers[open]")
    page.goto(address + "search.html?q=alphabetical")
    page.locator("#search-results li a", has_text="Symbols and words").first.click()
    page.wait_for_selector("details.maintainers[open] .highlighted")
    assert page.complaints == []
