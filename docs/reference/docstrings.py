"""Has Sphinx read the library's docstrings as they are written: formulas, code and sections.

They are Google's style with Markdown's backticks. A block that is indented, such as a formula,
becomes a literal block; what stands in backticks or quotes becomes code, or a link if it is public;
and no other character is markup.
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

import functional_dl as fdl

SECTIONS = ("Args", "Attributes", "Example", "Raises", "Returns", "Source")
MADE = {"Maths": "Layer", "LossVjp": "Loss", "Rule": "Optimizer"}
"""What a decorated constructor returns, and what that is made of it."""


def as_rst(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Changes the lines of a docstring in place, before napoleon does."""
    new: list[str] = []
    section, literal = "", False
    for line in lines:
        indented = line.startswith("    ")
        if line and not indented:
            section = line[:-1] if line[:-1] in SECTIONS and line.endswith(":") else ""
        if indented and not section and not literal:
            new += [".. code-block:: text", ""]
        literal = (indented or (literal and not line)) and not section
        text = line if literal or section == "Example" else inline(line)
        if new[-1:] == ["Returns:"] or (what == "data" and not new):
            text = text.replace(text.lstrip(), f": {text.lstrip()}")  # it may have a colon itself
        new.append(text)
    lines[:] = new


def inline(line: str) -> str:
    """A line of text, in which only what stands in backticks or quotes is markup."""
    text, *others = re.split(r"""(`[^`]*`|"[^" ]*")""", line)
    new = escaped(text)
    for literal, text in zip(others[::2], others[1::2], strict=True):
        before = r"\ " if re.search(r"[\w=]$", new) else ""  # markup can't touch a word
        after = r"\ " if re.match(r"\w", text) else ""
        new += before + code(literal.strip("`")) + after + escaped(text)
    return new


def escaped(text: str) -> str:
    """The text, without any markup."""
    return re.sub(r"[\\*|]|(?<=\w)_(?!\w)", r"\\\g<0>", text)


def code(text: str) -> str:
    """A link to what is public, and else code."""
    if text in fdl.__all__:
        return f":py:obj:`~functional_dl.{text}`"
    is_path = re.fullmatch(r"functional_dl(\.[a-zA-Z]\w*)+", text)
    return f":py:obj:`~{text}`" if is_path else f"``{text}``"


def signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, takes: str | None, gives: str | None
) -> tuple[str | None, str | None]:
    """Says what a decorated constructor gives."""
    return takes, MADE.get((gives or "").split(".")[-1], gives)


def configure(app: Sphinx, config: Config) -> None:
    """Sets what these docstrings ask for."""
    config.napoleon_custom_sections = ["Source"]
    config.napoleon_attr_annotations = False  # types of attributes, which the signature has
    config.autodoc_preserve_defaults = True
    config.add_module_names = False  # a page says it once, and a phone is narrow
    config.nitpick_ignore_regex = [("py:class", ".*")]  # types of others, in signatures


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds this to Sphinx."""
    app.connect("config-inited", configure)
    app.connect("autodoc-process-docstring", as_rst, priority=400)
    app.connect("autodoc-process-signature", signature)
    return {"parallel_read_safe": True}
