"""mutants: what it changes, and what its tests notice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mutation.changed import difference, undecorated

RUN = """
import sys
from pathlib import Path
from mutation import changed, tested
import mutants
changed.CHANGED = "_clipping.py"
tested.collect.__defaults__ = (["tests/core/test_clipping.py"],)
folder = Path(sys.argv[1])
mutants.PROJECT, mutants.RESULTS = folder / "project", folder / "results.jsonl"
mutants.CALLED, mutants.RECORD = folder / "called.json", folder / "record.json"
mutants.main(["functional_dl.optimizers._clipping.*"])
"""


def test_a_decorator_is_called_below_its_function() -> None:
    source = "@layer\ndef f():\n    return 1\n\n\n@overload\ndef g(): ...\n"
    expected = "def f():\n    return 1\nf = layer(f)\n\n\n@overload\ndef g(): ...\n"
    assert undecorated(source) == expected


def done(folder: Path) -> list[str]:
    lines = (folder / "results.jsonl").read_text().splitlines()
    return [json.loads(line)["mutant"] for line in lines]


def test_contributing_says_how_many_are_noticed() -> None:
    root = Path(__file__).parents[2]
    record = json.loads((root / "scripts/mutation/known.json").read_text())
    noticed, survived = (sum(len(of[i]) for of in record.values()) for i in (1, 2))
    assert noticed > 0.95 * (noticed + survived)
    said = f"Of {noticed + survived:,} mutants, tests notice {noticed:,}."
    assert said in (root / "CONTRIBUTING.md").read_text()


@pytest.mark.slow
def test_it_shows_what_no_test_notices_and_counts_the_rest(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN, str(tmp_path)]
    scripts = Path(__file__).parents[2] / "scripts"
    ended = subprocess.run(
        command, cwd=scripts, check=True, capture_output=True, text=True, timeout=600
    )
    printed = ended.stdout
    file, total = (line.split("|") for line in printed.splitlines()[-2:])
    assert file[1].strip() == "functional_dl.optimizers._clipping"
    assert file[2:] == total[2:]
    count, noticed = int(total[2]), int(total[3])
    assert count >= noticed > 0.9 * count > 30
    assert printed.count("functional_dl.optimizers._clipping.x_clip_norm") == count - noticed
    assert count <= len(done(tmp_path)) < 2 * count
    changes = {difference(mutant, tmp_path / "project") for mutant in done(tmp_path)}
    assert len(changes) > 0.9 * count
    assert all(change[0] == "-" and "\n+" in change for change in changes)
