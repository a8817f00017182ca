"""How the site is built, from pages of which each is executed; `make docs` does it."""

import html
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from jupyter_client.manager import KernelManager
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator

ROOT = Path(__file__).parent.parent
PLAYGROUND = ROOT / "playground" / "dist"
# For autodoc, and for the kernels that execute the pages.
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]
os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:2])
sys.path.append(str(ROOT / "docs" / "reference"))

KernelManager.transport_encryption.default_value = "required"  # else each kernel warns

project = "functional_dl"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "docstrings"]
exclude_patterns = ["_build"]

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 120
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3

html_theme = "sphinx_book_theme"
html_title = "functional_dl"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/favicon.svg"  # nabla
html_copy_source = False  # a page is downloaded as the notebook that was executed
html_context = {"default_mode": "auto"}
html_sidebars = {"**": ["sbt-sidebar-nav.html"]}
html_theme_options = {
    "home_page_in_toc": True,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "navbar_persistent": [],  # a second search
    "footer_content_items": [],
}


def write_math(writer: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    """Writes a formula as MathML, which browsers draw by themselves."""
    if isinstance(node, nodes.math_block):
        formula = convert(node.astext(), display="block")
        writer.body.append(f'<div class="formula" tabindex="0">{formula}</div>')
    else:
        writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def offer_notebook(app: Sphinx, page: str, source: list[str]) -> None:
    """Ends each page that is executed with a link to its notebook."""
    if "{code-cell}" in source[0]:
        source[0] += f"\n\nThis page as a notebook: {{nb-download}}`{page.split('/')[-1]}.ipynb`\n"


def name_folds(app: Sphinx, page: str, template: str, context: dict[str, Any], _: object) -> None:
    """Leaves what folds the name that is to be read on it."""
    if "body" in context:
        context["body"] = context["body"].replace(' aria-label="Toggle hidden content"', "")


class Playground(SphinxDirective):
    """Shows the page that trains, in the state of a link to it; unless it is built, its picture."""

    required_arguments = 1  # the link's query and hash

    def run(self) -> list[nodes.Node]:
        """Returns the nodes."""
        if not PLAYGROUND.exists():
            alt = "The page that `make page` serves, which needs Node"
            return [nodes.image(uri="/playground.png", alt=alt)]
        address = html.escape(f"../playground/index.html{self.arguments[0]}")
        frame = (
            f'<iframe class="playground" loading="lazy" title="A page that trains" src="{address}">'
        )
        return [nodes.raw("", f"{frame}</iframe>", format="html")]


def copy_playground(app: Sphinx, error: Exception | None) -> None:
    """Puts the page that trains beside those of the book."""
    if PLAYGROUND.exists():
        shutil.copytree(PLAYGROUND, app.outdir / "playground", dirs_exist_ok=True)


def setup(app: Sphinx) -> None:
    """Adds these to Sphinx."""
    app.add_directive("playground", Playground)
    app.connect("build-finished", copy_playground)
    app.add_html_math_renderer("mathml", (write_math, None), (write_math, None))
    app.connect("html-page-context", name_folds)
    app.connect("source-read", offer_notebook)


html_math_renderer = "mathml"
