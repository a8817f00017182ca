"""A copy of the project in which functional_dl holds all its mutants, of which one is chosen."""

import ast
import shutil
from difflib import unified_diff
from functools import cache
from pathlib import Path

from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.utils.format_utils import get_mutant_name

ROOT = Path(__file__).parents[2]
COPIED = "README.md", "pyproject.toml", "functional_dl", "scripts", "tests"
CHANGED = "*.py"
"""Which files of functional_dl."""


def write(folder: Path) -> dict[str, str]:
    """Writes the copy; gives the name of each mutant, and a hash of the function that it is of."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    mutants: dict[str, str] = {}
    for file in sorted((folder / "functional_dl").rglob(CHANGED)):
        path = file.relative_to(folder)
        made = mutate_file_contents(str(path), undecorated(file.read_text()))
        file.write_text(made.code)
        for name in made.mutant_names:
            mutants[get_mutant_name(path, name)] = made.hash_by_function_name[function_of(name)]
    return mutants


def function_of(mutant: str) -> str:
    """The function that a mutant is one of, as mutmut calls it."""
    return mutant.partition("__mutmut_")[0]


def undecorated(source: str) -> str:
    """The same with its decorators below: mutmut leaves functions alone that are decorated."""
    lines = source.split("\n")
    for node in reversed(ast.parse(source).body):
        if isinstance(node, ast.FunctionDef) and len(node.decorator_list) == 1:
            decorator = ast.unparse(node.decorator_list[0])
            if decorator != "overload":
                lines.insert(node.end_lineno or 0, f"{node.name} = {decorator}({node.name})")
                del lines[node.decorator_list[0].lineno - 1]
    return "\n".join(lines)


def difference(mutant: str, folder: Path) -> str:
    """The lines that a mutant has in the place of others."""
    module, _, name = mutant.rpartition(".")
    file = folder.joinpath(*module.split("."))
    bodies = _bodies(file / "__init__.py" if file.is_dir() else file.with_suffix(".py"))
    both = bodies[f"{function_of(name)}__mutmut_orig"], bodies[name]
    return "\n".join(
        line for line in [*unified_diff(*both, lineterm="", n=0)][2:] if line[0] != "@"
    )


@cache
def _bodies(file: Path) -> dict[str, list[str]]:
    """The lines of each function of a file that holds mutants."""
    source = file.read_text()
    lines = source.replace(" # type: ignore # mutmut generated", "").split("\n")
    return {
        node.name: lines[node.lineno : node.end_lineno]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    }
