"""A step written out as what it does with tensors, without what its Python takes."""

from __future__ import annotations

from collections.abc import Callable
from operator import getitem
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node
from torch.overrides import TorchFunctionMode

from functional_dl._tree import tree_map


def trace(step: Callable[..., Any], *example: Any) -> Callable[..., Any]:
    """step as the tensor operations that it comes to for an example, one after the other.

    The same in every bit, in little more time than the operations take: there are no layers left,
    no closures and no checks, but one that the arguments are like the example. Those that aren't
    go to step, and so does what fails.

    Args:
        step: A pure function of trees of tensors and numbers, such as one of params and a batch,
            that looks at no tensor's values.
        *example: Its arguments. Others are like them if they have the same keys, shapes, dtypes,
            strides, devices and numbers, and are in inference_mode too, or aren't either.

    Returns:
        The function. Its attribute `code` is what it does, as Python; `torch.compile` takes step.

    Raises:
        ValueError: step looks at values, changes a part of a tensor, or can't be written as Python.

    Example:
        >>> print(trace(lambda x: x.exp() * 2, torch.ones(3)).code)
        def forward(self, x_0):
            exp = x_0.exp();  x_0 = None
            mul = exp.mul(2);  exp = None
            return mul
    """
    recorder = _Recorder()
    # Detached, no leaf is the same object as another.
    given = tree_map(lambda leaf: leaf.detach() if isinstance(leaf, Tensor) else leaf, example)
    recorder.expect(given, "args")
    with recorder:
        result = step(*given)
    recorder.graph.output(tree_map(recorder.node, result))
    code = recorder.graph.python_code("self")
    values = {**recorder.constants, **recorder.leaves}
    inputs = [node.name for node in recorder.graph.find_nodes(op="placeholder")]
    source = f"""
def traced(*args):
    try:
        if {" and ".join(recorder.conditions)}:
            return forward(None, {", ".join(inputs)})
    except Exception:
        pass
    return step(*args)
"""
    scope: dict[str, Any] = {**code.globals, **recorder.constants, "step": step}
    try:
        exec(code.src + source, scope)
        scope["forward"](None, *(values[name] for name in inputs))
    except Exception as error:
        raise ValueError(f"trace: expected what can be written as Python, got {error!r}") from error
    traced: Any = scope["traced"]
    traced.code = code.src.strip()
    return traced


_LAYOUTS = int, tuple, torch.dtype, torch.device, torch.layout
"""Results of these types depend on the layout of a tensor, and not on its values;"""

_VALUES = [
    "__bool__",
    "__contains__",
    "__index__",
    "__int__",
    "allclose",
    "equal",
    "is_nonzero",
    "item",
]
"""except those of these functions."""


class _Recorder(TorchFunctionMode):
    """Writes each operation on tensors down in a graph while it is done."""

    def __init__(self) -> None:
        super().__init__()
        self.graph = Graph()
        self.nodes: dict[int, tuple[Any, Node]] = {}  # by id, which the value keeps from others
        self.leaves: dict[str, Tensor] = {}
        self.constants: dict[str, Any] = {}
        self.inference = torch.is_inference_mode_enabled()
        self.conditions = [f"torch.is_inference_mode_enabled() is {self.inference}"]

    def expect(self, tree: Any, path: str, key: Any = None) -> None:
        """Makes it a condition that what is at this path is like the tree, and knows its leaves."""
        name = f"{key if isinstance(key, str) and key.isidentifier() else 'x'}_{len(self.nodes)}"
        if isinstance(tree, Tensor):
            shape, stride, device = map(self.constant, (tree.shape, tree.stride(), tree.device))
            self.conditions += (
                f"({name} := {path}).shape == {shape}",
                f"{name}.dtype is {tree.dtype}",
                f"{name}.stride() == {stride}",
                f"{name}.device == {device}",
            )
            if not self.inference:
                self.conditions.append(f"{name}.is_inference() is {tree.is_inference()}")
            self.leaves[name] = tree
            self.nodes[id(tree)] = tree, self.graph.placeholder(name)
        elif isinstance(tree, (dict, list, tuple)):
            name = f"tree_{len(self.conditions)}"
            self.conditions.append(f"len({name} := {path}) == {len(tree)}")
            for k, v in tree.items() if isinstance(tree, dict) else enumerate(tree):
                self.expect(v, f"{name}[{k!r}]", k)
        else:
            self.conditions.append(f"{path} == {self.constant(tree)}")

    def constant(self, value: Any) -> str:
        """The name by which what is written has it."""
        name = f"constant_{len(self.constants)}"
        self.constants[name] = value
        return name

    def node(self, value: Any) -> Any:
        """What stands for it in the graph."""
        if not isinstance(value, Tensor):
            return value
        if id(value) not in self.nodes:  # it was there before
            with self.graph.inserting_before():
                self.nodes[id(value)] = value, self.graph.placeholder(self.constant(value))
        return self.nodes[id(value)][1]

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        y = func(*args, **(kwargs or {}))
        name = func.__name__
        tensors = isinstance(y, (tuple, list)) and any(isinstance(part, Tensor) for part in y)
        if isinstance(y, Tensor) or tensors:
            operands, options = tree_map(self.node, (args, kwargs or {}))
            if name == "__get__":
                node = self.graph.call_function(getattr, (operands[0], func.__self__.__name__))
            elif func is getattr(Tensor, name, None) or func in vars(Tensor).values():
                node = self.graph.call_method(name, operands, options)
            else:
                node = self.graph.call_function(func, operands, options)
            for i, part in enumerate(y if tensors else ()):
                self.nodes[id(part)] = part, self.graph.call_function(getitem, (node, i))
            self.nodes[id(y)] = y, node
        elif name in _VALUES or not isinstance(y, _LAYOUTS):
            raise ValueError(f"trace: expected operations that give tensors, got {name}")
        return y
