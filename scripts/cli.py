"""What the scripts share: their command line, the machine they run on and their output files."""

import argparse
import importlib.metadata
import json
import math
import multiprocessing
import multiprocessing.process
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn


def end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Reports an exception that nothing has caught; an interrupt in one line."""
    if kind is KeyboardInterrupt:
        print("\ninterrupted, nothing written", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = end  # before the imports that take long
if "TORCHELASTIC_RUN_ID" in os.environ:  # an interrupted rank ends in silence: others report it
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import tabulate  # noqa: E402
from tqdm import tqdm  # noqa: E402


class Parser(argparse.ArgumentParser):
    """A command line that is refused in one line, with exit status 2."""

    def error(self, message: str) -> NoReturn:
        """Says what is wrong, and exits."""
        self.exit(2, f"{self.prog}: {message}\n")


def parser(description: str) -> Parser:
    """A parser with the options that all scripts have."""
    p = Parser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--seed", type=whole(0), default=0, help="what all that is random follows from")
    p.add_argument(
        "--format",
        type=table_format,
        default="github",
        help="how tables are printed: a format of tabulate's, such as github, latex or grid",
    )
    return p


def add_out(parser: argparse.ArgumentParser, default: str = "results") -> None:
    """The option of scripts that write files."""
    parser.add_argument("--out", metavar="DIR", type=folder, default=default, help="where files go")


def whole(least: int) -> Callable[[str], int]:
    """The type of a whole number that is not less than least."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) < 2**63:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least}, got {text!r}")
        return int(text)

    return parse


def number(least: float, what: str) -> Callable[[str], float]:
    """The type of a finite number from least on, which what says in words."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value < math.inf:
            raise argparse.ArgumentTypeError(f"expected {what}, got {text!r}")
        return value

    return parse


def table_format(text: str) -> str:
    """The type of a format of tabulate's."""
    if text not in tabulate.tabulate_formats:
        known = ", ".join(tabulate.tabulate_formats)
        raise argparse.ArgumentTypeError(f"expected one of {known}; got {text!r}")
    return text


def folder(text: str) -> Path:
    """The type of a folder to write to, made if it isn't there; writes to it to see if it can."""
    try:
        Path(text).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=text):
            pass
    except OSError as error:
        raise argparse.ArgumentTypeError(
            f"expected a folder to write to, got {text!r}: {error.strerror}"
        ) from error
    return Path(text)


PINS = hasattr(os, "sched_setaffinity")
CPUS = sorted(os.sched_getaffinity(0)) if PINS else []


def use_threads(threads: int) -> None:
    """Gives torch so many threads and, where the system can, this process as many CPUs."""
    import torch  # not above: onnx_train.py does without

    torch.set_num_threads(threads)
    pin(threads)


def pin(threads: int, first: int = 0) -> None:
    """Gives this process so many CPUs, from the first on, where the system can."""
    if PINS:
        os.sched_setaffinity(0, CPUS[first % len(CPUS) :][:threads])


def machine() -> dict[str, str | int]:
    """What figures depend on, and the day."""
    import torch

    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((s.split(": ")[1] for s in lines if s.startswith("model name")), cpu)
    return {
        "CPU": f"{cpu} ({torch.backends.cpu.get_cpu_capability()})",
        "threads": torch.get_num_threads(),
        "system": platform.system(),
        "Python": platform.python_version(),
        "torch": importlib.metadata.version("torch"),
        "functional_dl": importlib.metadata.version("functional_dl"),
        "date": date.today().isoformat(),
    }


def show(
    tables: dict[str, list[dict[str, str]]],
    table_format: str,
    on: dict[str, str | int] | None = None,
) -> None:
    """Prints the tables, and the machine that they are from, if not this one as it is."""
    print(", ".join(f"{k} {v}" for k, v in (on or machine()).items()))
    for name, rows in tables.items():
        table = tabulate.tabulate(rows, "keys", table_format, disable_numparse=True)
        print(f"\n{name}\n\n{table}")


def write_json(file: Path, report: Any) -> None:
    """In lines, and in letters as they are."""
    file.write_text(json.dumps(report, indent=1, ensure_ascii=False))


def run_module(module: str, *args: str, environment: dict[str, str]) -> bytes:
    """What a module of the scripts prints as a program, with more in its environment."""
    command = [sys.executable, "-m", module, *args]
    scripts = Path(__file__).parent
    env = os.environ | environment
    return subprocess.run(command, cwd=scripts, env=env, stdout=subprocess.PIPE, check=True).stdout


@contextmanager
def other_process() -> Generator[ProcessPoolExecutor]:
    """A pool of one process, new and not a copy of this one; what fails here ends it at once."""
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(1, context, _begin, (CPUS,)) as pool:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the new process inherits that
        pool.submit(os.getpid)
        signal.signal(signal.SIGINT, before)
        (process,) = set(multiprocessing.active_children()) - others
        try:
            yield pool
        except BaseException:
            _kill(process)
            raise


def _begin(cpus: list[int]) -> None:
    """Makes this process and all that it starts one group, which can be killed as a whole.

    It may be given any of these CPUs, also where who started it has been given one of them.
    """
    CPUS[:] = cpus
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    tqdm.set_lock(threading.RLock())  # the default is a semaphore, which a killed process leaks


def _kill(process: multiprocessing.process.BaseProcess) -> None:
    """Kills a process and its group, if it leads one already."""
    process.kill()
    if hasattr(os, "killpg") and process.pid:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def all_or_nothing(out: Path) -> Generator[Path]:
    """A folder whose files go to out when all is done, and nowhere if something fails."""
    with tempfile.TemporaryDirectory(dir=out, prefix=".") as unfinished:
        yield Path(unfinished)
        for file in Path(unfinished).iterdir():
            file.replace(out / file.name)
