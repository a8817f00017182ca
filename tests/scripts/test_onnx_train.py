"""onnx_train: trains without torch, as PyTorch does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import onnx_train

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.slow
@pytest.mark.usefixtures("exported_once", "one_process", "unpinned")
def test_onnx_train_trains_and_says_how_far_from_pytorch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx_train.main(["--epochs=25", "--rounds=1", "--format=latex", f"--out={tmp_path}"])
    assert capsys.readouterr().out.count(r"\begin{tabular}") == 2
    files = {
        f"{n}-{kind}.onnx" for n in ("ReLU", "Tanh") for kind in ("step", "training", "predict")
    }
    assert {f.name for f in tmp_path.iterdir()} == files | {"onnx.json", "onnx.png", "onnx.svg"}
    report = json.loads((tmp_path / "onnx.json").read_text())
    learnt, far = report["What it comes to"], report["How far from PyTorch"]
    for ours, theirs in ((learnt[1], learnt[0]), (learnt[3], learnt[2])):
        assert ours["network"] == theirs["network"]
        for what in ("loss", "training error", "test error"):
            assert ours[what] == theirs[what]
    for row in far:
        assert float(row["parameters, one step from 25 points"]) < 2e-7
        assert float(row["losses in 20 epochs"]) < 1e-6


def test_what_trains_in_onnx_runtime_needs_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import onnx_train"
    subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, check=True)
