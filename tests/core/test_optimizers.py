"""Optimizers beyond their cases: states, bad input, donated memory and transforms."""

import copy
import pickle
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, ones
from torch._inductor.utils import get_code

import functional_dl as fdl
from cases import same_trees

OPTIMIZERS = {
    "momentum": fdl.momentum(nesterov=True),
    "momentum, dampened": fdl.momentum(dampening=0.1, weight_decay=0.1),
    "adam": fdl.adam(),
    "adamw": fdl.adam(weight_decay=0.1, decoupled=True, decays=lambda p: p.dim() >= 2),
    "rmsprop": fdl.rmsprop(momentum=0.9, centered=True),
    "adagrad": fdl.adagrad(lr_decay=0.1),
}
ADAM = fdl.adam()


def draw(*shape: int) -> fdl.Params:
    """The tensors are made here, in inference mode if it is on."""
    return {
        "0": {"weight": torch.randn(*shape, 3, 2), "bias": torch.randn(*shape, 2)},
        "1": {},
        "scale": torch.randn(shape),
    }


def trained(
    optimizer: fdl.Optimizer, steps: int = 2, shape: Sequence[int] = ()
) -> tuple[fdl.Params, fdl.Params, fdl.State]:
    """Params and a state after some steps, and gradients for another."""
    params = draw(*shape)
    state = optimizer.init(params)
    for _ in range(steps):
        params, state = optimizer.update(params, draw(*shape), state, 0.1)
    return params, draw(*shape), state


# The state


def test_a_state_has_the_names_of_pytorchs_and_is_like_params() -> None:
    params = draw()
    names = {
        "momentum": ["momentum_buffer"],
        "momentum, dampened": ["step", "momentum_buffer"],
        "adam": ["step", "exp_avg", "exp_avg_sq"],
        "adamw": ["step", "exp_avg", "exp_avg_sq"],
        "rmsprop": ["square_avg", "grad_avg", "momentum_buffer"],
        "adagrad": ["step", "sum"],
    }
    for name, optimizer in OPTIMIZERS.items():
        state = optimizer.init(params)
        assert [*state] == names[name]
        for entry in state.keys() - {"step"}:
            assert same_trees(
                fdl.tree_map(torch.zeros_like, params), fdl.tree_map(abs, state[entry])
            )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_new_state_is_laid_out_as_before_with_another_number(name: str) -> None:
    params, grads, state = trained(OPTIMIZERS[name])
    _, new = OPTIMIZERS[name].update(params, grads, state, 0.1)
    assert [*new] == [*state]
    for entry in state.keys() - {"step"}:
        assert fdl.to_state_dict(new[entry]).keys() == fdl.to_state_dict(params).keys()
    if "step" in state:
        assert (state["step"].item(), new["step"].item()) == (2, 3)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("lr", [0.1, torch.tensor(0.1)])
def test_a_state_keeps_its_strides_whatever_those_of_gradients(
    name: str, lr: float | Tensor
) -> None:
    params = {"w": torch.randn(3, 2)}
    state = OPTIMIZERS[name].init(params)
    for _ in range(2):
        params, new = OPTIMIZERS[name].update(params, {"w": torch.randn(2, 3).mT}, state, lr)
        for ours, before in zip(*map(fdl.tree_leaves, (new, state)), strict=True):
            assert ours.stride() == before.stride()
        state = new


def test_a_state_dict_holds_a_state() -> None:
    params, _, state = trained(ADAM)
    flat = fdl.to_state_dict(state)
    assert [*flat][:2] == ["step", "exp_avg.0.weight"]
    assert len(flat) == 1 + 2 * len(fdl.to_state_dict(params))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_0d_leaf_keeps_its_dtype_whatever_the_rate_has(name: str) -> None:
    params, grads, state = trained(OPTIMIZERS[name])
    for dtype in (torch.float64, torch.float32, torch.float16):
        given = fdl.tree_map(lambda p, dtype=dtype: p.to(dtype), [params, grads])
        state = OPTIMIZERS[name].init(given[0])
        new, _ = OPTIMIZERS[name].update(*given, state, torch.tensor(0.1, dtype=torch.float64))
        assert new["scale"].dtype == dtype
    new = fdl.sgd(params, grads, torch.tensor(0.1, dtype=torch.float64))
    assert new["scale"].dtype == torch.float32


@pytest.mark.parametrize(
    "make",
    [
        fdl.adam,
        partial(fdl.adam, decoupled=True),
        fdl.momentum,
        partial(fdl.momentum, 0.0),
        fdl.rmsprop,
        fdl.adagrad,
    ],
)
def test_only_leaves_that_decay_do(make: Callable[..., fdl.Optimizer]) -> None:
    params = {"w": ones(2, 2), "b": ones(2)}
    grads = fdl.tree_map(torch.zeros_like, params)
    optimizer = make(weight_decay=0.5, decays=lambda p: p.dim() >= 2)
    new, _ = optimizer.update(params, grads, optimizer.init(params), 0.5)
    assert (new["w"] < 1).all()
    assert torch.equal(new["b"], ones(2))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_rate_that_is_a_tensor_takes_the_same_steps_as_a_number(name: str) -> None:
    optimizer, params = OPTIMIZERS[name], draw()
    numbers = tensors = params, optimizer.init(params)
    for _ in range(3):
        grads = draw()
        numbers = optimizer.update(numbers[0], grads, numbers[1], 0.25)
        rate = torch.tensor(0.25, dtype=torch.float64)
        tensors = optimizer.update(tensors[0], grads, tensors[1], rate)
        assert same_trees(numbers, tensors)


def test_by_a_rate_in_single_precision_params_decay_as_by_that_number() -> None:
    optimizer, params, grads = fdl.adam(weight_decay=0.9, decoupled=True), draw(), draw()
    state = optimizer.init(params)
    for percent in range(1, 100):
        rate = torch.tensor(percent / 100)
        by_tensor = optimizer.update(params, grads, state, rate)
        assert same_trees(by_tensor, optimizer.update(params, grads, state, rate.item()))


@pytest.mark.parametrize("name", [*OPTIMIZERS, "sgd"])
@pytest.mark.parametrize("dtypes", [(torch.float32,), (torch.float64, torch.float32, torch.half)])
def test_leaves_that_are_updated_together_become_what_each_would_alone(
    name: str, dtypes: Sequence[torch.dtype]
) -> None:
    shapes = [(3, 2), (), (2, 3), (5,), (200, 100), (0,), (), (150, 150)]
    params, grads = (
        {
            str(i): torch.randn(shape, dtype=dtypes[i % len(dtypes)])
            for i, shape in enumerate(shapes)
        }
        for _ in range(2)
    )

    def stepped(params: fdl.Params, grads: fdl.Params) -> fdl.Params:
        if name == "sgd":
            return fdl.sgd(params, grads, 0.1)
        state = OPTIMIZERS[name].init(params)
        return OPTIMIZERS[name].update(params, grads, state, 0.1)[0]

    alone = {k: stepped({k: p}, {k: grads[k]})[k] for k, p in params.items()}
    assert same_trees(stepped(params, grads), alone)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # jvp's first use
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_has_derivatives_by_its_rate_its_params_and_its_gradients(name: str) -> None:
    optimizer = OPTIMIZERS[name]
    params, grads, state = trained(optimizer)
    params, grads, state = fdl.tree_map(Tensor.double, (params, grads, state))
    rate = torch.tensor(0.1, dtype=torch.float64)

    def step(lr: Tensor, params: fdl.Params, grads: fdl.Params) -> Tensor:
        new = fdl.tree_leaves(optimizer.update(params, grads, state, lr))
        return sum((leaf * (i + 1)).sin().sum() for i, leaf in enumerate(new))  # type: ignore

    given = rate, params, grads
    along = fdl.tree_map(torch.randn_like, given)
    _, change = torch.func.jvp(step, given, along)
    slopes = torch.func.grad(step, argnums=(0, 1, 2))(*given)
    pairs = zip(*map(fdl.tree_leaves, (slopes, along)), strict=True)
    # Forward and reverse sum in other orders.
    assert torch.allclose(sum((a * b).sum() for a, b in pairs), change, rtol=1e-9)  # type: ignore
    h = 1e-6
    before, after = (
        step(*fdl.tree_map(lambda t, d, k=k: t + k * h * d, given, along)) for k in (-1, 1)
    )
    assert torch.allclose((after - before) / (2 * h), change, rtol=1e-5)  # of h², and of 1e-16 / h


def test_decays_is_asked_of_each_leaf_of_params() -> None:
    params, asked = draw(), []
    optimizer = fdl.adam(weight_decay=0.1, decays=lambda p: not asked.append(p))
    optimizer.update(params, draw(), optimizer.init(params), 0.1)
    assert all(a is b for a, b in zip(asked, fdl.tree_leaves(params), strict=True))


@pytest.mark.parametrize("make", [pickle.dumps, copy.deepcopy])
def test_an_optimizer_is_pickled_and_printed_as_its_call(make: Callable[[Any], Any]) -> None:
    optimizer = fdl.adam(0.8, decoupled=True)
    again = make(optimizer)
    again = pickle.loads(again) if isinstance(again, bytes) else again
    assert isinstance(again, fdl.Optimizer)
    assert repr(again) == repr(optimizer) == "adam(0.8, decoupled=True)"
    params, grads, state = trained(optimizer)
    assert same_trees(
        again.update(params, grads, state, 0.1), optimizer.update(params, grads, state, 0.1)
    )


def own() -> fdl.Optimizer:
    """Somebody's own optimizer."""

    def update(
        params: fdl.Params, grads: fdl.Params, state: fdl.State, lr: Any, *, donate: bool = False
    ) -> tuple[fdl.Params, fdl.State]:
        return fdl.sgd(params, grads, lr), {"step": state["step"] + 1}

    return fdl.Optimizer(lambda params: {"step": torch.zeros(())}, update)


def test_an_optimizer_of_ones_own_has_the_name_of_what_made_it() -> None:
    assert repr(own()) == "own()"


# Bad input


W, B = ones(2, 3), ones(2)
PARAMS: Any = {"0": {"weight": W, "bias": B}}
STATE: Any = ADAM.init(PARAMS)
F = "a float32 tensor of shape"
BAD_STATES: list[tuple[Any, type[Exception], str]] = [
    (None, TypeError, "adam: expected state to be a dict, got None"),
    (
        {},
        ValueError,
        "adam: expected state with the keys ['step', 'exp_avg', 'exp_avg_sq'], got []",
    ),
    (
        fdl.momentum().init(PARAMS),
        ValueError,
        "adam: expected state with the keys ['step', 'exp_avg', 'exp_avg_sq'], got ['momentum_b",
    ),
    (
        STATE | {"more": ones(())},
        ValueError,
        "adam: expected state with the keys ['step', 'exp_avg', 'exp_avg_sq'], got ['step', 'exp",
    ),
    (
        ADAM.init({"0": {"weight": W}}),
        ValueError,
        "adam: expected state['exp_avg']['0'] with the keys ['weight', 'bias'], got ['weight']",
    ),
    (
        STATE | {"exp_avg": PARAMS | {"1": W}},
        ValueError,
        "adam: expected state['exp_avg'] with the keys ['0'], got ['0', '1']",
    ),
    (
        STATE | {"exp_avg_sq": {"0": {"weight": ones(1, 3), "bias": B}}},
        ValueError,
        f"adam: expected state['exp_avg_sq']['0']['weight'] to be {F} (2, 3), got {F} (1, 3)",
    ),
    (
        fdl.tree_map(Tensor.double, STATE),
        TypeError,
        f"adam: expected state['exp_avg']['0']['weight'] to be {F} (2, 3), got a float64",
    ),
    (
        STATE | {"exp_avg": ones(())},
        TypeError,
        "adam: expected state['exp_avg'] to be a dict, got a float32",
    ),
    (
        STATE | {"step": 0},
        TypeError,
        "adam: expected state['step'] to be a float64 tensor of shape (), got 0",
    ),
    (
        STATE | {"step": ones(())},
        TypeError,
        "adam: expected state['step'] to be a float64 tensor of shape (), got a float32",
    ),
    (
        STATE | {"step": ones(3, dtype=torch.float64)},
        ValueError,
        "adam: expected state['step'] to be a float64 tensor of shape (), got a float64 tensor of",
    ),
]


@pytest.mark.refuses
@pytest.mark.parametrize(("state", "error", "message"), BAD_STATES)
def test_a_state_of_something_else_is_refused(
    state: Any, error: type[Exception], message: str
) -> None:
    before = fdl.tree_map(torch.clone, [PARAMS, STATE])
    with pytest.raises(error) as caught:
        ADAM.update(PARAMS, PARAMS, state, 0.1)
    assert str(caught.value).startswith(message)
    assert same_trees([PARAMS, STATE], before)


TIED: Any = {"a": W, "b": W}
COMPLEX: Any = {"a": W.cfloat()}
ODD: Any = {"0": W}
BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: ADAM.update(PARAMS, ODD, STATE, 0.1),
        TypeError,
        "adam: expected grads['0'] to be a dict, got a float32",
    ),
    (
        lambda: ADAM.update(PARAMS, {}, STATE, 0.1),
        ValueError,
        "adam: expected grads with the keys ['0'], got []",
    ),
    (lambda: ADAM.update(PARAMS, PARAMS, STATE, -1), ValueError, "adam: expected lr to be finite"),
    (
        lambda: ADAM.update(PARAMS, PARAMS, STATE, 1e39),
        ValueError,
        "adam: expected lr to be a torch.float32, got 1e+39",
    ),
    (
        lambda: ADAM.update(TIED, {"a": W, "b": W}, ADAM.init({"a": W, "b": W.clone()}), 0.1),
        ValueError,
        "adam: expected tensors of their own, got one as 'a' and 'b'",
    ),
    (
        lambda: ADAM.init(TIED),
        ValueError,
        "adam.init: expected tensors of their own, got one as 'a' and 'b'",
    ),
    (
        lambda: ADAM.init(COMPLEX),
        TypeError,
        "adam.init: expected params['a'] to be a floating tensor, got a complex64",
    ),
    (
        lambda: ADAM.update(
            COMPLEX, COMPLEX, {"step": STATE["step"], "exp_avg": COMPLEX, "exp_avg_sq": COMPLEX}, 1
        ),
        TypeError,
        "adam: expected params['a'] to be a floating tensor, got a complex64",
    ),
    (lambda: ADAM.init([W]), TypeError, "adam.init: expected params to be a dict, got"),  # type: ignore
    (lambda: fdl.adam(beta1=1.0), ValueError, "adam: expected beta1 in [0, 1), got 1.0"),
    (lambda: fdl.adam(beta2=-0.1), ValueError, "adam: expected beta2 in [0, 1), got -0.1"),
    (lambda: fdl.adam(eps=-1e-8), ValueError, "adam: expected eps in [0, inf), got -1e-08"),
    (lambda: fdl.adam(eps=float("nan")), ValueError, "adam: expected eps in [0, inf), got nan"),
    (lambda: fdl.adam(eps="0"), TypeError, "adam: expected eps to be a number, got '0'"),  # type: ignore
    (
        lambda: fdl.adam(weight_decay=-1),
        ValueError,
        "adam: expected weight_decay in [0, inf), got -1",
    ),
    (
        lambda: fdl.adam(decays=2),  # type: ignore
        TypeError,
        "adam: expected decays to be a function of a leaf, got 2",
    ),
    (lambda: fdl.momentum(1.0), ValueError, "momentum: expected mu in [0, 1), got 1.0"),
    (
        lambda: fdl.momentum(dampening=1.5),
        ValueError,
        "momentum: expected dampening in [0, 1), got 1.5",
    ),
    (
        lambda: fdl.momentum(nesterov=True, dampening=0.1),
        ValueError,
        "momentum: expected mu above 0 and no dampening with nesterov, got mu=0.9, dampening=0.1",
    ),
    (lambda: fdl.rmsprop(1.0), ValueError, "rmsprop: expected alpha in [0, 1), got 1.0"),
    (lambda: fdl.rmsprop(eps=-1), ValueError, "rmsprop: expected eps in [0, inf), got -1"),
    (lambda: fdl.rmsprop(momentum=1), ValueError, "rmsprop: expected momentum in [0, 1), got 1"),
    (lambda: fdl.adagrad(-1), ValueError, "adagrad: expected lr_decay in [0, inf), got -1"),
    (lambda: fdl.adagrad(eps=-1), ValueError, "adagrad: expected eps in [0, inf), got -1"),
    (
        lambda: fdl.adagrad(initial_accumulator_value=-1),
        ValueError,
        "adagrad: expected initial_accumulator_value in [0, inf), got -1",
    ),
]


@pytest.mark.refuses
@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input_is_refused_by_name(
    call: Callable[[], Any], error: type[Exception], message: str
) -> None:
    before = fdl.tree_map(torch.clone, [PARAMS, STATE])
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(message)
    assert same_trees([PARAMS, STATE], before)


# Beside PyTorch's, in what is rare


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (fdl.momentum(), partial(torch.optim.SGD, momentum=0.9)),
        (fdl.adam(), torch.optim.Adam),
        (fdl.rmsprop(), torch.optim.RMSprop),
        (fdl.adagrad(), torch.optim.Adagrad),
    ],
)
def test_options_that_are_not_given_are_pytorchs(
    ours: fdl.Optimizer, theirs: Callable[..., torch.optim.Optimizer]
) -> None:
    params = {"p": torch.randn(5)}
    leaf = params["p"].clone().requires_grad_()
    optimizer, state = theirs([leaf], lr=0.1), ours.init(params)
    for _ in range(3):
        leaf.grad = 1e-6 * torch.randn(5)  # so small that eps shows
        params, state = ours.update(params, {"p": leaf.grad}, state, 0.1)
        optimizer.step()
    assert torch.equal(params["p"], leaf.detach())


def test_adam_in_double_precision_equals_pytorchs_over_many_steps() -> None:
    """Of x ** 0.5 and sqrt(x), and of a / b and a * (1 / b), one in fifty differs."""
    params = {"p": torch.zeros(5, dtype=torch.float64)}
    leaf = params["p"].clone().requires_grad_()
    theirs, state = torch.optim.Adam([leaf], lr=0.1), ADAM.init(params)
    for _ in range(300):
        grads = {"p": torch.randn(5, dtype=torch.float64)}
        leaf.grad = grads["p"].clone()
        theirs.step()
        new, state = ADAM.update(params, grads, state, 0.1)
        assert torch.equal(new["p"], leaf.detach())
        leaf.detach().zero_()  # where all bits of a step show


@pytest.mark.parametrize("lr", [0.1, torch.tensor(0.1)])
def test_a_first_gradient_is_remembered_whatever_was_before(lr: float | Tensor) -> None:
    params, optimizer = {"w": ones(2)}, fdl.momentum(dampening=0.1)
    state = optimizer.init(params) | {"momentum_buffer": {"w": torch.tensor([torch.inf, 5.0])}}
    grads = {"w": torch.tensor([3.0, -0.0])}
    _, state = optimizer.update(params, grads, state, lr)
    assert same_trees(state["momentum_buffer"], grads)


def test_a_first_gradient_of_minus_zero_is_remembered_as_that() -> None:
    params, grads = {"p": ones(2)}, {"p": torch.tensor([-0.0, 0.0])}
    optimizer = fdl.momentum()
    _, state = optimizer.update(params, grads, optimizer.init(params), 0.1)
    assert state["momentum_buffer"]["p"].signbit().tolist() == [True, False]


# All leaves as one


@pytest.mark.parametrize("donate", [False, True])
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "adamw"])
def test_flat_gives_the_same_bits(name: str, donate: bool) -> None:
    optimizer, flat = OPTIMIZERS[name], fdl.flat(OPTIMIZERS[name])
    with torch.inference_mode(donate):
        params = ours = draw() | {"turned": torch.randn(2, 3).mT}
        state, our_state = optimizer.init(params), flat.init(params)
        for _ in range(3):
            grads = draw() | {"turned": torch.randn(2, 3).mT}
            params, state = optimizer.update(params, grads, state, 0.1)
            ours, our_state = flat.update(ours, grads, our_state, 0.1, donate=donate)
    assert same_trees(ours, params)
    assert [*our_state] == [*state]


def test_flat_for_many_members_and_for_params_without_leaves() -> None:
    flat, rates = fdl.flat(ADAM), torch.tensor([0.1, 0.2])
    members = [trained(flat), trained(flat)]
    alone = [flat.update(*member, lr) for member, lr in zip(members, rates, strict=True)]
    assert same_trees(torch.vmap(flat.update)(*fdl.stack(members), rates), fdl.stack(alone))
    state = flat.init({"0": {}})
    assert flat.update({"0": {}}, {"0": {}}, state, 0.1)[0] == {"0": {}}
    assert repr(pickle.loads(pickle.dumps(fdl.flat(fdl.adam(0.8))))) == "flat(adam(0.8))"


MIXED: Any = {"a": ones(2), "b": ones(2).double()}


@pytest.mark.refuses
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fdl.flat(fdl.sgd), TypeError, "flat: expected optimizer to be an Optimizer"),
        (
            lambda: fdl.flat(OPTIMIZERS["adamw"]),
            ValueError,
            "flat: expected an optimizer that treats all leaves alike, got decays",
        ),
        (lambda: fdl.flat(ADAM).init(MIXED), TypeError, "flat: expected leaves of one dtype"),
        (
            lambda: fdl.flat(ADAM).init(COMPLEX),
            TypeError,
            "flat.init: expected params['a'] to be a floating tensor, got a complex64",
        ),
        (
            lambda: fdl.flat(ADAM).update({"a": W}, {"a": W.mT}, fdl.flat(ADAM).init({"a": W}), 1),
            ValueError,
            "flat: expected grads['a'] to be a float32 tensor of shape (2, 3), got",
        ),
        (
            lambda: fdl.flat(ADAM).update({"a": W}, {"a": W}, ADAM.init({"a": W}), 1),
            ValueError,
            "adam: expected state['exp_avg'] with the keys ['flat'], got ['a']",
        ),
        (
            lambda: fdl.flat(ADAM).update(TIED, TIED, fdl.flat(ADAM).init({"a": W}), 1),
            ValueError,
            "flat: expected tensors of their own",
        ),
        (
            lambda: fdl.flat(ADAM).update({"a": W}, {"a": W}, fdl.flat(ADAM).init({"a": W}), "1"),
            TypeError,
            "flat: expected lr to be",
        ),
    ],
)
def test_what_flat_refuses(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(message)


# Schedules


def test_cosine_goes_up_in_a_line_and_down_to_the_end() -> None:
    rate = fdl.cosine(1.0, steps=6, warmup=2, end=0.2)
    assert [rate(t) for t in (0, 1, 2, 6, 100)] == [0.5, 1.0, 1.0, 0.2, 0.2]
    assert rate(4) == pytest.approx(0.6)  # half way
    assert fdl.cosine(0.3, steps=5)(0) == 0.3


def test_a_schedule_begins_at_the_highest_rate_and_ends_at_zero_by_default() -> None:
    rate = fdl.cosine(0.1, 4)
    assert rate(0) == 0.1
    assert rate(4) == rate(5) == 0


@pytest.mark.parametrize("warmup", [0, 1, 3])
def test_cosine_gives_for_a_tensor_what_it_gives_for_a_number(warmup: int) -> None:
    rate = fdl.cosine(0.3, steps=10, warmup=warmup, end=0.01)
    for t in range(12):
        for step in (torch.tensor(t), torch.tensor(t, dtype=torch.float64)):
            ours = rate(step)
            assert isinstance(ours, Tensor)
            assert ours.dim() == 0
            assert ours.dtype == (step.dtype if step.is_floating_point() else torch.float32)
            assert ours.item() == pytest.approx(rate(t), abs=1e-7)  # half a unit of single
    assert torch.vmap(rate)(torch.arange(12)).tolist() == pytest.approx([*map(rate, range(12))])


@pytest.mark.refuses
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lr": -1.0}, ValueError, "lr in [0, inf), got -1.0"),
        ({"end": -1.0}, ValueError, "end in [0, inf), got -1.0"),
        ({"steps": 0}, ValueError, "steps in [1, inf), got 0"),
        ({"warmup": 10}, ValueError, "warmup in [0, 10), got 10"),
        ({"steps": "10"}, TypeError, "steps to be a number, got '10'"),
    ],
)
def test_what_cosine_refuses(options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        fdl.cosine(**{"lr": 0.1, "steps": 10, **options})
    assert str(caught.value) == f"cosine: expected {message}"


# Compiled


@pytest.mark.builds
@pytest.mark.parametrize("optimizer", [ADAM, fdl.flat(ADAM)])
def test_a_schedule_and_an_optimizer_are_compiled_in_a_loop(optimizer: fdl.Optimizer) -> None:
    torch.compiler.reset()
    rate, grads = fdl.cosine(0.1, steps=4, warmup=1), fdl.stack([draw() for _ in range(4)])

    def step(carry: Any, g: fdl.Params) -> tuple[Any, Tensor]:
        params, state = carry
        lr = rate(state["step"])
        g, norm = fdl.clip_norm(g, 1.0)
        return optimizer.update(params, g, state, lr), norm

    def epoch(params: fdl.Params, state: fdl.State) -> Any:
        return fdl.scan(step, (params, state), grads)

    params = draw()
    given = params, optimizer.init(params)
    ours = torch.compile(epoch, fullgraph=True, backend="eager")(*given)
    assert same_trees(ours, epoch(*given))  # this backend runs the same kernels


def adamw_step(params: fdl.Params, step: Tensor) -> fdl.Params:
    state = ADAM.init(params) | {"step": step}
    return fdl.adam(weight_decay=0.1, decoupled=True).update(params, params, state, step)[0]


def scheduled_step(params: fdl.Params, step: Tensor) -> fdl.Params:
    return fdl.sgd(params, params, fdl.cosine(0.1, steps=4)(step))


@pytest.mark.slow
@pytest.mark.builds
@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")  # torch's own
@pytest.mark.parametrize(("step", "function"), [(adamw_step, "pow("), (scheduled_step, "cos(")])
def test_compiled_it_computes_what_is_of_no_leaf_once(
    step: Callable[..., fdl.Params], function: str
) -> None:
    def times(leaves: int) -> int:
        torch.compiler.reset()
        f = torch.compile(
            lambda *args: torch.cat([*step(*args).values()]),
            fullgraph=True,
            options={"fx_graph_cache": False},  # get_code writes code that is not to be kept
        )
        params = {str(i): ones(2 + i) for i in range(leaves)}
        code = get_code(f, params, torch.zeros((), dtype=torch.float64))
        return "".join(code).count(function)

    assert times(1) == times(3) > 0


# Donated memory, and transforms


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_new_state_lies_where_the_donated_one_lay(name: str) -> None:
    with torch.inference_mode():  # of leaves of which two are too large to be done at once
        params, grads, state = trained(OPTIMIZERS[name], shape=(100, 100))
        _, new = OPTIMIZERS[name].update(params, grads, state, 0.1, donate=True)
    for k in state.keys() - {"step"}:
        for old, leaf in zip(*map(fdl.tree_leaves, (state[k], new[k])), strict=True):
            assert leaf.data_ptr() == old.data_ptr()


@pytest.mark.parametrize("donate", [{}, {"donate": False}, {"donate": True}])
def test_flat_donates_its_state_where_it_is_told_to(donate: dict[str, bool]) -> None:
    with torch.inference_mode():
        params, grads, state = trained(fdl.flat(ADAM), shape=(100, 100))
        _, new = fdl.flat(ADAM).update(params, grads, state, 0.1, **donate)
    for k in ("exp_avg", "exp_avg_sq"):
        same = new[k]["flat"].data_ptr() == state[k]["flat"].data_ptr()
        assert same == donate.get("donate", False)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_nothing_is_donated_outside_of_inference_mode(name: str) -> None:
    given = trained(OPTIMIZERS[name])
    before = fdl.tree_map(torch.clone, given)
    OPTIMIZERS[name].update(*given, 0.1, donate=True)
    assert same_trees(given, before)


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_member_of_an_ensemble_goes_its_own_way_at_its_own_rate(
    name: str, inference: bool
) -> None:
    optimizer, rates = OPTIMIZERS[name], torch.tensor([0.1, 0.2, 0.3])
    with torch.inference_mode(inference):
        members = [trained(optimizer, steps) for steps in (1, 2, 3)]
        alone = [optimizer.update(*member, lr) for member, lr in zip(members, rates, strict=True)]
        update = partial(optimizer.update, donate=inference)
        together = torch.vmap(update)(*fdl.stack(members), rates)
    assert same_trees(together, fdl.stack(alone))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_many_rates_may_start_from_one_state(name: str) -> None:
    optimizer, rates = OPTIMIZERS[name], torch.tensor([0.1, 0.2])
    params, grads, state = trained(optimizer)
    over_rates = torch.vmap(optimizer.update, (None, None, None, 0))
    alone = [optimizer.update(params, grads, state, lr) for lr in rates]
    assert same_trees(over_rates(params, grads, state, rates), fdl.stack(alone))
    gradients = [draw(), draw()]
    over_grads = torch.vmap(optimizer.update, (None, 0, None, None))
    alone = [optimizer.update(params, grads, state, 0.1) for grads in gradients]
    assert same_trees(over_grads(params, fdl.stack(gradients), state, 0.1), fdl.stack(alone))


def test_states_of_an_ensemble_start_from_its_params() -> None:
    members = [draw(), draw()]
    states = torch.vmap(ADAM.init)(fdl.stack(members))
    assert same_trees(states, fdl.stack([ADAM.init(params) for params in members]))


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_a_step_has_a_derivative(name: str) -> None:
    params, grads, state = fdl.tree_map(Tensor.double, trained(OPTIMIZERS[name]))

    def along(t: Tensor) -> Tensor:
        given = fdl.tree_map(lambda g: g * t, grads)
        return OPTIMIZERS[name].update(params, given, state, 0.1)[0]["0"]["weight"].sum()

    t, h = ones((), dtype=torch.float64), 1e-5
    _, slope = torch.func.jvp(along, (t,), (t,))
    # Differences of second order are h² off, and rounding 1e-16 / h.
    assert torch.allclose(slope, (along(t + h) - along(t - h)) / (2 * h), rtol=1e-6, atol=1e-8)
