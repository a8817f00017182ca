"""mutants: what it changes, and what its tests notice."""

import subprocess
import sys
from pathlib import Path

import pytest

from mutation.changed import undecorated

RUN = """
import sys
from pathlib import Path
from mutation import tested
import mutants
tested.collect.__defaults__ = (["tests/core/test_clipping.py"],)
folder = Path(sys.argv[1])
mutants.PROJECT, mutants.RESULTS = folder / "project", folder / "results.jsonl"
mutants.CALLED = folder / "called.json"
mutants.main(["functional_dl.optimizers._clipping.*"])
"""


def test_a_decorator_is_called_below_its_function() -> None:
    source = "@layer\ndef f():\n    return 1\n\n\n@overload\ndef g(): ...\n"
    expected = "def f():\n    return 1\nf = layer(f)\n\n\n@overload\ndef g(): ...\n"
    assert undecorated(source) == expected


@pytest.mark.slow
def test_it_shows_what_no_test_notices_and_counts_the_rest_once(tmp_path: Path) -> None:
    def run() -> str:
        command = [sys.executable, "-c", RUN, str(tmp_path)]
        scripts = Path(__file__).parents[2] / "scripts"
        return subprocess.run(
            command, cwd=scripts, check=True, capture_output=True, text=True, timeout=600
        ).stdout

    printed = run()
    file, total = (line.split("|") for line in printed.splitlines()[-2:])
    assert file[1].strip() == "functional_dl.optimizers._clipping"
    assert file[2:] == total[2:]
    count, noticed = int(total[2]), int(total[3])
    assert 30 < count > noticed > 0.8 * count
    assert printed.count("functional_dl.optimizers._clipping.x_clip_norm") == count - noticed
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) < 2 * count
    assert run().splitlines()[2:] == printed.splitlines()[2:]
