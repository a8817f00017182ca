"""The recipes' claims, in a small size."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import ensemble
import feedback_alignment
import memory
import pytest
import recipe
import residual
import sharpness
import torch
import wrong_labels
from experiment import Points, functional_model, functional_step, pytorch_model
from torch import nn

import functional_dl as fdl

RECIPES = Path(__file__).parent.parent / "scripts" / "recipes"
JVP = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch's own


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def test_most_of_the_top_5_percent_by_gradient_norm_have_wrong_labels() -> None:
    _, _, wrong, tops = wrong_labels.find(epochs=10)
    assert wrong.sum() == len(tops["norm of the gradient"]) == 90
    assert wrong[tops["norm of the gradient"]].double().mean() > 0.75


def test_norms_are_those_of_each_samples_gradient() -> None:
    inputs, targets = torch.rand(3, 64), torch.rand(3, 10)
    norms = wrong_labels.rank(inputs, targets, epochs=0)["norm of the gradient"]
    torch.manual_seed(0)
    torch.rand(3, 74)
    model = nn.Sequential(nn.Linear(64, 50), nn.ReLU(), nn.Linear(50, 10))
    for x, t, norm in zip(inputs, targets, norms, strict=True):
        grads = torch.autograd.grad(nn.functional.mse_loss(model(x), t), [*model.parameters()])
        torch.testing.assert_close(torch.cat([g.flatten() for g in grads]).norm(), norm)


def test_an_ensemble_is_unsure_where_it_is_wrong() -> None:
    training, (inputs, targets) = Points.draw(1000), Points.draw(1000)
    params = ensemble.train(torch.full((16,), 0.1), training, epochs=120)
    votes = ensemble.votes(params, inputs)
    member, majority, close = ensemble.errors(votes, targets.argmax(1))
    assert majority < member < 0.2
    assert close > 0.5  # of the errors, in a tenth of the points


def test_each_member_trains_with_its_own_rate() -> None:
    rates, points = torch.tensor([0.01, 0.1, 0.3]), Points.draw(300)
    torch.manual_seed(1)
    together = fdl.unstack(ensemble.train(rates, points, epochs=5))
    torch.manual_seed(1)
    for params in [functional_model("ReLU").init() for _ in rates]:
        ours, lr = together.pop(0), rates[2 - len(together)]
        for batch in 5 * points.batches():
            params, _ = functional_step("ReLU")(params, lr, batch)
        torch.testing.assert_close(ours, params)


@JVP
def test_sharpness_is_the_top_eigenvalue_of_the_full_hessian() -> None:
    points, module = Points.draw(50), pytorch_model("Tanh")
    shapes = {k: p.shape for k, p in module.named_parameters()}

    def loss(flat: torch.Tensor) -> torch.Tensor:
        parts = zip(shapes.items(), flat.split([s.numel() for s in shapes.values()]), strict=True)
        params = {k: part.view(shape) for (k, shape), part in parts}
        outputs = torch.func.functional_call(module, params, (points.inputs,))
        return nn.functional.mse_loss(outputs, points.targets)

    for _, params, ours in sharpness.descend(0.3, points, steps=31):
        flat = torch.cat([p.flatten() for p in fdl.to_state_dict(params).values()])
        hessian = torch.func.hessian(loss)(flat)
        torch.testing.assert_close(
            ours, torch.linalg.eigvalsh(hessian)[-1].item(), rtol=1e-3, atol=0
        )


@JVP
def test_sharpness_rises_to_two_over_the_rate_and_stays() -> None:
    path = [s for _, _, s in sharpness.descend(0.3, Points.draw(200), steps=1000)]
    assert path[0] < 0.75 * 2 / 0.3
    assert torch.tensor(path[-5:]).mean().item() == pytest.approx(2 / 0.3, rel=0.15)


def test_a_residual_block_keeps_the_contract_and_a_wrong_one_is_caught() -> None:
    params, x = residual.PLAIN.init(), torch.randn(4, 16)
    fdl.check_vjp(residual.residual(residual.PLAIN), params, x)
    forgets = residual.residual(residual.PLAIN)._replace(vjp=residual.PLAIN.vjp)
    with pytest.raises(fdl.VjpError):
        fdl.check_vjp(forgets, params, x)


def test_a_deep_network_learns_by_the_way_around_only() -> None:
    around = residual.train(residual.residual(residual.PLAIN), 30, epochs=15)
    plain = residual.train(residual.PLAIN, 30, epochs=15)
    assert around[-1] < 0.2
    assert plain[-1] > 0.4


def test_feedback_alignment_turns_to_the_gradient_and_learns() -> None:
    astray = [feedback_alignment.astray(f, 1.0) for f in feedback_alignment.LAYERS]
    (_, first), *_, (error, last) = feedback_alignment.train(fdl.sequential(*astray), epochs=15)
    nothing = [feedback_alignment.astray(f, 0.0) for f in feedback_alignment.LAYERS]
    *_, (without, _) = feedback_alignment.train(fdl.sequential(*nothing), epochs=15)
    assert first > 75
    assert last < 60
    assert error < 0.2 < without


def test_value_and_update_takes_less_than_the_gradients_for_the_same_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "")  # and back, after what it is set to
    ((separately, theirs),), ((at_once, ours),) = memory.measure((12,))
    gradients = 12 * 4  # MiB
    assert at_once < gradients / 2
    assert separately > 1.9 * gradients
    assert ours == theirs


SMALL = {
    ensemble: {"members": 3, "epochs": 1},
    feedback_alignment: {"epochs": 2},
    memory: {"depths": (1, 2)},
    residual: {"epochs": 1},
    sharpness: {"steps": 2},
    wrong_labels: {"epochs": 1},
}


@JVP
@pytest.mark.parametrize("module", SMALL, ids=lambda module: module.__name__)
def test_a_recipe_prints_its_table_and_draws_its_figure(
    module: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "measure", lambda depths: 2 * [[(1.0, 0.0)] * len(depths)])
    module.main([f"--out={tmp_path}", "--format=latex"], **SMALL[module])
    name = module.__name__.replace("_", "-")
    assert {f.name for f in tmp_path.iterdir()} == {f"{name}.png", f"{name}.svg"}
    printed = capsys.readouterr().out
    assert printed.count(r"\begin{tabular}") == 1
    assert printed.endswith(f"The figure is in {tmp_path}.\n")


def test_a_recipe_is_under_60_lines_and_all_are_tested() -> None:
    files = {f.stem: f.read_text() for f in RECIPES.glob("*.py") if f.stem != "recipe"}
    assert files.keys() == {module.__name__ for module in SMALL}
    assert max(text.count("\n") for text in files.values()) < 60


def test_a_recipe_is_a_script_of_its_own() -> None:
    command = [sys.executable, RECIPES / "wrong_labels.py", "--seed=x"]
    run = subprocess.run(command, capture_output=True, text=True, cwd="/")
    assert run.returncode == 2
    assert run.stderr == (
        "wrong_labels.py: argument --seed: expected a whole number from 0, got 'x'\n"
    )


def test_without_scikit_learn_a_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(SystemExit, match=r"scikit-learn is not installed; pip install '.*scripts"):
        recipe.digits()


def test_where_nothing_tells_memory_a_line_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "PEAK", tmp_path / "none")
    with pytest.raises(SystemExit, match="memory: expected Linux"):
        memory.measure((1,))
