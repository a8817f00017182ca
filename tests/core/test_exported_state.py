"""A step with an optimizer's state is exported, and trains in ONNX Runtime."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import functional_dl as fdl
from functional_dl.export import export, to_onnx

onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = [pytest.mark.builds, pytest.mark.usefixtures("quick_exports")]

MODEL = fdl.sequential(fdl.linear(3, 4), fdl.relu(), fdl.linear(4, 2))
ADAM = fdl.adam(weight_decay=0.1, decoupled=True)
X, T = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
T = T[:, :2]


def step(
    params: fdl.Params, state: fdl.State, x: Tensor, t: Tensor, lr: Any
) -> tuple[fdl.Params, fdl.State, Tensor]:
    loss, grads = fdl.value_and_grad(MODEL, fdl.mse())(params, x, t)
    params, state = ADAM.update(params, grads, state, lr)
    return params, state, loss


def start() -> tuple[fdl.Params, fdl.State]:
    params = MODEL.init(torch.Generator().manual_seed(0))
    return params, ADAM.init(params)


def test_the_step_trains_by_names_as_python_does(tmp_path: Path) -> None:
    params, state = start()
    to_onnx(step, (params, state, X, T, 0.1), tmp_path / "step.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "step.onnx")
    named = fdl.to_state_dict({"params": params, "state": state})
    assert [i.name for i in session.get_inputs()] == [*named, "inputs", "targets", "lr"]
    gives = [o.name for o in session.get_outputs()]
    assert gives == [*(f"new_{k}" for k in named), "loss"]
    fed = {k: v.numpy() for k, v in named.items()}
    batch = {"inputs": X.numpy(), "targets": T.numpy()}
    losses: list[float] = []
    for i in range(30):
        lr = torch.tensor(0.1 / (i + 1) ** 0.5)
        made = dict(zip(gives, session.run(None, fed | batch | {"lr": lr.numpy()}), strict=True))
        fed = {k: made[f"new_{k}"] for k in fed}
        params, state, loss = step(params, state, X, T, lr)
        assert made["loss"] == pytest.approx(loss.item(), rel=1e-4)  # Adam divides rounding by √v
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4
    assert fed["state.step"] == 30


def test_a_gradient_of_zero_moves_nothing(tmp_path: Path) -> None:
    """onnxscript takes ε for zero, and 0 / 0 would follow."""
    params, state = start()
    to_onnx(step, (params, state, X, T, 0.1), tmp_path / "step.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "step.onnx")
    params["2"] = fdl.tree_map(torch.zeros_like, params["2"])  # so no gradient gets to "0"
    named = fdl.to_state_dict({"params": params, "state": state})
    given = {k: v.numpy() for k, v in named.items()}
    given |= {"inputs": X.numpy(), "targets": 0 * T.numpy(), "lr": torch.tensor(0.0).numpy()}
    for name, new in zip(named, session.run([f"new_{k}" for k in named], given), strict=True):
        if name.startswith("params"):
            assert torch.equal(torch.from_numpy(new), named[name])


def test_powers_of_adams_betas_are_exported_in_double_precision(tmp_path: Path) -> None:
    """In single precision, 1 − β₂ is off by 3e-5, and so is a first step."""

    def step(params: fdl.Params, state: fdl.State, x: Tensor, t: Tensor, lr: Any) -> Any:
        return *ADAM.update(params, {"w": x.sum(0)}, state, lr), t.sum()

    params = {"w": torch.zeros(3)}
    to_onnx(step, (params, ADAM.init(params), X, T, 0.1), tmp_path / "step.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "step.onnx")
    named = fdl.to_state_dict({"params": params, "state": ADAM.init(params)})
    given = {k: v.numpy() for k, v in named.items()} | {"inputs": X.numpy()}
    given |= {"targets": T.numpy(), "lr": torch.tensor(1.0).numpy()}
    (theirs,) = session.run(["new_params.w"], given)
    ours, *_ = step(params, ADAM.init(params), X, T, torch.tensor(1.0))
    few_roundings = 8 * torch.finfo(torch.float32).eps
    assert torch.allclose(torch.from_numpy(theirs), ours["w"], rtol=few_roundings, atol=0)


def test_all_of_training_is_one_call(tmp_path: Path) -> None:
    params, state = start()
    to_onnx(step, (params, state, X, T, 0.1), tmp_path / "training.onnx", loop="steps")
    session = onnxruntime.InferenceSession(tmp_path / "training.onnx")
    named = fdl.to_state_dict({"params": params, "state": state})
    xs, ts = torch.randn(2, 5, 3), torch.randn(2, 5, 2)
    given = {k: v.numpy() for k, v in named.items()} | {"inputs": xs.numpy(), "targets": ts.numpy()}
    given |= {"lr": torch.tensor(0.1).numpy(), "steps": torch.tensor(4).numpy()}
    wanted = ["loss", "new_state.step", "new_params.2.bias"]
    losses, count, bias = session.run(wanted, given)
    expected: list[float] = []
    for i in range(4):
        params, state, loss = step(params, state, xs[i % 2], ts[i % 2], torch.tensor(0.1))
        expected.append(loss.item())
    assert losses.tolist() == pytest.approx(expected, rel=1e-4)
    assert count == 4
    assert torch.allclose(torch.from_numpy(bias), params["2"]["bias"], rtol=1e-3, atol=1e-4)


def test_the_program_is_called_as_step_is() -> None:
    params, state = start()
    program = export(step, (params, state, X, T, 0.1)).module()
    lr = torch.tensor(0.1)
    ours = program(params, state, X[:3], T[:3], lr)
    for a, b in zip(
        *map(fdl.tree_leaves, (ours, step(params, state, X[:3], T[:3], lr))), strict=True
    ):
        assert torch.equal(a, b)


@pytest.mark.refuses
@pytest.mark.parametrize(
    ("broken", "error", "message"),
    [
        (lambda *a: step(*a)[::2], TypeError, r"to return \(new params, new state, loss\), got"),
        (lambda *a: (*step(*a)[:2], 0.0), TypeError, r"to return \(new params, new state, loss\)"),
        (lambda p, *a: (p, {"step": p}, a[1].sum()), ValueError, "new state like state, "),
        (lambda p, s, *a: (s, s, a[0].sum()), ValueError, "new params like params, "),
    ],
)
def test_a_step_that_gives_another_state_is_refused(
    broken: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^export: expected .*{message}"):
        export(broken, (*start(), X, T, 0.1))


@pytest.mark.refuses
def test_a_state_without_targets_is_refused() -> None:
    for parts in ((*start(), X), (*start(), X, T, 0.1, 0.1)):
        with pytest.raises(ValueError, match=r"^export: expected "):
            export(step, parts)


@pytest.mark.slow
def test_a_gpt_trains_elsewhere_as_in_python(tmp_path: Path) -> None:
    model = fdl.gpt(7, 6, features=8, heads=2, blocks=1)
    loss_and_grads = fdl.value_and_grad(model, fdl.cross_entropy())

    def step(params: fdl.Params, state: fdl.State, x: Tensor, t: Tensor) -> tuple[Any, ...]:
        loss, grads = loss_and_grads(params, x, t)
        return *ADAM.update(params, grads, state, 0.01), loss

    params = model.init(torch.Generator().manual_seed(0))
    state = ADAM.init(params)
    x = torch.randint(7, (2, 6), generator=torch.Generator().manual_seed(0))
    to_onnx(step, (params, state, x, x.flip(1)), tmp_path / "gpt.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "gpt.onnx")
    given = {k: v.numpy() for k, v in fdl.to_state_dict({"params": params, "state": state}).items()}
    for _ in range(10):
        # Adam divides rounding by √v where a gradient is zero, such as a key's bias.
        batch = {"inputs": x.numpy(), "targets": x.flip(1).numpy()}
        *new, their_loss = session.run(None, given | batch)
        given = dict(zip(given, new, strict=True))
        params, state, loss = step(params, state, x, x.flip(1))
        assert their_loss == pytest.approx(loss.item(), rel=1e-4)
