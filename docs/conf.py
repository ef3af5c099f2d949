"""Sphinx configuration of the site; docs/build.py writes the sources and calls Sphinx"""
from docutils import nodes

project = "lewm_nb"
author = "The lewm_nb authors"
html_title = "lewm_nb"
root_doc = "index"
extensions = ["myst_nb", "sphinx.ext.mathjax"]
nb_execution_mode = "off"                       # the notebooks are committed with their outputs
nb_render_markdown_format = "myst"
nb_code_prompt_show = "imports"                 # a folded cell that is more than imports says `code`
nb_ipywidgets_js = {}                           # films move without a kernel and without a widget library
myst_enable_extensions = ["dollarmath", "amsmath", "attrs_block"]
myst_heading_anchors = 4
mathjax_path = "mathjax/tex-chtml.js"
html_theme = "furo"
html_static_path = ["../../static"]
html_extra_path = ["../extra"]
html_css_files = ["book.css"]
html_js_files = ["book.js"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
exclude_patterns = ["README.md"]
pygments_style, pygments_dark_style = "friendly", "native"


def fold_maintainers(app, doctree, name):
    "What is under `For maintainers` is a closed <details>; static/book.js opens it for a link or a search."
    for section in list(doctree.findall(nodes.section)):
        if section[0].astext() != "For maintainers": continue
        summary = "how this chapter is tested: bad input, mocks, command lines"
        opening = f'<details class="maintainers"><summary>{summary}</summary>'
        section.insert(1, nodes.raw("", opening, format="html"))
        section.append(nodes.raw("", "</details>", format="html"))


def setup(app): app.connect("doctree-resolved", fold_maintainers)
