"""What the page that trains is given; playground/tests has what it makes of that."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import cli
import functional_dl as fdl
import page as script
from exported import taken_apart
from exported.formulas import FORMULAS
from exported.page_data import REPORTS
from report.experiment import RELU, SIZES, Network, Points
from report.trainers import core, train

ROOT = Path(__file__).parents[2]
FILES = [("relu", 3), ("gelu", 1)]
Arrays = dict[str, Any]

pytestmark = [pytest.mark.builds, pytest.mark.slow]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("public")

    @contextmanager
    def this_process() -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(submit=lambda f, *args: SimpleNamespace(result=f(*args) or list))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "use_threads", lambda _: None)  # they are the tests'
        patch.setattr(cli, "pin", lambda *_, **__: None)
        patch.setattr(cli, "other_process", this_process)
        patch.setattr(script, "FILES", FILES)
        script.main(["--seeds=2", "--epochs=2", f"--out={folder}"])
        script.main(["--probes", f"--out={folder}"])
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


@pytest.mark.parametrize("activation", REPORTS)
def test_losses_are_those_of_training(arrays: Arrays, seed: int, activation: str) -> None:
    network: Network = REPORTS[activation]
    torch.manual_seed(seed)
    points = Points.draw(1000)
    torch.manual_seed(seed)
    losses = train(core(network), points, 2)
    np.testing.assert_array_equal(arrays[f"{activation}.losses"], losses.flatten())


def test_the_page_is_told_what_is_on_offer(page: dict[str, Any]) -> None:
    assert page["report"]["sizes"] == [*SIZES]
    assert {*page["report"]["activations"]} <= {*page["activations"]}
    wanted = {(a, d + 1) for a in page["activations"] for d in range(page["depth"])}
    assert wanted == {
        (a, d + 1) for a in taken_apart.ACTIVATIONS for d in range(len(taken_apart.WIDTHS))
    }


# Steps, taken apart


def drawn(activation: str, hidden: tuple[int, ...]) -> tuple[fdl.Layer, fdl.Params, Points]:
    torch.manual_seed(0)
    model = taken_apart.network(activation, hidden)
    return model, model.init(), Points.draw(10)


@pytest.mark.parametrize("activation", taken_apart.ACTIVATIONS)
def test_a_step_taken_apart_is_a_step(activation: str) -> None:
    model, params, points = drawn(activation, (4, 3))
    new, loss, told = taken_apart.taken_apart(model)(params, *points, 0.1)
    value, grads = fdl.value_and_grad(model, fdl.mse())(params, *points)
    assert torch.equal(loss, value)
    for ours, theirs in ((told["gradients"], grads), (new, fdl.sgd(params, grads, 0.1))):
        a, b = fdl.to_state_dict(ours), fdl.to_state_dict(theirs)
        assert [*a] == [*b]
        assert all(map(torch.equal, a.values(), b.values()))


def test_cotangents_are_those_of_autograd() -> None:
    model, params, points = drawn("tanh", (4, 3))
    _, _, told = taken_apart.taken_apart(model)(params, *points, 0.1)
    y: Tensor = points.inputs.requires_grad_()
    values: dict[str, Tensor] = {}
    for k in model.layers:
        p = params[k]
        y = values[k] = nn.functional.linear(y, **p) if p else y.tanh()
    nn.functional.mse_loss(y, points.targets).backward(inputs=[*values.values()])
    for k, v in values.items():
        assert torch.equal(told["values"][k], v)
        torch.testing.assert_close(told["cotangents"][k], v.grad)


@pytest.mark.parametrize(("activation", "depth"), FILES)
@pytest.mark.parametrize("width", [2, 25])
def test_a_file_is_for_all_widths_and_batches(
    out: Path, activation: str, depth: int, width: int
) -> None:
    model, params, points = drawn(activation, (width,) * depth)
    named = {f"params.{k}": p.numpy() for k, p in fdl.to_state_dict(params).items()}
    new, loss, told = taken_apart.taken_apart(model)(params, *points, 0.1)
    expected = fdl.to_state_dict({"new_params": new, "loss": loss, **told})
    given = named | {k: v.numpy() for k, v in points._asdict().items()}
    for kind, feed in (("step", given | {"lr": np.array(0.1, np.float32)}), ("forward", given)):
        session = onnxruntime.InferenceSession(out / f"{activation}-{depth}-{kind}.onnx")
        names = [o.name for o in session.get_outputs()]
        if kind == "step":
            assert {*names} == {*expected}
        else:
            units = [f"values.{2 * k + 1}" for k in range(depth)]
            assert names == [*units, f"values.{2 * depth}", "loss"]
        for name, value in zip(names, session.run(names, feed), strict=True):
            largest = np.abs(expected[name].numpy()).max()
            off = np.abs(value - expected[name].numpy()).max()
            assert off <= 2e-6 * largest, name  # some units of rounding in sums of 25


def test_probes_lie_on_the_way_of_training(out: Path) -> None:
    probes = json.loads((out / "probes.json").read_text())
    assert [p["step"] for p in probes] == [*script.PROBED] * 2
    for probe in probes:
        torch.manual_seed(0)
        points = Points.draw(1000)
        torch.manual_seed(0)
        losses = train(core(REPORTS[probe["activation"]]), points, max(script.PROBED) // 10 + 1)
        assert probe["loss"] == pytest.approx([losses.flatten()[probe["step"]].item()], rel=1e-6)


# Formulas and lines

PLAIN = (
    (r"\\text{(.*?)}", r"\1"),
    (r"\\(?:mathit|operatorname){(.*?)}", r"\1"),
    (r"\\sqrt{2 \\pi}", "√(2π)"),
    (r"\^\\top", "ᵀ"),
    (r"\^2", "²"),
    (r"\\nabla ", "∇"),
    (r"\\odot", "⊙"),
    (r"\\Phi", "Φ"),
    (r"\\leftarrow", "←"),
    (r"\\cdot", "·"),
    (r"\\le\b", "≤"),
    (r"\\\|", "‖"),
    (r"\\(max|tanh|exp)", r"\1"),
    ("-", "−"),
)


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas_are_those_of_the_docstring(name: str) -> None:
    doc = re.sub(r"\s+", "", getattr(fdl, name).__doc__)
    plain = list(FORMULAS[name])
    for i, formula in enumerate(plain):
        for pattern, replacement in PLAIN:
            formula = re.sub(pattern, replacement, formula)
        plain[i] = re.sub(r"\s+", "", formula)
        assert plain[i] in doc
    gradients = re.findall(r"∇[A-Za-z]+(?==)", doc)
    assert {f.split("=")[0] for f in plain if f.startswith("∇")} == {*gradients}


def test_formulas_are_shown_as_mathml(page: dict[str, Any]) -> None:
    assert page["formulas"].keys() == FORMULAS.keys()
    relu = page["formulas"]["relu"][1]
    assert relu.count("<math") == relu.count("</math>") == 3
    assert " where <math" in relu
    assert not any("\\" in html for formulas in page["formulas"].values() for html in formulas)


def test_lines_are_those_of_the_source(page: dict[str, Any]) -> None:
    assert page["lines"].keys() == FORMULAS.keys()
    for lines in page["lines"].values():
        for line in lines:
            source = (ROOT / line["file"]).read_text().splitlines()
            assert source[line["number"] - 1].strip().startswith(line["text"])


@pytest.mark.parametrize(
    ("name", "what", "expected"),
    [
        ("linear", "value", "bias.addmm(x, weight.mT)"),
        ("linear", "weight", 'grads = {"weight": gy.mT.mm(x) if by_rows else x.mT.mm(gy).mT}'),
        ("linear", "bias", 'grads["bias"] = gy.sum(0)'),
        ("linear", "input", "return gy.mm(weight)"),
        ("relu", "value", "return _elementwise(Tensor.relu, where_positive)"),
        ("relu", "input", "return gy.masked_fill(y <= 0, 0)"),
        ("tanh", "input", "return derivative.mul_(gy)"),
        ("sigmoid", "input", "return gy * (1 - y) * y"),
        ("leaky_relu", "input", "return factor.expand_as(x) * gy"),
        ("gelu", "value", "return written_on(phi, torch.mul, x, phi), (kept,)"),
        ("mse", "value", "return reduce(error * error), pullback"),
        ("mse", "input", "return times_number(error, 2 / count(error))"),
        ("sgd", "value", "return do(torch.addcmul, p, g, lr, value=-1)"),
    ],
)
def test_lines_compute_what_they_are_said_to(
    page: dict[str, Any], name: str, what: str, expected: str
) -> None:
    *_, last = [line["text"] for line in page["lines"][name] if line["what"] == what]
    assert expected in last
