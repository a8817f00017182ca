"""The tests, collected once, and run in forks of the process that has collected them.

Before it is forked, that process runs no test: then torch and all that tests start survives it.
"""

import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout, suppress
from typing import Any, TypeAlias

import pytest
import torch
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state

Items: TypeAlias = dict[str, pytest.Item]
"""Tests by their names."""

COLLECTING = ""
"""In the place of a test's name, for what has been called while tests were collected."""

TESTS = "tests/core", "tests/compat"
# Nothing compiles what mutmut has wrapped; scripts aren't changed, nor may tests start this one.
LEFT_OUT = "compile", "2-threads", "javascript", "test_types", "spawned", "joblib"
OPTIONS = (
    *("-q", "-s", "--tb=no", "--rootdir=.", "--hypothesis-profile=mutants"),
    *("-pno:cacheprovider", "-pno:xdist", "-Wignore::pytest.PytestAssertRewriteWarning"),
    *("-k", " and ".join(f"not {name}" for name in LEFT_OUT)),
)


class Loop:
    """Takes the place of pytest's loop over the tests that it has collected."""

    def __init__(self, loop: Callable[["Loop", Items], object]) -> None:
        self.loop, self.failed = loop, False

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Does what is to be done in place of it."""
        self.loop(self, {item.nodeid: item for item in session.items})
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes whether a test fails."""
        self.failed |= report.failed

    def passes(self, item: pytest.Item, following: pytest.Item | None) -> bool:
        """Runs a test."""
        self.failed = False
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        return not self.failed

    def first_failure(self, items: list[pytest.Item]) -> str:
        """Runs tests until one fails; gives its name, or none."""
        for item, following in zip(items, [*items[1:], None], strict=False):  # there may be none
            if not self.passes(item, following):
                return item.nodeid
        return ""

    def called(self, items: Items) -> dict[str, tuple[float, list[str]]]:
        """Runs all tests: for each, the seconds that it takes, and the functions that it calls.

        "stats" is to be in use.
        """
        found = {COLLECTING: (0.0, [*state()._stats])}  # pyright: ignore
        for item, following in zip(items.values(), [*[*items.values()][1:], None], strict=True):
            state()._stats.clear()  # pyright: ignore
            begun = time.perf_counter()
            if not self.passes(item, following):
                raise AssertionError(item.nodeid)
            found[item.nodeid] = time.perf_counter() - begun, [*state()._stats]  # pyright: ignore
        return found


def use(mutant: str) -> None:
    """Lets a mutant take the place of its function; or none, or what notes all that is called."""
    set_mutant_under_test(mutant)


def collect(loop: Callable[[Loop, Items], object], tests: Iterable[str] = TESTS) -> None:
    """Collects tests, and does what is to be done with them."""
    torch.set_num_threads(1)
    sys.path.insert(0, "tests/core")
    with open(os.devnull, "w") as null, redirect_stdout(null):
        pytest.main([*OPTIONS, *tests], plugins=[Loop(loop)])


def forked(work: Callable[[], Any], seconds: float) -> str:
    """What work gives or raises in a fork of this process, or that it takes too long, or died."""
    reader, writer = os.pipe()
    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if not child:
            os.setsid()
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            os.environ["PYTEST_DEBUG_TEMPROOT"] = folder
            try:
                said = str(work())
            except BaseException as error:
                said = repr(error)
            os.write(writer, said.encode())
            os._exit(0)
        os.close(writer)
        in_time = select.select([reader], [], [], seconds)[0]
        said = os.read(reader, 2**16).decode() if in_time else "takes too long"
        os.close(reader)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    return f"died of {status}" if in_time and not said and status else said
