"""A step written out as what it does with tensors, without what its Python takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from operator import getitem
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.fx import Graph, Node
from torch.overrides import TorchFunctionMode
from torch.random import fork_rng

from functional_dl._tree import tree_leaves, tree_map

R_co = TypeVar("R_co", covariant=True)


@runtime_checkable
class Traced(Protocol[R_co]):
    """A step as the tensor operations that it comes to for an example.

    Attributes:
        code: The operations, as Python; first, in comments, which numbers its constants are.
        fallbacks: How many calls went to the step itself.
        why: Why the last of these did.
    """

    code: str
    fallbacks: int
    why: str

    def __call__(self, *args: Any) -> R_co:
        """What step gives for the same arguments."""
        ...


def trace(step: Callable[..., R_co], *example: Any) -> Traced[R_co]:
    """step as the tensor operations that it comes to for an example, one after the other.

    The same in every bit, in little more time than the operations take: there are no layers left,
    no closures and no checks, but one that the arguments are like the example. Those that aren't
    go to step, and so does what fails.

    The operations are recorded from tensors without values (PyTorch's fake tensors), so nothing
    that depends on values can be written down as a constant. Then what is written is compared with
    step, in every bit, on a copy of the example and on other values. Whatever else step takes from
    outside stays as it is now: which tensors these are, and what numbers.

    Args:
        step: A pure function, such as one of params and a batch, that looks at no tensor's values;
            it may draw from a generator.
        *example: Its arguments: trees of tensors, numbers and generators. Others are like them if
            they have the same keys in the same order, shapes, strides, dtypes and numbers, and the
            same devices if step asks for these; and if inference_mode, no_grad, autocast and the
            default dtype are as they are now.

    Returns:
        The function. Its attribute `code` is what it does; `fallbacks` counts the calls that went
        to step, and `why` says why the last of them did. `torch.compile` takes step. Of
        `torch.vmap` and what `torch.func` has, trace what is within: `torch.vmap(trace(step, …))`.

    Raises:
        ValueError: step looks at values, changes a part of a tensor, a mode or the random state,
            can't be written as Python, or doesn't give the same each time.
        TypeError: The example holds something else than tensors, numbers and generators.

    Example:
        >>> print(trace(lambda x: x.exp() * 2, torch.ones(3)).code)
        def forward(self, x):
            exp = x.exp();  x = None
            mul = exp.mul(2);  exp = None
            return mul
    """

    def run(f: Callable[..., Any], values: Callable[[Tensor], Tensor]) -> tuple[Any, Any]:
        args = tree_map(lambda leaf: _copied(leaf, values), example)
        with fork_rng([]):
            return f(*args), args

    for leaf in tree_leaves(example):
        known = type(leaf) in (*_NUMBERS, torch.Generator)
        if not known and getattr(leaf, "layout", None) is not torch.strided:
            expected = "an example of tensors, numbers and generators"
            raise TypeError(f"trace: expected {expected}, got {leaf!r}")
    expected = [(_same_values, run(step, _same_values))]
    with suppress(Exception):  # there may be no other values that step takes
        expected.append((_other_values, run(step, _other_values)))
    (_, args), (_, unchanged) = expected[0][1], run(lambda *_: None, _same_values)
    recorder = _Recorder(example)
    recorder.record(step, example)
    try:
        traced = _written(step, recorder, pure=_agree(args, unchanged))
        same = [_agree(run(traced, values), results) for values, results in expected]
        if traced.fallbacks:
            raise ValueError(traced.why)
    except Exception as error:
        raise ValueError(f"trace: expected what can be written as Python, got {error!r}") from error
    if not all(same):
        raise ValueError("trace: expected the same types and bits from step each time, got others")
    return traced


def _written(step: Callable[..., R_co], recorder: _Recorder, pure: bool) -> Traced[R_co]:
    """What the recorder holds, as a function."""
    code, conditions = recorder.graph.python_code("self"), recorder.conditions

    def fall_back(args: tuple[Any, ...], error: Exception | None) -> Any:
        unlike = conditions.unlike(args)
        if error and not (unlike or pure):
            raise error  # some arguments may have been changed already
        traced.fallbacks += 1
        traced.why = unlike or repr(error)
        return step(*args)

    exec(code.src, scope := dict(code.globals))
    operands = [recorder.operands[n.name] for n in recorder.graph.find_nodes(op="placeholder")]
    source = f"""
def traced(*args):
    error = None
    try:
        if {" and ".join(condition for _, condition in conditions.all)}:
            return forward({", ".join(operands)})
    except Exception as e:
        error = e
    return fall_back(args, error)
"""
    names = {"forward": scope["forward"], "fall_back": fall_back}
    exec(source, names := conditions.constants | names)
    traced: Any = names["traced"]
    numbers = [
        f"# {name} = {value}"
        for name, operand in recorder.operands.items()
        if isinstance(value := conditions.constants.get(operand), Tensor) and not value.dim()
    ]
    traced.code = "\n".join([*numbers, code.src.strip()])
    traced.fallbacks, traced.why = 0, ""
    return traced


_NUMBERS = bool, int, float, complex, str, type(None), torch.dtype, torch.device
"""The types of leaves that aren't tensors; these are compared by type and value."""

_ANSWERS = {
    **dict.fromkeys(("shape", "size", "__len__", "numel", "nelement", "dim", "ndim", "ndimension")),
    **dict.fromkeys(("stride", "is_contiguous", "element_size", "itemsize", "nbytes", "is_signed")),
    **dict.fromkeys(("dtype", "result_type", "is_floating_point", "is_complex")),
    **dict.fromkeys(("device", "get_device", "is_cpu", "is_cuda"), "device"),
    "is_inference": "",
    "requires_grad": "requires_grad",
}
"""What step may ask of a tensor; and, unless the layout of arguments tells, what does."""

_MODES = torch.is_inference_mode_enabled, torch.is_grad_enabled, torch.get_default_dtype
"""What step may depend on without asking a tensor; and autocast, of each kind of device."""


class _Conditions:
    """What arguments must be like so that step need not be called, as Python.

    Attributes:
        all: What each condition is about, and an expression in `args`.
        constants: The objects in these and in the graph, by name.
    """

    def __init__(self) -> None:
        self.all: list[tuple[str, str]] = []
        self.constants: dict[str, Any] = {}

    def constant(self, value: Any) -> str:
        """What a constant is written as: itself, which is quicker, or a name."""
        if type(value) in (int, str):
            return repr(value)
        name = f"constant_{len(self.constants)}"
        self.constants[name] = value
        return name

    def expect(self, what: str, *conditions: str) -> None:
        """Adds conditions."""
        self.all.append((what, " and ".join(conditions)))

    def like(self, tree: Any, name: str, item: str, path: str) -> Iterator[tuple[Any, str, str]]:
        """Adds that the item is like the tree; gives tensors and generators, their names, paths."""
        same = [f"type({name} := {item}) is {self.constant(type(tree))}"]
        if isinstance(tree, Tensor):
            strides = f"stride() == {tree.stride()}"
            if tree.is_contiguous() and all(n > 1 for n in tree.shape):
                strides = "is_contiguous()"  # which only these are, in half the time
            same = [f"({name} := {item}).shape == {tuple(tree.shape)}", f"{name}.{strides}"]
            same.append(f"{name}.dtype is {self.constant(tree.dtype)}")
            yield tree, name, path
        elif isinstance(tree, torch.Generator):
            same.append(f"{name}.device == {self.constant(tree.device)}")
            yield tree, name, path
        elif isinstance(tree, dict):
            same.append(f"[*{name}] == {self.constant([*tree])}" if tree else f"not {name}")
        elif isinstance(tree, (list, tuple)):
            same.append(f"len({name}) == {len(tree)}")
        else:
            same.append(f"{name} == {self.constant(tree)}")
            if not tree or isinstance(tree, complex):  # 0.0 == -0.0
                same.append(f"repr({name}) == {repr(tree)!r}")
        self.expect(path, *same)
        if isinstance(tree, (dict, list, tuple)):
            for i, k in enumerate(tree if isinstance(tree, dict) else range(len(tree))):
                inner = f"{name}[{self.constant(k)}]"
                yield from self.like(tree[k], f"{name}_{i}", inner, f"{path}[{k!r}]")

    def unlike(self, args: tuple[Any, ...]) -> str:
        """The first condition that args don't fulfil, if there is one."""
        names = self.constants | {"args": args}
        for what, condition in self.all:
            with suppress(Exception):
                if eval(condition, names):
                    continue
            return f"expected {what} as in the example"
        return ""


class _Recorder(TorchFunctionMode):
    """Writes each operation on tensors down in a graph while it is done."""

    def __init__(self, example: tuple[Any, ...]) -> None:
        super().__init__()
        self.graph = Graph()
        self.first = self.graph.placeholder("self")  # as fx writes it, so that no key is called so
        self.nodes: dict[int, tuple[Any, Node]] = {}  # by id, which the value keeps from others
        self.operands = {"self": "None"}  # the graph's inputs, and their names in the conditions
        self.conditions = _Conditions()
        self.asked: set[str] = set()  # of arguments, perhaps
        self.asked_for_inference: set[Any] = set()  # the memory of what was
        self.operation = self.refused = ""
        self.inference = torch.is_inference_mode_enabled()
        kinds = {leaf.device.type for leaf in tree_leaves(example) if isinstance(leaf, Tensor)}
        autocasts = [partial(torch.is_autocast_enabled, kind) for kind in kinds - {"meta"}]
        self.modes = {mode: mode() for mode in (*_MODES, *autocasts)}
        here = (map(self.conditions.constant, pair) for pair in self.modes.items())
        self.conditions.expect("the modes of torch", *(f"{mode}() is {now}" for mode, now in here))

    def record(self, step: Callable[..., Any], example: tuple[Any, ...]) -> None:
        """Does step with tensors that have no values."""
        cause = None
        with fork_rng([]):
            torch.rand(())  # to a state that no seed leads to
            before = torch.get_rng_state()
            with FakeTensorMode(allow_non_fake_inputs=True):
                args = tree_map(_without_values, example)
                leaves = [*self.conditions.like(args, "all", "args", "args")]
                for leaf, name, path in leaves:
                    self.input(leaf, name, "_".join(re.findall(r"[A-Za-z]\w*", path)[1:]) or "x")
                try:
                    with self:
                        result = step(*args)
                    self.graph.output(tree_map(self.node, result))
                except Exception as error:
                    cause = error
                    self.refuse(f"a step that looks at no values, got {self.operation}")
            if not torch.equal(before, torch.get_rng_state()):
                self.refuse("a step that leaves the random state alone, got a seed")
        if self.refused:
            raise ValueError(self.refused) from cause
        for leaf, name, path in leaves:
            if isinstance(leaf, torch.Generator):
                continue
            told = {"device": leaf.device, "requires_grad": False}
            told = {k: answer for k, answer in told.items() if k in self.asked}
            if leaf.untyped_storage() in self.asked_for_inference:
                told["is_inference()"] = leaf.is_inference() or self.inference
            if told:
                same = (f"{name}.{k} == {self.conditions.constant(v)}" for k, v in told.items())
                self.conditions.expect(f"{path}'s {' and '.join(told)}", *same)

    def refuse(self, expected: str) -> None:
        """Keeps the first thing that is wrong, since step might catch it."""
        self.refused = self.refused or f"trace: expected {expected}"

    def input(self, value: Any, operand: str, hint: str) -> None:
        """Makes a tensor or a generator an input of the graph, where this operand goes to."""
        node = self.graph.placeholder(hint)
        node.target = node.name  # which is no other's
        self.nodes[id(value)], self.operands[node.name] = (value, node), operand

    def node(self, value: Any) -> Any:
        """What stands for it in the graph."""
        if not isinstance(value, (Tensor, torch.Generator)):
            return value
        if id(value) not in self.nodes:  # it was there before
            if isinstance(value, FakeTensor):
                self.refuse(
                    "operations that it can see, got a tensor that others made, such as those of "
                    "torch.jit or torch.func; trace what is within: torch.vmap(trace(step))"
                )
            if isinstance(value, torch.Generator) and value is not torch.default_generator:
                self.refuse("generators to be arguments, got one that step has itself")
            with self.graph.inserting_after(self.first):
                self.input(value, self.conditions.constant(value), "constant")
        return self.nodes[id(value)][1]

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = (func.__self__ if func.__name__ == "__get__" else func).__name__
        if any(mode() is not now for mode, now in self.modes.items()):
            self.refuse(f"a step that leaves the modes of torch alone, got others for {name}")
        try:
            y = func(*args, **(kwargs or {}))
        except Exception:
            self.operation = name
            raise
        if name == "contiguous" and y is args[0]:
            return y  # nothing was done
        parts = y if isinstance(y, (tuple, list)) else [y]
        if parts and all(isinstance(part, Tensor) for part in parts):
            operands, options = tree_map(self.node, (args, kwargs or {}))
            if func.__name__ == "__get__":
                node = self.graph.call_function(getattr, (operands[0], name))
            elif func is getattr(Tensor, name, None) or func in vars(Tensor).values():
                node = self.graph.call_method(name, operands, options)
            else:
                node = self.graph.call_function(func, operands, options)
            for i, part in enumerate(parts if parts is y else ()):
                self.nodes[id(part)] = part, self.graph.call_function(getitem, (node, i))
            self.nodes[id(y)] = y, node
        elif name not in _ANSWERS:
            self.refuse(f"operations that give tensors, got {name}")
        elif name == "is_inference":
            self.asked_for_inference.add(args[0].untyped_storage())
            y = y or self.inference
        elif asked := _ANSWERS[name]:
            self.asked.add(asked)
        return y


def _without_values(leaf: Any) -> Any:
    """A tensor of the same layout that is no other's, made within FakeTensorMode."""
    if isinstance(leaf, torch.Generator):
        return leaf.clone_state()
    if not isinstance(leaf, Tensor):
        return leaf
    # In inference mode, an ordinary tensor: only what step makes is then an inference tensor.
    with torch.inference_mode(leaf.is_inference() and not torch.is_inference_mode_enabled()):
        return torch.empty_strided(leaf.shape, leaf.stride(), dtype=leaf.dtype, device=leaf.device)


def _copied(leaf: Any, values: Callable[[Tensor], Tensor]) -> Any:
    """A tensor of the same layout, whose memory has values(memory of the leaf)."""
    if isinstance(leaf, torch.Generator):
        return leaf.clone_state()
    if not isinstance(leaf, Tensor):
        return leaf
    with torch.inference_mode(leaf.is_inference()):
        like = torch.empty_strided(leaf.shape, leaf.stride(), device="meta")
        elements = like.untyped_storage().nbytes() // like.element_size()
        memory = leaf.detach().as_strided((elements,), (1,))
        return values(memory).as_strided(leaf.shape, leaf.stride())


def _same_values(memory: Tensor) -> Tensor:
    return memory.clone()


def _other_values(memory: Tensor) -> Tensor:
    """The same, backwards, and nearer to zero: within the domain of most functions."""
    backwards = memory.flip(0)
    return backwards * 0.75 if memory.is_floating_point() or memory.is_complex() else backwards


def _agree(a: Any, b: Any) -> bool:
    """Whether two trees have the same keys in the same order, types, layouts and bits.

    Any NaN is like another: which bits it has depends on where in a vector it was computed.
    """
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        layouts = [(t.shape, t.stride(), t.dtype, t.device) for t in (a, b)]
        if layouts[0] != layouts[1]:
            return False
        x, y = (torch.cat([t.detach().flatten()]) for t in (a, b))
        differ = (x.view(torch.uint8) != y.view(torch.uint8)).view(-1, x.element_size()).any(1)
        return not (differ & ~(x.isnan() & y.isnan())).any()
    if isinstance(a, torch.Generator):
        return torch.equal(a.get_state(), b.get_state())
    if isinstance(a, dict):
        return [*a] == [*b] and all(map(_agree, a.values(), b.values()))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_agree, a, b))
    return a == b
