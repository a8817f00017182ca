"""What the tests of the scripts share."""

import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import torch
from filelock import FileLock

import cli
from exported import files
from racing import runtimes
from report.experiment import Network

SCRIPTS = Path(__file__).parents[2] / "scripts"
EACH_RANK = Path(__file__).with_name("each_rank_trains.py")
DEFAULT_SIGINT = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL);"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
"""Starts Python so that it can be interrupted, even where the tests run in the background."""


def assert_refused(
    main: Callable[[list[str]], None],
    args: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """That a script ends with status 2, and one line that says why."""
    with pytest.raises(SystemExit) as stop:
        main(args)
    assert stop.value.code == 2
    line = capsys.readouterr().err
    assert message in line
    assert line.count("\n") == 1


MOMENTS = "before it is written", "when half is written", "after it"


def killed_at(moment: str, folder: Path, save: Callable[..., None]) -> Callable[..., None]:
    """save, but killed at this moment of its second file, which is to lie in the folder."""
    saved = 0

    def killed(*args: Any) -> None:
        nonlocal saved
        saved += 1
        if saved == 2:
            if moment == "when half is written":
                (folder / ".half.part").write_bytes(b"half")
            if moment == "after it":
                save(*args)
            raise KeyboardInterrupt
        save(*args)

    return killed


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts Python, to write to tmp_path, and returns when it has written a text to stderr.

    What is left of it when the test ends is killed.
    """
    started: list[subprocess.Popen] = []

    def start(*args: object, until: str) -> subprocess.Popen:
        command = [sys.executable, "-c", DEFAULT_SIGINT, *map(str, args), f"--out={tmp_path}"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, **pipes, start_new_session=True)
        started.append(process)
        seen = ""
        while until not in seen:
            seen += process.stderr.read(1) or pytest.fail(f"it ended by itself: {seen}")
        return process

    yield start
    for process in started:
        for pattern in patterns(process, tmp_path):
            subprocess.run(["pkill", "-KILL", *pattern])
        process.communicate()


@pytest.fixture
def interrupt(start: Callable[..., subprocess.Popen], tmp_path: Path) -> Callable[..., None]:
    """Interrupts a script that has written a text, and looks at what it leaves."""

    def start_and_interrupt(script: str, *args: str, until: str) -> None:
        process = start(SCRIPTS / script, *args, until=until)
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGINT
        assert errors.endswith("\ninterrupted, nothing written\n")
        assert "Traceback" not in errors
        assert errors.count("interrupted") == 1
        assert printed == ""
        assert list(tmp_path.iterdir()) == []
        for pattern in patterns(process, tmp_path):
            assert not alive(*pattern)

    return start_and_interrupt


def patterns(process: subprocess.Popen, out: Path) -> list[list[str]]:
    """What pgrep finds a process by, and all that it has started: a session, or the arguments."""
    return [["-s", str(process.pid)], ["-f", f"out={out}"]]


def alive(*pattern: str) -> str:
    """The processes that are still there after a moment."""
    left = ""
    for _ in range(50):
        left = subprocess.run(["pgrep", *pattern], capture_output=True, text=True).stdout
        if not left:
            break
        time.sleep(0.1)
    return left


@pytest.fixture
def unpinned() -> Iterator[None]:
    """Gives the tests their threads and CPUs back after a script has taken some."""
    threads = torch.get_num_threads()
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    yield
    torch.set_num_threads(threads)
    if cpus:
        os.sched_setaffinity(0, cpus)


class WithoutTorch(pickle.Unpickler):
    """As where there is no torch."""

    def find_class(self, module: str, name: str) -> Any:
        assert module.split(".")[0] != "torch"
        return super().find_class(module, name)


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other process, which would import for seconds what is imported here.

    What goes there and comes back is pickled all the same.
    """

    def submit(*call: Any) -> SimpleNamespace:
        f, *args = pickle.loads(pickle.dumps(call))
        result = WithoutTorch(io.BytesIO(pickle.dumps(f(*args)))).load()
        return SimpleNamespace(result=lambda: result)

    @contextmanager
    def this_process() -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(submit=submit)

    monkeypatch.setattr(cli, "other_process", this_process)


@pytest.fixture(scope="module")
def exported_once(export_once: Callable[..., Path]) -> Iterator[None]:
    """Spares scripts the exports that other tests have made."""

    def write(network: Network, file: Path, loop: Literal["steps"] | None = None) -> None:
        shutil.copy(export_once(network, loop), file)

    with pytest.MonkeyPatch.context() as patch:
        for module in (files, runtimes):
            patch.setattr(module, "write", write)
        yield


@pytest.fixture(scope="session")
def reports(folder_of_all_workers: Path) -> dict[str, Any]:
    """What groups of ranks come to, by their name; trained once for all tests."""
    out = folder_of_all_workers / "ranks"
    with FileLock(f"{out}.lock"):
        if not out.exists():
            run = subprocess.run(
                [sys.executable, EACH_RANK, out], capture_output=True, text=True, timeout=120
            )
            assert run.returncode == 0, run.stderr
    return {path.parent.name: json.loads(path.read_text()) for path in out.glob("*/*.json")}
