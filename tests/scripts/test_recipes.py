"""The recipes' claims, in a small size."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

import ensemble
import feedback_alignment
import memory
import pytest
import recipe
import residual
import sharpness
import torch
import wrong_labels
from torch import Tensor, nn

import functional_dl as fdl
from classifier.data import load_all

RECIPES = Path(recipe.__file__).parent
Descent: TypeAlias = tuple[Tensor, Tensor, list[tuple[int, fdl.Params, float]]]
JVP = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch's own


@pytest.fixture(autouse=True)
def seed_and_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_most_of_the_top_5_percent_by_gradient_norm_have_wrong_labels() -> None:
    images, true = load_all()
    labels, wrong = wrong_labels.mislabel(true)
    assert wrong.sum() == 90
    assert torch.equal(labels != true, wrong)
    data = images - images.mean(0), torch.eye(10)[labels]
    _, norms = wrong_labels.losses_and_norms(wrong_labels.train(*data, epochs=10), *data)
    assert wrong[norms.topk(90).indices].double().mean() > 0.75


def test_losses_and_norms_are_those_of_each_samples_gradient() -> None:
    inputs, targets = torch.rand(3, 64), torch.rand(3, 10)
    params = wrong_labels.model.init()
    model = nn.Sequential(nn.Linear(64, 50), nn.ReLU(), nn.Linear(50, 10))
    model.load_state_dict(fdl.to_state_dict(params))
    losses, norms = wrong_labels.losses_and_norms(params, inputs, targets)
    for x, t, loss, norm in zip(inputs, targets, losses, norms, strict=True):
        expected = nn.functional.mse_loss(model(x), t)
        grads = torch.autograd.grad(expected, [*model.parameters()])
        torch.testing.assert_close(loss, expected.detach())
        torch.testing.assert_close(norm, torch.cat([g.flatten() for g in grads]).norm())


@pytest.mark.slow
def test_an_ensemble_is_unsure_where_it_is_wrong() -> None:
    training, (points, targets) = recipe.disk(1000), recipe.disk(1000)
    params = ensemble.train(torch.full((8,), 0.1), *training, epochs=100)
    share_wrong = (ensemble.classify(params, points) != targets.argmax(1)).double().mean(0)
    member, majority, close = ensemble.errors(share_wrong)
    assert majority < member < 0.2
    assert close > 0.5  # of the errors, in a tenth of the points


def test_each_network_trains_at_its_own_rate() -> None:
    rates, (points, targets) = torch.tensor([0.01, 0.1, 0.3]), recipe.disk(300)
    torch.manual_seed(1)
    together = fdl.unstack(ensemble.train(rates, points, targets, epochs=5))
    torch.manual_seed(1)
    alone = [ensemble.model.init() for _ in rates]
    for params, ours, lr in zip(alone, together, rates, strict=True):
        for x, t in 5 * [*zip(points.split(100), targets.split(100), strict=True)]:
            params = ensemble.step(params, lr, x, t)
        torch.testing.assert_close(ours, params)


@pytest.fixture(scope="module")
def descent() -> Descent:
    """Points, targets, and where gradient descent at a rate of 0.3 has gone on them."""
    torch.manual_seed(0)
    points, targets = recipe.disk(100)
    return points, targets, sharpness.descend(0.3, points, targets, steps=1000)


@pytest.mark.slow
@JVP
def test_sharpness_is_the_top_eigenvalue_of_the_full_hessian(descent: Descent) -> None:
    points, targets, path = descent
    linear = [nn.Linear(2, 25), nn.Linear(25, 25), nn.Linear(25, 25), nn.Linear(25, 2)]
    module = nn.Sequential(*[m for f in linear for m in (f, nn.Tanh())][:-1])
    shapes = {k: p.shape for k, p in module.named_parameters()}

    def loss(flat: Tensor) -> Tensor:
        parts = zip(shapes.items(), flat.split([s.numel() for s in shapes.values()]), strict=True)
        params = {k: part.view(shape) for (k, shape), part in parts}
        outputs = torch.func.functional_call(module, params, (points,))
        return nn.functional.mse_loss(outputs, targets)

    for _, params, ours in (path[0], path[-1]):
        hessian = torch.func.hessian(loss)(recipe.flatten(params))
        expected = torch.linalg.eigvalsh(hessian)[-1].item()
        torch.testing.assert_close(ours, expected, rtol=1e-3, atol=0)


@JVP
def test_sharpness_rises_to_two_over_the_rate_and_stays(descent: Descent) -> None:
    path = [s for _, _, s in descent[2]]
    assert path[0] < 0.75 * 2 / 0.3
    assert torch.tensor(path[-5:]).mean().item() == pytest.approx(2 / 0.3, rel=0.15)


def test_a_residual_block_keeps_the_contract_and_a_wrong_one_is_caught() -> None:
    params, x = residual.plain.init(), torch.randn(4, 16)
    fdl.check_vjp(residual.residual(residual.plain), params, x)
    forgets = residual.residual(residual.plain)._replace(vjp=residual.plain.vjp)
    with pytest.raises(fdl.VjpError):
        fdl.check_vjp(forgets, params, x)


@pytest.mark.slow
def test_depth_and_nothing_else_keeps_a_plain_network_from_learning() -> None:
    block = residual.residual(residual.plain)
    around, gradient = residual.train(block, blocks=30, lr=0.03, epochs=15)
    assert around < 0.25
    assert gradient > 0.1
    shallow, _ = residual.train(residual.plain, blocks=1, lr=0.3, epochs=100)
    assert shallow < 0.15
    for lr in residual.RATES:
        deep, gradient = residual.train(residual.plain, blocks=5, lr=lr, epochs=15)
        assert deep > 0.4
        assert gradient < 1e-3


def test_feedback_alignment_turns_to_the_gradient_and_learns() -> None:
    def train(scale: float) -> tuple[list[float], list[float]]:
        layers = [feedback_alignment.misdirected(f, scale) for f in feedback_alignment.layers]
        return feedback_alignment.train(fdl.sequential(*layers), epochs=15)

    errors, angles = train(1.0)
    without, _ = train(0.0)
    assert angles[0] > 75
    assert angles[-1] < 60
    assert errors[-1] < 0.2 < without[-1]


@pytest.mark.slow
def test_value_and_update_takes_less_than_the_gradients_for_the_same_training(
    tmp_path: Path,
) -> None:
    """As a script of its own, from another folder: what it tells malloc holds for its process."""
    code = "import sys; sys.path[0] = sys.argv.pop(1); import memory; memory.main(depths=(4, 8))"
    command = [sys.executable, "-c", code, RECIPES, f"--out={tmp_path}", "--format=tsv"]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd="/", check=True)
    rows = [line.split("\t") for line in run.stdout.splitlines() if "MiB" in line]
    assert len(rows) == 2
    for row in rows:
        *mib, losses = row[1:]
        gradients, two_calls, one_call = (int(s.split()[0]) for s in mib)
        assert two_calls > 1.9 * gradients
        assert one_call < 16  # at any depth
        assert losses.strip() == "the same to the bit"


SMALL = {
    ensemble: {"members": 3, "epochs": 1},
    feedback_alignment: {"epochs": 2},
    memory: {"depths": (1, 2)},
    residual: {"depths": (1, 2), "epochs": 1},
    sharpness: {"steps": 2},
    wrong_labels: {"epochs": 1},
}


@JVP
@pytest.mark.parametrize("module", SMALL, ids=lambda module: module.__name__)
def test_a_recipe_prints_its_table_and_writes_it_and_its_figure(
    module: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "return_what_is_freed", lambda: None)
    module.main([f"--out={tmp_path}", "--format=latex"], **SMALL[module])
    name = module.__name__.replace("_", "-")
    assert {f.name for f in tmp_path.iterdir()} == {
        f"{name}.{kind}" for kind in ("png", "svg", "json")
    }
    printed = capsys.readouterr().out
    assert printed.count(r"\begin{tabular}") == 1
    assert printed.endswith(f"The figure and {name}.json are in {tmp_path}.\n")
    report = json.loads((tmp_path / f"{name}.json").read_text())
    assert report["machine"]["date"]
    assert printed.count(r"\\") == 1 + len(report["rows"])  # lines of the table


def test_all_recipes_are_tested() -> None:
    names = {file.stem for file in RECIPES.glob("*.py")} - {"recipe"}
    assert names == {module.__name__ for module in SMALL}


def test_a_recipe_runs_on_one_thread_or_as_many_as_one_says() -> None:
    torch.set_num_threads(2)
    recipe.begin("A recipe.", [])
    assert torch.get_num_threads() == 1
    recipe.begin("A recipe.", ["--threads=2"])
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--seed=x", "argument --seed: expected a whole number from 0, got 'x'"),
        ("--threads=0", "argument --threads: expected a whole number from 1, got '0'"),
    ],
)
def test_a_recipe_refuses_a_wrong_option_in_a_line(
    option: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit:
        wrong_labels.main([option])
    assert exit.value.code == 2
    err = capsys.readouterr().err
    assert err.endswith(f": {message}\n")
    assert err.count("\n") == 1


def test_without_scikit_learn_a_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(SystemExit, match=r"scikit-learn is not installed; pip install '.*recipes"):
        load_all()


def test_where_nothing_tells_memory_a_line_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "RESET_PEAK", tmp_path / "none")
    with pytest.raises(SystemExit, match="memory: expected Linux"):
        memory.main([f"--out={tmp_path}"])
