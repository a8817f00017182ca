"""GPTs, trained beside PyTorch: by the same operations, and by quick ones on both sides."""

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

import functional_dl as fdl
from proof.parity import (
    QUICK,
    WRITTEN_OUT,
    Sizes,
    draw,
    modules,
    same_bits,
    train_ours,
    train_theirs,
)
from proof.tables import Progress, Rows

SIZES, SAMPLES = Sizes(tokens=80), 4


def gpt_table(steps: int, seed: int, progress: Progress) -> tuple[Rows, bool]:
    """Each style, its head tied or not."""
    rows: Rows = []
    holds = True
    batches = draw(SIZES, steps, SAMPLES, seed)
    for name in WRITTEN_OUT:
        for is_tied in (True, False):
            progress.set_description(f"GPT: {name}")
            style, pieces = WRITTEN_OUT[name]
            model = fdl.gpt(*SIZES, style, is_tied)
            params = model.init(torch.Generator().manual_seed(seed))
            first = fdl.to_state_dict(params, model)
            ours = train_ours(model, params, batches)
            theirs = train_theirs(modules(SIZES, pieces, is_tied), first, batches)
            losses = [not same_bits(*both) for both in zip(ours[0], theirs[0], strict=True)]
            leaves = fdl.to_state_dict(params)  # each once
            differ = sum(int((ours[1][k] != theirs[1][k]).sum()) for k in leaves)
            holds &= not any(losses) and not differ

            style, pieces = QUICK[name]
            quick, _ = train_ours(fdl.gpt(*SIZES, style, is_tied), params, batches)
            fused, _ = train_theirs(modules(SIZES, pieces, is_tied), first, batches)
            with sdpa_kernel(SDPBackend.MATH):
                unfused, _ = train_theirs(modules(SIZES, pieces, is_tied), first, batches)
            moved = {**first, "2.1.weight": first["2.1.weight"].clone()}
            weight = moved["2.1.weight"].view(-1)
            weight[0] = weight[0].nextafter(torch.tensor(1.0))
            other, _ = train_theirs(modules(SIZES, pieces, is_tied), moved, batches)
            rows.append(
                {
                    "GPT": f"{name}, {'tied' if is_tied else 'not tied'}",
                    "steps": f"{steps:,}",
                    "written out: losses that differ": f"{sum(losses):,} of {steps:,}",
                    "params that do": f"{differ:,} of {sum(map(Tensor.numel, leaves.values())):,}",
                    "quick: largest distance of a loss to torch.nn's": apart(quick, fused),
                    "torch.nn's to its own, attention not fused": apart(unfused, fused),
                    "torch.nn's to its own, a weight moved by 1 ulp": apart(other, fused),
                }
            )
            progress.update()
    return rows, holds


def apart(losses: list[Tensor], others: list[Tensor]) -> str:
    """The largest relative difference."""
    a, b = torch.stack(losses).double(), torch.stack(others).double()
    return f"{((a - b) / b).abs().amax():.1e}"
