"""The reference: all that is public is there, and docstrings are read as they are meant."""

import re
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from inspect import isfunction
from pathlib import Path
from types import ModuleType

import pytest

import functional_dl as fdl
from functional_dl import compat, distributed, export

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def documented() -> Iterator[tuple[str, str]]:
    """The module and the name of all that has an entry."""
    for page in REFERENCE.glob("*.md"):
        module = ""
        for kind, name in re.findall(r"^\.\. ([\w:]+):: ([\w.]+)", page.read_text(), re.MULTILINE):
            if kind == "currentmodule":
                module = name
            elif kind != "automodule":
                yield module, name


@pytest.mark.parametrize("module", [fdl, compat], ids=lambda module: module.__name__)
def test_all_that_is_public_is_there(module: ModuleType) -> None:
    of_module = {n for m, n in documented() if m == module.__name__}
    if module is fdl:
        of_module |= {n for m, n in documented() if m == "functional_dl.contract"}
    assert of_module == {*module.__all__}


@pytest.mark.parametrize("module", [export, distributed], ids=lambda module: module.__name__)
def test_all_public_functions_of_a_module_of_its_own_are_there(module: ModuleType) -> None:
    own = {n for n, f in vars(module).items() if isfunction(f) and f.__module__ == module.__name__}
    public = {n for n in own if not n.startswith("_")}
    assert {n for m, n in documented() if m == module.__name__} == public


def test_all_that_is_there_exists_and_comes_once_in_its_module() -> None:
    for module, name in documented():
        assert hasattr(import_module(module), name)
    assert {*Counter(documented()).values()} == {1}


def test_formulas_are_literal_and_backticks_are_code_or_links(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(REFERENCE)
    docstrings = import_module("docstrings")
    lines = [
        "Y = 2 |X|, as `trace` and `vjp`.",
        "",
        "Backward:",
        "",
        "    ∇X = 2 * ∇Y",
        "",
        "Args:",
        '    *layers: "mean", of clip_.',
        "",
        "Returns:",
        '    A layer with {"weight": (A,)}.',
    ]
    docstrings.as_rst(None, "function", "f", None, None, lines)
    assert lines == [
        r"Y = 2 \|X\|, as :py:obj:`~functional_dl.trace` and ``vjp``.",
        "",
        "Backward:",
        "",
        ".. code-block:: text",
        "",
        "    ∇X = 2 * ∇Y",
        "",
        "Args:",
        r'    \*layers: ``"mean"``, of clip\_.',
        "",
        "Returns:",
        '    : A layer with {``"weight"``: (A,)}.',
    ]
