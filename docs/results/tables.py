"""The tables of these pages, from the files in data/ that the scripts write."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

DATA = Path(__file__).parent / "data"


class Markdown(str):
    """A text that a notebook shows as what it describes."""

    def _repr_markdown_(self) -> str:
        return self


def load(name: str) -> dict[str, Any]:
    """What a script has written, or nothing if there is no such file."""
    file = DATA / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else {}


def table(name: str, part: str, command: str) -> Markdown:
    """A part of what a script has written, with the machine that it was measured on.

    Args:
        name: The file's, without its ending.
        part: The table's key.
        command: What measures it, to be said where nothing has been measured yet.
    """
    report = load(name)
    if part not in report:
        return Markdown(f"*Not measured yet on this machine: `{command}`.*")
    return Markdown(f"{markdown(report[part])}\n\n{machine(report['machine'])}")


def section(name: str) -> Markdown:
    """A section of bench, with who is ahead of all of ours."""
    report = load("bench").get(name)
    if not report:
        return Markdown(f'*Not measured yet on this machine: `make bench ARGS="--only {name}"`.*')
    parts = [report["title"], markdown(report["rows"]), *ahead(report["entries"])]
    return Markdown("\n\n".join([*parts, machine(report["machine"])]))


def markdown(rows: list[dict[str, str]]) -> str:
    """The rows, whose keys are the heads of the columns."""
    heads = [*dict.fromkeys(head for row in rows for head in row)]
    cells = [heads, ["---"] * len(heads), *([row.get(h, "") for h in heads] for row in rows)]
    return "\n".join(f"| {' | '.join(map(escaped, line))} |" for line in cells)


def escaped(cell: Any) -> str:
    """A cell's text, in which nothing is markup."""
    return "".join(f"\\{c}" if c in "\\|*_`<[$" else c for c in str(cell))


def machine(on: dict[str, Any]) -> str:
    """Where and when it was measured."""
    return f"*{escaped(', '.join(f'{k} {v}' for k, v in on.items()))}.*"


def ahead(entries: list[dict[str, Any]]) -> list[str]:
    """A sentence for each case in which somebody takes less than the best of ours."""
    said: list[str] = []
    for case in {json.dumps(e["case"]): e["case"] for e in entries}.values():
        measured = [e for e in entries if e["case"] == case and e["values"]]
        best = {e["who"]: median(e["values"]) for e in measured}
        ours = [e["who"] for e in measured if e["whose"] == "functional_dl"]
        first = min(ours, key=best.__getitem__, default=None)
        quicker = [w for w in best if first and w not in ours and best[w] < best[first]]
        if quicker:
            about = ", ".join(f"{k} {v}" for k, v in case.items())
            names = "; ".join(f"{w} ({best[first] / best[w]:.2f} ×)" for w in quicker)
            said.append(f"**Ahead of all of ours** ({about}; the best is {first}): {names}.")
    return said
