"""Changes functional_dl in every small way, and lists what no test notices.

A mutant is tested by tests that call its function: those first that have noticed others like it,
then a case of each test, the quickest first, then all that take little. Where collecting tests
calls its function and none notices it, they are collected anew, with it in place. What has not
changed is not tested again.
"""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable
from fnmatch import fnmatch
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import cli
from mutation.changed import ROOT, difference, function_of, write
from mutation.tested import COLLECTING, Items, Loop, collect, forked, use

FOLDER = Path("mutants").resolve()
PROJECT, RESULTS, CALLED = FOLDER / "project", FOLDER / "results.jsonl", FOLDER / "called.json"
RECORD = Path("scripts/mutation/known.json").resolve()
SOME = 1_000
"""How many mutants are tested before what is known is recorded."""


class Tests:
    """Which tests call a function, and what they have noticed.

    Attributes:
        seconds: How long each test takes.
    """

    def __init__(self) -> None:
        called = json.loads(CALLED.read_text())
        del called[COLLECTING]
        self.seconds = {test: seconds for test, (seconds, _) in called.items()}
        self._calling: dict[str, list[str]] = defaultdict(list)
        self._noticed: dict[str, Counter[str]] = defaultdict(Counter)
        for test in sorted(self.seconds, key=lambda test: self.seconds[test]):
            for function in called[test][1]:
                self._calling[function].append(test)
        for found in written():
            self.note(found["mutant"], found["by"])

    def of(self, mutant: str) -> list[str]:
        """Those that are to be run, in this order."""
        quickest = self._calling[function_of(mutant)]
        cases: Counter[str] = Counter()
        ranks: dict[str, int] = {}
        for test in quickest:
            cases[name := test.partition("[")[0]] += 1
            ranks[test] = cases[name]
        chosen: dict[str, None] = {}
        for noticed in self._counts(mutant):
            chosen |= dict.fromkeys(t for t, _ in noticed.most_common(40) if t in ranks)
        for tests, seconds in (sorted(ranks, key=lambda t: ranks[t]), 10.0), (quickest, 20.0):
            for test in tests:
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
        said.append(forked(lambda: CALLED.write_text(json.dumps(loop.called(items))), seconds=3600))

    said: list[str] = []
    use("stats")
    collect(loop)
    if not said[-1].isdigit():  # raised here, since pytest would go on
        raise SystemExit(f"mutants: expected all tests to pass unchanged, got {said[-1]}")


def test_each(
    mutants: dict[str, str], is_last: bool, first_failure: Callable[[list[str]], str]
) -> None:
    """Writes down which test notices each mutant, if one does, and whether more are to come."""
    tests = Tests()
    for mutant, of in mutants.items():
        chosen = tests.of(mutant)
        taken = sum(tests.seconds[test] for test in chosen)

        def work(mutant: str = mutant, chosen: list[str] = chosen) -> str:
            use(mutant)
            return first_failure(chosen)

        by = forked(work, 20 + 3 * taken)
        tests.note(mutant, by)
        found = {"mutant": mutant, "of": of, "by": by, "last": is_last}
        with RESULTS.open("a") as file:
            file.write(json.dumps(found) + "\n")


def collected_once(mutants: dict[str, str]) -> None:
    """Tests mutants by tests that are collected with none in place."""
    early = called_early()

    def loop(loop: Loop, items: Items) -> None:
        def first_failure(tests: list[str]) -> str:
            return loop.first_failure([items[test] for test in tests])

        for is_last in True, False:
            share = {m: of for m, of in mutants.items() if (function_of(m) in early) != is_last}
            test_each(share, is_last, first_failure)

    collect(loop)


def collected_anew(mutants: dict[str, str]) -> None:
    """Tests mutants by tests that are collected with each in place."""

    def first_failure(tests: list[str]) -> str:
        found = ["none could be collected"]

        def loop(loop: Loop, items: Items) -> None:
            found.append(loop.first_failure([items[t] for t in tests if t in items]))

        collect(loop, sorted({test.partition("::")[0] for test in tests}))
        return found[-1]

    test_each(mutants, True, first_failure)


def called_early() -> set[str]:
    """The functions that are called where tests are collected."""
    return {*json.loads(CALLED.read_text())[COLLECTING][1]}


def written() -> list[dict[str, Any]]:
    """All that has been written down."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    return [json.loads(line) for line in lines]


def known(mutants: dict[str, str]) -> dict[str, bool]:
    """Whether tests notice each mutant that is as it was when it was tested."""
    found: dict[str, tuple[str, bool]] = {}
    recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for function, (of, *numbers) in recorded.items():
        for is_noticed, each in zip((True, False), numbers, strict=True):
            found |= {f"{function}__mutmut_{n}": (of, is_noticed) for n in each}
    for line in written():
        if line["by"] or line["last"]:
            found[line["mutant"]] = line["of"], bool(line["by"])
    return {m: found[m][1] for m, of in mutants.items() if m in found and found[m][0] == of}


def record(mutants: dict[str, str]) -> None:
    """Writes by function what is known: its hash, which mutants are noticed, and which are not."""
    by_function: dict[str, dict[bool, list[int]]] = {}
    for mutant, is_noticed in known(mutants).items():
        function, _, number = mutant.partition("__mutmut_")
        numbers = by_function.setdefault(function, {True: [], False: []})
        numbers[is_noticed].append(int(number))
    hashes = {function_of(mutant): of for mutant, of in mutants.items()}
    lines = [
        f"{json.dumps(f)}: {json.dumps([hashes[f], *numbers.values()])}"
        for f, numbers in by_function.items()
    ]
    RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def in_processes(work: Callable[[dict[str, str]], None], mutants: dict[str, str]) -> None:
    """Shares mutants out, as many at a time as there are CPUs."""
    shares = [dict([*mutants.items()][i :: len(cli.CPUS)]) for i in range(len(cli.CPUS))]
    fork = get_context("fork").Process
    processes = [fork(target=work, args=(share,)) for share in shares if share]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise SystemExit("mutants: expected every process to end well, got one that did not")


def main(args: list[str] | None = None) -> None:
    """Tests the mutants that are asked for, and prints a table and what survives."""
    parser = cli.parser(str(__doc__).splitlines()[0])
    parser.add_argument("pattern", nargs="?", default="*", help="such as functional_dl.trace.*")
    parser.add_argument("--again", action="store_true", help="test anew what has survived")
    options = parser.parse_args(args)
    os.chdir(ROOT)  # where mutmut finds its settings
    mutants = write(PROJECT)
    os.chdir(PROJECT)
    sources = [f for folder in ("functional_dl", "tests") for f in (ROOT / folder).rglob("*.py")]
    if not CALLED.exists() or CALLED.stat().st_mtime < max(f.stat().st_mtime for f in sources):
        in_processes(note_called, {"": ""})
    asked = [m for m in mutants if fnmatch(m, options.pattern)]
    found = known(mutants)
    left = [m for m in asked if m not in found or (options.again and not found[m])]
    Random(0).shuffle(left)  # so what has been tested is a fair sample of all, wherever it stops
    for i in range(0, len(left), SOME):
        in_processes(collected_once, {m: mutants[m] for m in left[i : i + SOME]})
        record(mutants)
    done = {line["mutant"]: line["by"] or line["last"] for line in written()}
    in_processes(collected_anew, {m: mutants[m] for m in left if not done.get(m)})
    record(mutants)
    found = known(mutants)
    if left := [m for m in asked if m not in found]:
        raise SystemExit(f"mutants: expected all to be tested, got {len(left)} that were not")
    survivors = [m for m in asked if not found[m]]
    for mutant in survivors:
        print(f"{mutant}\n{difference(mutant, PROJECT)}\n")
    cli.show({"Mutants": table(asked, survivors)}, options.format)


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
