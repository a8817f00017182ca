"""A GPT's step of training, line by line, with a few words: what docs/gpt-step.md holds."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

import functional_dl as fdl

SEQUENCES, TOKENS, LENGTH, FEATURES, HEADS, RATE = 3, 100, 10, 32, 4, 0.1
PARAMS = "e", "p", "w1", "w_qkv", "w_out", "w2", "w_up", "w_down", "w3"
WIDTH = 96
"""How long a line may become of what was several."""

INTRODUCTION = f"""# A GPT's step, line by line

The whole step of training of a GPT with one block, in the modern style, as `trace` writes it down:
forward, backward, update, and nothing else. There are {SEQUENCES} sequences of {LENGTH} tokens out
of {TOKENS}, D = {FEATURES} features, and {HEADS} heads of {FEATURES // HEADS} features each.

`python scripts/gpt.py --print-step` writes this page. It gives a name to what goes from one layer
to the next, `g_x` to the gradient of the loss by `x`; it joins what is used only in the next line,
and leaves out what does nothing here. One block after the other, the code runs as it stands.

```python
from math import inf

import torch


def step({", ".join(PARAMS)}, x, t):
```
"""

SECTIONS = {
    "": (
        "Embedding and positions",
        "A row of `e` for each token, and a row of `p` for each place of the sequence.",
    ),
    "x0": ("Norm", "RMSNorm: each row is divided by the root of its mean square."),
    "n1": (
        "Attention",
        "One product gives queries, keys and values. Each head has its own part of their features, "
        "so that heads become a part of the batch. What comes later is hidden by −∞, of which "
        "softmax makes 0. One more product, and the block's first sum.",
    ),
    "x1": (
        "MLP",
        "Norm, up to 4 D features, the square of what is positive, and down to D; the second sum.",
    ),
    "x2": (
        "Logits",
        "The last norm, and a product with `e` again: the head is tied to the embedding.",
    ),
    "y": (
        "Loss",
        "Cross-entropy, the mean over all places: log Σ exp of the logits, less the logit of what "
        "does come next. The largest logit is taken off first, so that nothing overflows.",
    ),
    "loss": (
        "Loss, backward",
        "Softmax divided by the number of places, less the same share at what does come next.",
    ),
    "g_y": (
        "Logits, backward",
        "A product Y = X Wᵀ has two gradients: ∇W = ∇Yᵀ X, here the first part of `g_e`, and "
        "∇X = ∇Y W. Of the norm, ∇w sums over the rows; ∇X has a term for X as a factor, and one "
        "for X within the mean square.",
    ),
    "g_x2": (
        "MLP, backward",
        "The sum hands its gradient on as it is, to the layers and around them. The two products "
        "go back as above; the derivative of r² is 2 r, which is 0 where the unit is off; then the "
        "norm. The last line adds what came around.",
    ),
    "g_x1": (
        "Attention, backward",
        "Softmax couples a row: ∇S = P ⊙ (∇P − δ), where δ, the mean of ∇P under P, is Σ ∇Y ⊙ Y "
        "for each row. Queries get what keys give, keys what queries give; values get Pᵀ ∇Y.",
    ),
    "g_x0": (
        "Embedding and positions, backward",
        "`g_p` sums over the sequences. `g_e` sums the rows of each token, however often it comes, "
        "and adds the part from the logits.",
    ),
    "g_e": ("Update", "Gradient descent, for short; gpt trains with AdamW."),
}
"""By the name of the value with which each begins: its title, and what it does."""


def page() -> str:
    """All of it, as Markdown."""
    lines = simplified(traced())
    blocks: dict[str, list[str]] = {"": []}
    for line in lines:
        name = line.removeprefix("# ")
        if name not in SECTIONS:
            [*blocks.values()][-1].append(line)
        else:
            blocks[name] = []
    parts = [INTRODUCTION]
    for name, block in blocks.items():
        title, words = SECTIONS[name]
        code = "\n".join(f"    {line}" for line in block if not line.startswith("# "))
        parts.append(f"## {title}\n\n{wrapped(words)}\n\n```python\n{code}\n```\n")
    return "\n".join(parts)


def wrapped(words: str) -> str:
    """In lines of 100 characters."""
    return re.sub(r"(.{1,100})(?: |$)", r"\1\n", words).rstrip()


def fence(x: Tensor, name: str) -> Tensor:
    """x itself; a trace has it in a line of its own, which gives it a name."""
    if has_torch_function_unary(x):
        return handle_torch_function(fence, (x,), x, name)
    return x


def fenced(f: fdl.Layer, x: str, y: str, gx: str) -> fdl.Layer:
    """f, where what goes in and comes out has names, there and back."""

    def vjp(params: fdl.Params, given: Tensor) -> tuple[Tensor, fdl.Pullback]:
        out, pullback_of_f = f.vjp(params, fence(given, x))

        def pullback(gy: Tensor, *, wrt_input: bool = True) -> fdl.Cotangents:
            grads, back = pullback_of_f(fence(gy, f"g_{y}"), wrt_input=wrt_input)
            return grads, fence(back, gx) if back is not None else None

        return fence(out, y), pullback

    return fdl.Layer(f.init, f.apply, vjp)


def traced() -> str:
    """The code of the step, with fences."""
    norms = iter([("x0", "n1", "then g_x0"), ("x1", "n2", "then g_x1"), ("x2", "n3", "g_x2")])
    style = fdl.MODERN._replace(
        norm=lambda features: fenced(fdl.MODERN.norm(features), *next(norms)),
        activation=lambda: fenced(fdl.MODERN.activation(), "h", "r", "g_h"),
        attention=lambda heads: fenced(fdl.MODERN.attention(heads), "qkv", "a", "g_qkv"),
    )
    model, loss = fdl.gpt(TOKENS, LENGTH, FEATURES, HEADS, 1, style), fdl.cross_entropy()

    def loss_vjp(y: Tensor, t: Tensor) -> tuple[Tensor, fdl.LossPullback]:
        value, pullback = loss.vjp(fence(y, "y"), t)
        return fence(value, "loss"), lambda: fence(pullback(), "g_y")

    loss_and_grads = fdl.value_and_grad(model, fdl.Loss(loss.apply, loss_vjp))
    like = model.init(torch.Generator().manual_seed(0))

    def step(named: dict[str, Tensor]) -> Any:
        leaves = iter(PARAMS)
        params = fdl.tree_map(lambda _: named[next(leaves)], like)
        value, grads = loss_and_grads(params, named["x"], named["t"])
        names = iter(PARAMS)
        grads = fdl.tree_map(lambda g: fence(g, f"g_{next(names)}"), grads)
        # As sgd, which takes all leaves at once, in a line each.
        new = fdl.tree_map(lambda p, g: torch.sub(p, g, alpha=RATE), params, grads)
        return value, *map(fence, fdl.tree_leaves(new), PARAMS)

    tokens = torch.arange(SEQUENCES * LENGTH).view(SEQUENCES, LENGTH)
    named = dict(zip(PARAMS, fdl.tree_leaves(like), strict=True))
    return fdl.trace(step, {**named, "x": tokens, "t": tokens + 1}).code


def simplified(code: str) -> list[str]:
    """The lines of a trace, without what does nothing; a comment for each fence."""
    code = re.sub(r";  [\w =]+ = None$", "", code, flags=re.MULTILINE)
    code = re.sub(r", device = device\(type='cpu'\)", "", code)
    code = re.sub(r"([(,] ?\w+) = ", r"\1=", code)
    numbers = re.findall(r"^# (\w+) = (.+)$", code, re.MULTILINE)
    lines = [line.strip() for line in code.partition("def forward")[2].splitlines()[1:]]
    for constant, number in numbers:
        lines = [replaced(line, constant, f"{float(number):g}") for line in lines]
    for name, of in re.findall(r"^(\w+) = (\w+)\.to\(torch\.float32\)$", "\n".join(lines), re.M):
        lines = [replaced(line, name, of) for line in lines if not line.startswith(f"{name} = ")]
    for i in range(len(lines)):
        if found := re.fullmatch(r"(\w+) = \w*fence\((\w+), '(then )?(\w+)'\)", lines[i]):
            node, of, then, name = found.groups()
            if then:  # it is the name of what the next line gives
                lines = [replaced(line, node, of) for line in lines]
                lines[i], of = lines[i + 1], lines[i + 1].partition(" = ")[0]
            lines[i + bool(then)] = f"# {name}"
            lines = [replaced(replaced(line, node, name), of, name) for line in lines]
    return joined(without_unused(lines))


def replaced(line: str, value: str, by: str) -> str:
    """With something else for a value."""
    return re.sub(rf"(?<![.\w]){value}\b", by, line)


def uses(lines: list[str], value: str) -> int:
    """How often a value is used."""
    return sum(
        len(re.findall(rf"(?<![.\w]){value}\b(?! = )", line)) for line in lines if line[0] != "#"
    )


def without_unused(lines: list[str]) -> list[str]:
    """Without what is never used."""
    for line in lines[::-1]:
        if " = " in line and not uses(lines, line.partition(" = ")[0]):
            lines.remove(line)
    return lines


def joined(lines: list[str]) -> list[str]:
    """With what is used but once, in the line after it, in its place there."""
    for i in reversed(range(len(lines) - 1)):
        name, _, value = lines[i].partition(" = ")
        if value and uses(lines, name) == 1 == uses([lines[i + 1]], name):
            one = replaced(lines[i + 1], name, value)
            if len(one) <= WIDTH:
                lines[i : i + 2] = [one]
    return lines
