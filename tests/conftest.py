"""Settings of the whole suite.

With `--jaxtyping-packages=functional_dl,beartype_once.beartype_once`, jaxtyping and beartype check
the annotations at every call; what cannot run so is left out.
"""

import gc
import os
import venv
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import copy
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import hypothesis
import numpy as np
import pytest
from filelock import FileLock

register = partial(hypothesis.settings.register_profile, deadline=None)
register("local", max_examples=10)
register("ci", max_examples=15, derandomize=True)
register("checked", max_examples=3, derandomize=True)
register(  # what fails is enough, it needn't be small
    "mutants",
    max_examples=40,
    derandomize=True,
    database=None,
    phases=[hypothesis.Phase.generate],
)
hypothesis.settings.load_profile("ci" if "CI" in os.environ else "local")

UNCHECKED = {
    "builds": "compiles or exports; the checks of annotations can't be",
    "long": "takes thousands of calls, each of which takes fifty times as long",
    "memory": "looks at what is kept, which the checks of annotations keep longer",
    "refuses": "expects our errors for what annotations rule out",
}

LONGEST = "tests/scripts/", "test_guides.py", "test_types.py", "test_export", "test_stacked.py"
"""Where the tests are that take seconds."""


def pytest_configure(config: pytest.Config) -> None:
    """Registers the reasons not to run with annotations checked."""
    more = {
        "checked": "needs annotations checked",
        "slow": "takes seconds, in processes or a whole training: left to CI, as what builds is",
    }
    for name, reason in {**UNCHECKED, **more}.items():
        config.addinivalue_line("markers", f"{name}: {reason}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what can't be run with annotations checked, or without; the longest go first.

    What is slow, compiles or exports runs in CI, or where -k chooses.
    """
    checked = config.getoption("--jaxtyping-packages", None)
    unfit = [*UNCHECKED] if checked else ["checked"]
    if "CI" not in os.environ and not config.option.keyword:
        unfit += ["slow", "builds"]
    left_out = [item for item in items if any(map(item.get_closest_marker, unfit))]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    # What begins last should be short, or the other workers wait for it.
    items.sort(key=lambda item: not any(where in item.nodeid for where in LONGEST))


@pytest.hookimpl(tryfirst=True)
def pytest_collectstart() -> None:
    """Has what a module draws as it is imported be the same in each run: torch seeds at random."""
    import torch  # not above: the process that only hands tests out is spared the seconds

    torch.manual_seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Has what a test and its fixtures draw be the same in each run, whatever ran before."""
    pytest_collectstart()


def pytest_collection_finish() -> None:
    """Spares garbage collection what has been imported and collected: a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.fixture(params=[1, 2], ids=["1-thread", "2-threads"])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Runs the test on one thread and on two."""
    import torch  # not above: the process that only hands tests out is spared the seconds

    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def quick_exports() -> None:
    """Keeps what torch reads anew for most of each export: its operators, and onnxscript's."""
    import torch

    with suppress(ImportError, AttributeError):  # elsewhere in another torch: exports are slower
        from torch._export import utils
        from torch.onnx._internal.exporter._registration import ONNXRegistry

        utils._materialize_cpp_cia_ops = cache(utils._materialize_cpp_cia_ops)
        decompositions = torch.export.default_decompositions()
        torch.export.default_decompositions = lambda: decompositions

        read = cache(ONNXRegistry.from_torchlib)

        def own(**how: Any) -> ONNXRegistry:
            """A registry that an export may add to."""
            registry = copy(read(**how))
            registry.functions = {target: [*metas] for target, metas in registry.functions.items()}
            return registry

        ONNXRegistry.from_torchlib = staticmethod(own)


@pytest.fixture(scope="session")
def folder_of_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A temporary folder of this run of pytest, which its workers have in common."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def export_once(folder_of_all_workers: Path, quick_exports: None) -> Callable[..., Path]:
    """Exports a network of the report, its step or the whole training, once for all tests."""
    from exported.files import write  # not above: jaxtyping is to see functional_dl imported

    def export(network: Any, loop: Literal["steps"] | None = None) -> Path:
        file = folder_of_all_workers / f"{network}-{loop or 'step'}.onnx"
        with FileLock(f"{file}.lock"):
            if not file.exists():
                write(network, file, loop)
        return file

    return export


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A Python that has ONNX Runtime, NumPy and what they need, and nothing else."""
    home = tmp_path / "bare"
    venv.create(home)
    site = next(home.glob("lib/python*/site-packages"))
    for module in ("flatbuffers", "google", "numpy", "numpy.libs", "onnxruntime", "packaging"):
        package = Path(np.__file__).parent.parent / module
        if package.exists():
            (site / module).symlink_to(package)
    return home / "bin" / "python"
