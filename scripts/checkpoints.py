"""Files from which a training goes on: tensors, and what they are of."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open

import functional_dl as fdl


def save(file: Path, now: dict[str, Any], of: dict[str, Any]) -> None:
    """Replaces the file at once, so that there is a whole one at any moment.

    Args:
        file: The file.
        now: What the training goes on from.
        of: What it is the training of.
    """
    unfinished = file.with_name(f".{uuid.uuid4().hex}.part")
    try:
        safetensors.torch.save_file(fdl.to_state_dict(now), unfinished, {"of": json.dumps(of)})
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def load(file: Path, like: dict[str, Any], of: dict[str, Any]) -> dict[str, Any]:
    """What the file holds, in the structure of like.

    Raises:
        ValueError: It is no checkpoint, or one of something else.
    """
    held = holds(file)
    if held != of:
        unlike = [k for k in held | of if k not in held or k not in of or held[k] != of[k]]
        got = ", ".join(f"{k} {held.get(k, 'missing')!r}, not {of.get(k)!r}" for k in unlike)
        raise ValueError(f"expected a checkpoint of this training, got {file}: {got}")
    try:
        return fdl.from_state_dict(like, safetensors.torch.load_file(file))
    except (ValueError, SafetensorError) as error:
        raise ValueError(f"expected a checkpoint of this training, got {file}: {error}") from error


def holds(file: Path) -> dict[str, Any]:
    """What a checkpoint is of.

    Raises:
        ValueError: It is none.
    """
    try:
        with safe_open(file, "pt") as opened:
            return json.loads(opened.metadata()["of"])
    except (SafetensorError, TypeError, KeyError) as error:
        raise ValueError(f"expected a checkpoint, got {file}: {error!r}") from error
