"""digits: all train alike, and a training that was killed goes on to the same bits."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import checkpoints
import digits
from cases import same_trees
from classifier import checkpoint, data, runs
from classifier.data import split
from classifier.networks import CNN, CNN_BY_PRODUCTS, MLP
from classifier.trainers import COMPAT, COMPILED, CONTESTANTS, CORE, TRACED
from conftest import MOMENTS, killed_at

EPOCHS = 2
EAGER = [contestant for contestant in CONTESTANTS if contestant is not COMPILED]


@pytest.mark.usefixtures("unpinned")
def test_digits_prints_its_table_and_draws_its_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digits, "CONTESTANTS", EAGER)
    monkeypatch.setattr(data, "TRAINING", 3 * data.BATCH_SIZE)
    digits.main([f"--epochs={EPOCHS}", f"--out={tmp_path}"])
    assert {file.name for file in tmp_path.iterdir()} == {"digits.png", "digits.svg", "digits.json"}
    rows = json.loads((tmp_path / "digits.json").read_text())["rows"]
    assert [row["trained by"] for row in rows[: len(EAGER)]] == [c.name for c in EAGER]
    exact = [row for row in rows if row["network"] != "CNN" and row["trained by"] in OURS]
    assert len(exact) == 2 * len(OURS)
    for row in exact:
        assert row["losses unlike the twin's"].startswith("0 of ")
        assert row["parameters"].startswith("0 of ")
    assert capsys.readouterr().out.count("CNN, oneDNN off") == len(EAGER)


OURS = {c.name for c in (CORE, TRACED, COMPAT)}


def test_networks_learn_the_digits() -> None:
    training, test = split(MLP.shape, 0)
    run = runs.run_all(MLP, training, test, 12, 0, [CORE])[CORE]
    assert run.accuracies[-1] > 0.93  # 0.97 after all epochs; one that learns nothing has 0.1


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("network", [MLP, CNN_BY_PRODUCTS], ids=str)
def test_a_killed_training_goes_on_to_the_same_bits(
    network: digits.Network, moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, _ = split(network.shape, 0)
    whole = checkpoint.train(network, training, 3, 0, tmp_path / "whole")
    save = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", killed_at(moment, tmp_path, save))
    with pytest.raises(KeyboardInterrupt):
        checkpoint.train(network, training, 3, 0, tmp_path / "killed")
    monkeypatch.setattr(checkpoint, "save", save)
    torch.manual_seed(17)  # what the global generator does is of no account
    assert same_trees(checkpoint.train(network, training, 3, 0, tmp_path / "killed"), whole)
    again = checkpoint.train(network, training, 3, 0, tmp_path / "killed")
    assert same_trees(again, whole)  # there is nothing left to do


def test_the_file_is_whole_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "it"
    checkpoints.save(file, {"step": torch.tensor(1)}, {})
    before = file.read_bytes()

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoints.safetensors.torch, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(file, {"step": torch.tensor(2)}, {})
    assert file.read_bytes() == before
    assert [*tmp_path.iterdir()] == [file]


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def of_another_network(file: Path) -> None:
    checkpoint.train(CNN, split(CNN.shape, 0)[0], 1, 0, file)


def of_another_seed(file: Path) -> None:
    checkpoint.train(MLP, split(MLP.shape, 1)[0], 1, 1, file)


def no_checkpoint(file: Path) -> None:
    file.write_text("something else")


@pytest.mark.parametrize("spoil", [cut_off, of_another_network, of_another_seed, no_checkpoint])
def test_a_checkpoint_that_does_not_fit_is_refused_and_kept(
    spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    file = tmp_path / "it"
    digits.train_on(MLP, 1, 0, file)
    file.unlink() if spoil in (of_another_network, of_another_seed) else None
    spoil(file)
    before = file.read_bytes()
    with pytest.raises(SystemExit, match=r"^digits: expected a checkpoint.*, got /"):
        digits.train_on(MLP, 1, 0, file)
    assert file.read_bytes() == before
