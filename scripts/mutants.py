"""Changes functional_dl in every small way, and lists what no test notices.

A mutant is tested by tests that call its function: those first that have noticed others like it,
then a case of each test, the quickest first, then more cases. What survives is tested for longer,
by all that take little; where collecting tests calls its function, they are collected with it in
place. What has not changed is not tested again.
"""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable
from fnmatch import fnmatch
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cli
from mutation.changed import ROOT, difference, function_of, write
from mutation.tested import COLLECTING, Items, Loop, collect, forked, use

FOLDER = Path("mutants").resolve()
PROJECT, RESULTS, CALLED = FOLDER / "project", FOLDER / "results.jsonl", FOLDER / "called.json"
SECONDS = 10, 20
"""How long the tests of a mutant may take at first, and in the end."""


class Tests:
    """Which tests call a function, and what they have noticed.

    Args:
        stage: In the first, a case of each test comes before the second of any; else the quickest.

    Attributes:
        seconds: How long each test takes.
    """

    def __init__(self, stage: int) -> None:
        called = json.loads(CALLED.read_text())
        del called[COLLECTING]
        self.seconds = {test: seconds for test, (seconds, _) in called.items()}
        self._calling: dict[str, list[str]] = defaultdict(list)
        self._noticed: dict[str, Counter[str]] = defaultdict(Counter)
        cases: Counter[str] = Counter()
        ranks: dict[str, tuple[int, float]] = {}
        for test in sorted(self.seconds, key=lambda test: self.seconds[test]):
            cases[name := test.partition("[")[0]] += 1
            ranks[test] = cases[name], self.seconds[test]
        for test in sorted(ranks, key=lambda test: ranks[test][stage:]):
            for function in called[test][1]:
                self._calling[function].append(test)
        for found in written():
            self.note(found["mutant"], found["by"])

    def of(self, mutant: str, seconds: float) -> list[str]:
        """Those that are to be run, in this order, so many seconds long."""
        calling = dict.fromkeys(self._calling[function_of(mutant)])
        chosen: dict[str, None] = {}
        for noticed in self._counts(mutant):
            chosen |= dict.fromkeys(t for t, _ in noticed.most_common(40) if t in calling)
        for test in calling:
            seconds -= self.seconds[test]
            if seconds < 0:
                break
            chosen[test] = None
        return [*chosen]

    def note(self, mutant: str, test: str) -> None:
        """Notes that a test has noticed a mutant."""
        if test in self.seconds:  # else it took too long, say
            for noticed in self._counts(mutant):
                noticed[test] += 1

    def _counts(self, mutant: str) -> list[Counter[str]]:
        """How many mutants each test has noticed of this function, and of its file."""
        function = function_of(mutant)
        return [self._noticed[function], self._noticed[function.rpartition(".")[0]]]


def note_called(_: dict[str, str]) -> None:
    """Writes which functions each test calls, and which collecting them has called."""

    def loop(loop: Loop, items: Items) -> None:
        said = forked(lambda: CALLED.write_text(json.dumps(loop.called(items))), seconds=3600)
        if not said.isdigit():
            raise SystemExit(f"mutants: expected all tests to pass unchanged, got {said}")

    use("stats")
    collect(loop)


def test_each(
    mutants: dict[str, str], stage: int, first_failure: Callable[[list[str]], str]
) -> None:
    """Writes down which test notices each mutant, if one does."""
    tests = Tests(stage)
    for mutant, of in mutants.items():
        chosen = tests.of(mutant, SECONDS[stage])
        taken = sum(tests.seconds[test] for test in chosen)

        def work(mutant: str = mutant, chosen: list[str] = chosen) -> str:
            use(mutant)
            return first_failure(chosen)

        by = forked(work, 20 + 3 * taken)
        tests.note(mutant, by)
        with RESULTS.open("a") as file:
            file.write(json.dumps({"mutant": mutant, "of": of, "stage": stage, "by": by}) + "\n")


def first(mutants: dict[str, str], stage: int = 0) -> None:
    """Tests mutants by tests that are collected once."""

    def loop(loop: Loop, items: Items) -> None:
        test_each(mutants, stage, lambda tests: loop.first_failure([items[t] for t in tests]))

    collect(loop)


def second(mutants: dict[str, str]) -> None:
    """Tests them for longer; those that collecting calls, by tests that are collected for each."""

    def first_failure(tests: list[str]) -> str:
        found = ["none could be collected"]

        def loop(loop: Loop, items: Items) -> None:
            found.append(loop.first_failure([items[t] for t in tests if t in items]))

        collect(loop, sorted({test.partition("::")[0] for test in tests}))
        return found[-1]

    by_collecting = {*json.loads(CALLED.read_text())[COLLECTING][1]}
    early = {m: of for m, of in mutants.items() if function_of(m) in by_collecting}
    first({m: of for m, of in mutants.items() if m not in early}, 1)
    test_each(early, 1, first_failure)


def written() -> list[dict[str, Any]]:
    """All that has been written down."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    return [json.loads(line) for line in lines]


def results(mutants: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What has come of those mutants that are as they were."""
    found = {of["mutant"]: of for of in written()}
    return {m: of for m, of in found.items() if of["of"] == mutants.get(m)}


def in_processes(work: Callable[[dict[str, str]], None], mutants: dict[str, str]) -> None:
    """Shares mutants out, as many at a time as there are CPUs."""
    shares = [dict([*mutants.items()][i :: len(cli.CPUS)]) for i in range(len(cli.CPUS))]
    fork = get_context("fork").Process
    processes = [fork(target=work, args=(share,)) for share in shares if share]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def main(args: list[str] | None = None) -> None:
    """Tests the mutants that are asked for, and prints a table and what survives."""
    parser = cli.parser(str(__doc__).splitlines()[0])
    parser.add_argument("pattern", nargs="?", default="*", help="such as functional_dl.trace.*")
    options = parser.parse_args(args)
    os.chdir(ROOT)  # where mutmut finds its settings
    mutants = {m: of for m, of in write(PROJECT).items() if fnmatch(m, options.pattern)}
    os.chdir(PROJECT)
    sources = [f for folder in ("functional_dl", "tests") for f in (ROOT / folder).rglob("*.py")]
    if not CALLED.exists() or CALLED.stat().st_mtime < max(f.stat().st_mtime for f in sources):
        in_processes(note_called, {"": ""})
    known = results(mutants)
    in_processes(first, {m: of for m, of in mutants.items() if m not in known})
    known = results(mutants)
    if left := len(mutants.keys() - known.keys()):
        raise SystemExit(f"mutants: expected all to be tested, got {left} that were not")
    again = [m for m, found in known.items() if not found["by"] and found["stage"] == 0]
    in_processes(second, {m: mutants[m] for m in again})
    known = results(mutants)
    survivors = [m for m, found in known.items() if not found["by"]]
    for mutant in survivors:
        print(f"{mutant}\n{difference(mutant, PROJECT)}\n")
    cli.show({"Mutants": table([*mutants], survivors)}, options.format)


def table(mutants: list[str], survivors: list[str]) -> list[dict[str, str]]:
    """By file, how many there are, and how many of them tests notice."""
    of, lived = (Counter(m.rpartition(".")[0] for m in each) for each in (mutants, survivors))
    rows = {file: (of[file], of[file] - lived[file]) for file in sorted(of)}
    rows["all"] = len(mutants), len(mutants) - len(survivors)
    return [
        {"file": file, "mutants": f"{n}", "noticed": f"{noticed}", "%": f"{100 * noticed / n:.1f}"}
        for file, (n, noticed) in rows.items()
    ]


if __name__ == "__main__":
    main()
