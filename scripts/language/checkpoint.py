"""A training that can be killed at any moment, and goes on from its last save to the same bits."""

from __future__ import annotations

from dataclasses import asdict, fields
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

import functional_dl as fdl
from checkpoints import holds, load, save
from language.plan import Plan
from language.runs import is_due, show
from language.text import Predict, Text, batch
from language.trainers import OPTIMIZER, compiled, first_params, rate, update_of

STEPS_BETWEEN = 100


def train(plan: Plan, text: Text, file: Path, is_compiled: bool = False) -> tuple[Predict, Tensor]:
    """Trains the core from what the file holds, if there is one, and saves every so often.

    Returns:
        What the network predicts, and the losses of all steps.

    Raises:
        ValueError: The file is no checkpoint of this training; it stays as it is.
    """
    model, drawn = plan.core(len(text.alphabet)), torch.Generator().manual_seed(plan.seed)
    now = start(plan, model, drawn)
    digest = sha256(text.training.numpy().tobytes()).hexdigest()
    of = {**asdict(plan), "alphabet": text.alphabet, "text": digest}
    if file.exists():
        now = load(file, now, of)
        drawn.set_state(now["drawn"])

    update = compiled(update_of(model)) if is_compiled else update_of(model)
    lr, step = rate(plan), int(now["step"])

    def predict(x: Tensor) -> Tensor:
        return model.apply(now["params"], x)

    with torch.inference_mode(), tqdm(total=plan.steps, initial=step, unit="step") as progress:
        while step < plan.steps:
            x, t = batch(text.training, plan.block, plan.batch, drawn)
            results = update(now["params"], x, t, now["state"], lr(step))
            now["losses"][step], now["params"], now["state"] = results
            step += 1
            progress.update()
            if step % STEPS_BETWEEN == 0 or step == plan.steps:
                save(file, now | {"drawn": drawn.get_state(), "step": torch.tensor(step)}, of)
            if is_due(step - 1, step, plan.steps):
                show(plan, text.alphabet, predict, step)
    return predict, now["losses"]


def trained(file: Path) -> tuple[Plan, str, Predict]:
    """The network that a file holds: its plan, its alphabet, and what it predicts.

    Raises:
        ValueError: The file is no checkpoint of a GPT.
    """
    of = holds(file)
    try:
        plan = Plan(**{f.name: of[f.name] for f in fields(Plan)})
        alphabet = of["alphabet"]
    except KeyError as error:
        raise ValueError(f"expected a checkpoint of a GPT, got {file}, without {error}") from error
    model = plan.core(len(alphabet))
    params = load(file, start(plan, model, torch.Generator()), of)["params"]
    return plan, alphabet, partial(model.apply, params)


def start(plan: Plan, model: fdl.Layer, drawn: torch.Generator) -> dict[str, Any]:
    """What training goes on from at first."""
    params = first_params(plan, model)
    return {
        "params": params,
        "state": OPTIMIZER.init(params),
        "drawn": drawn.get_state(),
        "losses": torch.full((plan.steps,), torch.nan),
        "step": torch.tensor(0),
    }
