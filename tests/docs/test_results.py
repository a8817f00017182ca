"""The results: tables are made of what the scripts have written, and say who is ahead."""

import json
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

RESULTS = Path(__file__).parents[2] / "docs" / "results"
PAGES = {page.stem: page.read_text() for page in RESULTS.glob("*.md")}
SHOWN = {
    pair
    for page in PAGES.values()
    for pair in [
        *re.findall(r'table\("([\w-]+)", "([^"]+)"', page),
        *(("bench", section) for section in re.findall(r'section\("([\w-]+)"\)', page)),
    ]
}


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The pages' module, with its data in a folder of the test's own."""
    monkeypatch.syspath_prepend(RESULTS)
    module = import_module("tables")
    monkeypatch.setattr(module, "DATA", tmp_path)
    return module


def test_what_is_measured_has_a_machine_and_a_date_and_is_what_a_page_shows() -> None:
    shown = {name for name, _ in SHOWN}
    for file in RESULTS.glob("data/*.json"):
        assert file.stem in shown
        report = json.loads(file.read_text())
        parts = {part for name, part in SHOWN if name == file.stem}
        if file.stem == "bench":
            assert report.keys() - {"options"} <= parts
            machines = [report[part]["machine"] for part in report if part != "options"]
        else:
            assert parts <= report.keys()
            machines = [report["machine"]]
        for machine in machines:
            assert {"CPU", "torch", "functional_dl", "date"} <= machine.keys()


def test_each_section_of_bench_is_shown() -> None:
    sections = {name for file, name in SHOWN if file == "bench"}
    assert sections == {*import_module("bench").SECTIONS}


def test_no_page_of_results_holds_a_table_of_numbers() -> None:
    for page in PAGES.values():
        assert not re.search(r"^\|.*\d\.\d+.*\|$", page, re.MULTILINE)


def test_a_table_has_its_rows_its_machine_and_no_markup(tables: ModuleType, tmp_path: Path) -> None:
    rows = [{"of": "a|b", "off": "1e-07"}, {"of": "p * q_"}]
    report = {"machine": {"CPU": "C", "date": "2026-01-02"}, "rows": rows}
    (tmp_path / "some.json").write_text(json.dumps(report))
    assert tables.table("some", "rows", "make some").splitlines() == [
        "| of | off |",
        "| --- | --- |",
        "| a\\|b | 1e-07 |",
        "| p \\* q\\_ |  |",
        "",
        "*CPU C, date 2026-01-02.*",
    ]


def test_what_is_not_measured_says_how_it_is(tables: ModuleType) -> None:
    assert "Not measured yet on this machine: `make some`" in tables.table("some", "x", "make some")
    assert '`make bench ARGS="--only step"`' in tables.section("step")


def test_who_is_ahead_of_all_of_ours_is_said(tables: ModuleType) -> None:
    def entry(case: str, who: str, whose: str, *values: float) -> dict[str, object]:
        return {"case": {"network": case}, "who": who, "whose": whose, "values": values}

    entries = [
        entry("ReLU", "PyTorch", "PyTorch", 4.0, 5.0, 9.0),
        entry("ReLU", "core", "functional_dl", 3.0),
        entry("ReLU", "compiled", "functional_dl", 2.0, 2.0, 8.0),
        entry("ReLU", "JAX", "others", 1.0),
        entry("ReLU", "wrong", "others"),
        entry("Tanh", "JAX", "others", 2.0),
        entry("Tanh", "core", "functional_dl", 1.0),
        entry("GELU", "JAX", "others", 2.0),
    ]
    said = "**Ahead of all of ours** (network ReLU; the best is compiled): JAX (2.00 ×)."
    assert tables.ahead(entries) == [said]
