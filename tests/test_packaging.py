"""What is built, what is declared, and what make sets up."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

import functional_dl as fdl

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_oldest_torch_that_is_declared_is_the_one_that_is_tested() -> None:
    (declared,) = [d for d in PROJECT["dependencies"] if d.startswith("torch>=")]
    floor = [int(n) for n in declared.removeprefix("torch>=").split(".")]
    pin = re.search(r"^torch==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert [int(n) for n in pin[1].split(".")] == [*floor, 0, 0][:3]


def test_the_version_is_that_of_the_project() -> None:
    assert fdl.__version__ == PROJECT["version"]


def test_compat_lies_in_the_package_and_the_link_says_so() -> None:
    assert not (ROOT / "functional_dl" / "compat").is_symlink()
    assert (ROOT / "compat").samefile(ROOT / "functional_dl" / "compat")
    with pytest.raises(ImportError, match=r"imported as functional_dl\.compat"):
        import_module("compat")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel and an sdist of a checkout without symbolic links, which are files there."""
    checkout = tmp_path_factory.mktemp("checkout")
    for name in ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, checkout)
    for name in ("functional_dl", "tests"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, checkout / name, symlinks=True, ignore=ignored)
    (checkout / "compat").write_text("functional_dl/compat")
    build = "from setuptools.build_meta import *; build_wheel('dist'); build_sdist('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=checkout, check=True, capture_output=True)
    return checkout / "dist"


def test_the_wheel_holds_the_whole_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    files = {file for file in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in file}
    sources = {str(file.relative_to(ROOT)) for file in ROOT.glob("functional_dl/**/*.py")}
    assert files == sources | {"functional_dl/py.typed"}
    assert "functional_dl/compat/__init__.py" in files


def test_the_long_description_links_to_nothing_that_it_does_not_hold(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        (name,) = (name for name in files.namelist() if name.endswith("/METADATA"))
        _, description = files.read(name).decode().split("\n\n", 1)
    assert "bit for bit" in description
    assert not re.search(r"\]\((?!https:)", description)


def test_the_sdist_holds_no_tests(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        folders = {name.split("/")[1] for name in archive.getnames() if name.count("/") > 1}
        assert any(name.endswith("/README.md") for name in archive.getnames())
    assert folders == {"functional_dl", "functional_dl.egg-info"}


FAKE_PYTHON = """#!/bin/sh
echo "$@" >>calls
case "$*" in
    --version) echo "Python $VERSION" ;;
    "-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    "-m pip"*) exit "$PIP" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with all that make needs to set up an environment with a fake Python."""
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("functional_dl", "scripts"):
        (tmp_path / name).mkdir()
    (tmp_path / "python").write_text(FAKE_PYTHON)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def make(
    checkout: Path, target: str, *, version: str = "3.12.1", pip: int = 0
) -> subprocess.CompletedProcess[str]:
    """Makes it with a Python of that version, whose pip ends with that status."""
    return subprocess.run(
        ["make", target, "PYTHON=./python"],
        cwd=checkout,
        # Not what the make that runs the tests has handed on, such as MAKELEVEL and ARGS.
        env={"PATH": os.environ["PATH"], "VERSION": version, "PIP": str(pip)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_python_that_is_too_old_gets_one_line_and_leaves_nothing(checkout: Path) -> None:
    process = make(checkout, "compare", version="3.9.18")
    said, of_make = process.stderr.splitlines()
    assert said.startswith("make: expected PYTHON to be Python 3.11 or newer, got Python 3.9.18")
    assert of_make.startswith("make: ***")
    assert process.returncode == 2
    assert not (checkout / ".venv").exists()
    assert make(checkout, "compare").returncode == 0


@pytest.mark.parametrize("version", ["3.11.0", "3.13.0rc1", "4.0.0"])
def test_a_newer_python_will_do(checkout: Path, version: str) -> None:
    assert make(checkout, "compare", version=version).returncode == 0


def test_an_installation_that_fails_is_made_again_and_one_that_succeeds_is_not(
    checkout: Path,
) -> None:
    assert make(checkout, "compare", pip=1).returncode == 2
    process = make(checkout, "compare")
    assert process.returncode == 0
    assert process.stderr.startswith("make: installing into .venv what pyproject.toml lists for")
    assert make(checkout, "prove").stderr == ""
    calls = (checkout / "calls").read_text()
    assert calls.count("-m venv") == 1
    assert calls.count("-m pip") == 2
    assert calls.endswith(".[scripts]\nscripts/compare.py\nscripts/prove.py\n")


def test_commands_that_the_words_name_exist() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    commands = {line.split()[0] for line in listed.stdout.splitlines()}
    for file in ("README.md", "CONTRIBUTING.md"):
        named = re.findall(r"(?:^|`)make ([a-z-]+)", (ROOT / file).read_text(), re.MULTILINE)
        assert named
        assert set(named) <= commands
