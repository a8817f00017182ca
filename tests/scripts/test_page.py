"""What the page that trains is given; playground/tests has what it makes of that."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import cli
import functional_dl as fdl
import page as script
from report.experiment import NETWORKS, RELU, SIZES, Network, Points
from report.trainers import core, train

ROOT = Path(__file__).parents[2]
Arrays = dict[str, Any]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, exported_once: None) -> Path:
    folder = tmp_path_factory.mktemp("public")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "use_threads", lambda _: None)  # they are the tests'
        script.main(["--seeds=2", "--epochs=2", f"--out={folder}"])
    return folder


@pytest.fixture(scope="module")
def page(out: Path) -> dict[str, Any]:
    return json.loads((out / "page.json").read_text())


@pytest.fixture(params=[0, 1])
def seed(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture
def arrays(out: Path, page: dict[str, Any], seed: int) -> Arrays:
    shapes = page["arrays"]
    flat = np.fromfile(out / f"seed-{seed}.bin", "<f4")
    ends = np.cumsum([np.prod(shape) for shape in shapes.values()])
    assert ends[-1] == len(flat)
    parts = np.split(flat, ends[:-1])
    return {k: part.reshape(shape) for (k, shape), part in zip(shapes.items(), parts, strict=True)}


def test_data_and_weights_are_those_of_the_seed(arrays: Arrays, seed: int) -> None:
    torch.manual_seed(seed)
    for kind in ("training", "test"):
        points = Points.draw(1000)
        np.testing.assert_array_equal(arrays[f"{kind}.inputs"], points.inputs)
        np.testing.assert_array_equal(arrays[f"{kind}.targets"], points.targets)
    torch.manual_seed(seed)
    for k, p in fdl.to_state_dict(RELU.core().init()).items():
        np.testing.assert_array_equal(arrays[f"params.{k}"], p)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_losses_are_those_of_training(arrays: Arrays, seed: int, network: Network) -> None:
    torch.manual_seed(seed)
    points = Points.draw(1000)
    torch.manual_seed(seed)
    losses = train(core(network), points, 2)
    np.testing.assert_array_equal(arrays[f"{network}.losses"], losses.flatten())


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_units_begin_with_the_inputs_and_end_with_the_outputs(
    out: Path, arrays: Arrays, network: Network
) -> None:
    session = onnxruntime.InferenceSession(out / f"{network}-units.onnx")
    params = {k: a for k, a in arrays.items() if k.startswith("params.")}
    inputs = arrays["test.inputs"]
    (units,) = session.run(None, params | {"inputs": inputs})
    assert units.shape == (1000, sum(SIZES))
    np.testing.assert_array_equal(units[:, :2], inputs)
    hidden = (arrays["params.0.weight"] @ inputs.T).T + arrays["params.0.bias"]
    hidden = np.maximum(hidden, 0) if network == RELU else np.tanh(hidden)
    np.testing.assert_allclose(units[:, 2:27], hidden, atol=1e-6)  # some rounding of values up to 2
    outputs = units[:, 52:77] @ arrays["params.6.weight"].T + arrays["params.6.bias"]
    np.testing.assert_allclose(units[:, 77:], outputs, atol=1e-6)


def test_formulas_and_lines_are_those_of_the_source(page: dict[str, Any]) -> None:
    for name, layer in page["layers"].items():
        doc = getattr(fdl, name).__doc__
        source = (ROOT / layer["file"]).read_text().splitlines()
        assert all(formula in doc for formula in layer["formulas"])
        assert all(source[n - 1].strip() == line for n, line in layer["lines"])
    formulas = {name: layer["formulas"] for name, layer in page["layers"].items()}
    assert formulas["linear"][1:] == ["∇W = (∇Y)ᵀ X", "∇b = 1_N ∇Y", "∇X = ∇Y W"]
    assert formulas["tanh"] == ["Y = tanh(X).", "∇X = ∇Y ⊙ (1 − Y²)"]
    lines = {name: [line for _, line in layer["lines"]] for name, layer in page["layers"].items()}
    assert 'grads = {"weight": gy.mT.mm(x) if by_rows else x.mT.mm(gy).mT}' in lines["linear"]
    assert "return gy.mm(weight)" in lines["linear"]
    assert "gy.masked_fill(y <= 0, 0)" in lines["relu"][0]
    assert "return times_number(error, 2 / count(error))" in lines["mse"]
    assert lines["sgd"] == ["return lambda p, g: p.addcmul(g, lr, value=-1)"]
