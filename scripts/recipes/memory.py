"""Trains networks in less memory than their gradients take, by `value_and_update`.

`value_and_grad` returns all gradients, and `sgd` makes new params beside the old ones.
`value_and_update` updates each layer on the way back, as soon as its gradient is there, and lets
go of both. One learns that it trains the same to the bit, and what the caller has to do: hold no
other reference to the params.
"""

import ctypes
from functools import partial
from pathlib import Path

import recipe
import torch
from matplotlib import pyplot as plt

import functional_dl as fdl

RESET_PEAK = Path("/proc/self/clear_refs")
"""Where Linux is told to forget the peak of a process's memory."""


def return_what_is_freed() -> None:
    """Has malloc return freed blocks to the system, so that memory is what is in use.

    It does for blocks from a threshold on, which is otherwise raised when one is freed.
    """
    m_mmap_threshold = -3  # its number in malloc.h
    ctypes.CDLL(None).mallopt(m_mmap_threshold, 2**20)


def train(layers: int, seed: int, *, at_once: bool) -> tuple[float, list[float]]:
    """Trains for three steps.

    Returns:
        The peak of memory beside params and batch, in MiB, and the losses.
    """
    torch.manual_seed(seed)
    model = fdl.sequential(*[fdl.linear(1024, 1024, bias=False), fdl.relu()] * layers)
    update = partial(fdl.sgd, lr=0.1)
    loss_and_grads = fdl.value_and_grad(model, fdl.mse())
    loss_and_params = fdl.value_and_update(model, fdl.mse(), update)
    holder = [model.init()]
    x, t = torch.rand(2, 16, 1024)

    def step() -> float:
        if at_once:
            loss, params = loss_and_params(holder.pop(), x, t)  # pop leaves no reference here
        else:
            loss, grads = loss_and_grads(holder[0], x, t)
            params = update(holder.pop(), grads)
        holder.append(params)
        return loss.item()

    losses = [step()]  # not measured: the first step sets things up
    RESET_PEAK.write_text("5")
    before = memory("VmRSS")
    losses += [step(), step()]
    return memory("VmHWM") - before, losses


def memory(which: str) -> float:
    """The memory of this process, in MiB: VmRSS is its present size, VmHWM its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(which))


def main(args: list[str] | None = None, depths: tuple[int, ...] = (4, 8, 16, 32)) -> None:
    """Shows the peaks by depth, beside what the gradients take."""
    options = recipe.begin(__doc__, args)
    if not RESET_PEAK.exists():
        raise SystemExit("memory: expected Linux, which alone tells the most memory in use")
    return_what_is_freed()
    ways = {"value_and_grad, then sgd": False, "value_and_update": True}
    results = [[train(n, options.seed, at_once=way) for way in ways.values()] for n in depths]
    gradients = [4.0 * n for n in depths]
    peaks = [[peak for peak, _ in row] for row in results]
    rows = [
        {
            "layers": f"{n}",
            "the gradients alone": f"{mib:.0f} MiB",
            **{way: f"{peak:.0f} MiB" for way, (peak, _) in zip(ways, row, strict=True)},
            "losses": "the same to the bit" if row[0][1] == row[1][1] else "different",
        }
        for n, mib, row in zip(depths, gradients, results, strict=True)
    ]

    figure, axis = plt.subplots(figsize=(10, 4))
    axis.plot(depths, peaks, "o-", label=[*ways])
    axis.plot(depths, gradients, "--", color="black", label="the gradients alone, computed")
    axis.set(xlabel="linear layers, of 4 MiB each", ylabel="memory beside the params, MiB")
    axis.legend()
    recipe.end("memory", figure, rows, options)


if __name__ == "__main__":
    main()
