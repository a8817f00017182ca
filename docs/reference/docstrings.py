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
        if new and new[-1] == "Returns:":  # what comes before a colon would be a type
            line = line.replace("    ", "    : ", 1)
        new.append(line if literal or section == "Example" else inline(line))
    lines[:] = new


def inline(line: str) -> str:
    """A line of text, in which only what stands in backticks or quotes is markup."""
    parts = re.split(r"""`([^`]*)`|("[^" ]*")""", line)
    parts[::3] = [re.sub(r"[\\*|]|(?<=\w)_(?!\w)", r"\\\g<0>", text) for text in parts[::3]]
    parts[1::3] = [code(text) if text else "" for text in parts[1::3]]
    parts[2::3] = [f"``{text}``" if text else "" for text in parts[2::3]]
    return "".join(parts)


def code(text: str) -> str:
    """A link to what is public, and else code."""
    if text in fdl.__all__:
        return f":py:obj:`~functional_dl.{text}`"
    return f":py:obj:`~{text}`" if text.startswith("functional_dl.") else f"``{text}``"


def signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, takes: str | None, gives: str | None
) -> tuple[str | None, str | None]:
    """Says what a decorated constructor gives."""
    return takes, MADE.get((gives or "").split(".")[-1], gives)


def configure(app: Sphinx, config: Config) -> None:
    """A section of our own; and defaults as they are written."""
    config.napoleon_custom_sections = ["Source"]
    config.autodoc_preserve_defaults = True


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds this to Sphinx."""
    app.connect("config-inited", configure)
    app.connect("autodoc-process-docstring", as_rst, priority=400)
    app.connect("autodoc-process-signature", signature)
    return {"parallel_read_safe": True}
