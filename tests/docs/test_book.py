"""The book's exercises: what is marked wrong is wrong as its page says, and its solution right.

A page's first cell imports; its other cells tagged "hole" and "solution" are run after that one.
"""

import re
from itertools import pairwise
from pathlib import Path

import pytest

BOOK = Path(__file__).parents[2] / "docs" / "book"
PAGES = {page.stem: page.read_text() for page in sorted(BOOK.glob("*.md"))}
EXERCISES = {
    f"{page}: {title}": (text, body)
    for page, text in PAGES.items()
    for title, body in re.findall(r"^## Exercise: (.*)\n((?s:.*?))(?=^## |\Z)", text, re.MULTILINE)
}


def cells(text: str, tag: str = "") -> list[str]:
    """The code of the cells with this tag."""
    found = re.findall(
        r"^```\{code-cell\} python\n((?:---\n(?s:.*?)---|:tags:.*)\n)?((?s:.*?))^```$",
        text,
        re.MULTILINE,
    )
    return [code for options, code in found if tag in options]


def run(*codes: str) -> None:
    """Runs cells one after the other, as a notebook does."""
    names = {"__name__": "book"}
    for code in codes:
        exec(compile(code, "book", "exec"), names)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_hole_fails_with_the_message_that_the_page_quotes_and_the_solution_passes(
    exercise: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page, body = EXERCISES[exercise]
    (hole,), (solution,) = cells(body, "hole"), cells(body, "solution")
    (quoted,) = re.findall(r"`(check_vjp: [^`]*)`", body)
    imports = cells(page)[0]
    run(imports, hole)
    assert capsys.readouterr().out.startswith(quoted)
    run(imports, hole, solution)


def test_every_chapter_has_an_exercise_and_each_follows_the_one_before() -> None:
    assert {exercise.split(":")[0] for exercise in EXERCISES} == {*PAGES}
    numbers = [int(page[:2]) for page in PAGES]
    assert all(b == a + 1 for a, b in pairwise([0, *numbers]))


def test_what_a_page_includes_and_refers_to_is_there() -> None:
    for page, text in PAGES.items():
        files = re.findall(r"^```\{literalinclude\} (.*)$", text, re.MULTILINE)
        files += re.findall(r"\]\(([^)#:]+)\)", text)
        for file in files:
            assert (BOOK / file).exists(), (page, file)
