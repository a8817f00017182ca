"""What the code under functional_dl must not do."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "functional_dl"
FILES = sorted(ROOT.rglob("*.py"))

FORBIDDEN = {"autograd", "nn", "optim", "aten", "ops", "_C", "backward_"}
ALLOWED = {"export.py": {"nn", "aten", "ops"}}  # torch.export takes a module, and has these names


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_autograd_no_modules_no_optimizer_of_pytorch(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text())):
        names = {
            ast.Attribute: lambda n: [n.attr],
            ast.Name: lambda n: [n.id],
            ast.keyword: lambda n: [n.arg],
            ast.Import: lambda n: [part for a in n.names for part in a.name.split(".")],
            ast.ImportFrom: lambda n: [*(n.module or "").split("."), *(a.name for a in n.names)],
        }.get(type(node), lambda _: [])(node)
        for name in names:
            assert name not in FORBIDDEN - ALLOWED.get(file.name, set())
            assert "requires_grad" not in str(name)


def test_arrows_point_down_only() -> None:
    for file in FILES:
        if file.parent.name != "compat":
            for node in ast.walk(ast.parse(file.read_text())):
                names = [a.name for a in getattr(node, "names", []) if isinstance(a, ast.alias)]
                names.append(getattr(node, "module", None) or "")
                assert not any("compat" in name.split(".") for name in names)
