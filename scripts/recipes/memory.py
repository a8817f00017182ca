"""Trains networks in less memory than their gradients take, by value_and_update.

One learns that it is the same to the bit, and what the caller must do: hold no params meanwhile.
"""

import os
from concurrent.futures import ProcessPoolExecutor

import recipe
import torch
from bench_memory import MALLOCS, PEAK, resident

import functional_dl as fdl


def peak(at_once: bool, layers: int) -> tuple[float, float]:
    """The most MiB in use beside params and batch, and the last loss."""
    model = fdl.sequential(*[fdl.linear(1024, 1024, bias=False), fdl.relu()] * layers)
    state = [model.init(torch.manual_seed(0))]
    x, t = torch.rand(2, 16, 1024)

    def step() -> float:
        if at_once:  # by the only reference to the params
            f = fdl.value_and_update(model, fdl.mse(), lambda p, g: fdl.sgd(p, g, lr=0.1))
            loss, params = f(state.pop(), x, t)
        else:
            loss, grads = fdl.value_and_grad(model, fdl.mse())(state[0], x, t)
            params = fdl.sgd(state.pop(), grads, lr=0.1)
        state.append(params)
        return loss.item()

    step()  # what the first one sets up is there before
    PEAK.write_text("5")
    before, losses = resident("VmRSS"), [step() for _ in range(3)]
    return (resident("VmHWM") - before) / 2**20, losses[-1]


def measure(depths: tuple[int, ...]) -> list[list[tuple[float, float]]]:
    """Peaks and losses by depth, by two calls and by one, in a process that frees at once."""
    if not PEAK.exists():
        raise SystemExit("memory: expected Linux, which alone tells the most memory in use")
    os.environ |= MALLOCS["that gives back what is freed"]  # for new processes
    with ProcessPoolExecutor(1, max_tasks_per_child=2 * len(depths)) as pool:
        return [[*pool.map(peak, [how] * len(depths), depths)] for how in (False, True)]


def main(args: list[str] | None = None, depths: tuple[int, ...] = (4, 8, 16, 32)) -> None:
    """Draws the peaks by depth, beside what the gradients take."""
    options = recipe.begin(__doc__, args)
    figure, (axis,) = recipe.panels(("layers, of 4 MiB each", "memory beside the params, MiB"))
    lines = [[4.0 * n for n in depths], *([mib for mib, _ in way] for way in measure(depths))]
    names = "the gradients alone", "value_and_grad, then sgd", "value_and_update"
    axis.plot(depths, [*zip(*lines, strict=True)], "o-", label=names)
    rows = [(f"{n}", *(f"{x:.0f} MiB" for x in xs)) for n, *xs in zip(depths, *lines, strict=True)]
    recipe.end("memory", figure, [("layers", *names), *rows], options)


if __name__ == "__main__":
    main()
