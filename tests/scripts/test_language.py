"""gpt: both train alike, a killed training goes on to the same bits, and samples are the text's."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import checkpoints
import cli
import functional_dl as fdl
import gpt
from cases import same_trees
from conftest import MOMENTS, assert_refused, killed_at
from language import checkpoint, memory, runs, step, text, trainers
from language.plan import Plan
from language.sampling import continued
from language.text import Text

TINY = "--layers=1", "--width=8", "--heads=2", "--block=8", "--batch=3", "--steps=6"
PLAN = Plan(1, 8, 2, 8, "modern", True, 3, 6, 0.003, 0)
"""The same."""


@pytest.fixture(autouse=True)
def short_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "CHARACTERS", 5)


@pytest.fixture(scope="module")
def of_text() -> Text:
    return text.load()


@pytest.mark.usefixtures("unpinned")
@pytest.mark.parametrize("memory_is_told", [True, False])
def test_gpt_prints_its_table_and_samples_and_draws_its_figure(
    memory_is_told: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def here(_: str, name: str, *args: str, environment: object) -> str:
        memory.main(name, *args)
        return capsys.readouterr().out.splitlines()[-1]

    monkeypatch.setattr(cli, "run_module", here)
    if not memory_is_told:
        monkeypatch.setattr(memory, "PEAK", tmp_path / "none")
    gpt.main([*TINY, "--seed=1", f"--out={tmp_path}"])
    assert {file.name for file in tmp_path.iterdir()} == {"gpt.png", "gpt.svg", "gpt.json"}
    theirs, ours = json.loads((tmp_path / "gpt.json").read_text())["rows"]
    assert (theirs["trained by"], ours["trained by"]) == ("PyTorch", "core")
    for column in ("last 6 losses", "bits per held-out character"):
        assert float(ours[column]) == pytest.approx(float(theirs[column]), abs=1e-3)
    assert float(ours["last 6 losses"]) == pytest.approx(math.log(103), abs=0.1)  # of a guess
    assert float(ours["bits per held-out character"]) == pytest.approx(math.log2(103), abs=0.1)
    assert float(ours["off in 6 steps"]) < 1e-5
    assert (theirs["times as fast"], float(ours["times as fast"]) > 0) == ("1.00", True)
    assert (ours["MiB of a step"] != "–") == (memory_is_told and memory.PEAK.exists())


@pytest.mark.parametrize("is_tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("style", ["classic", "modern"])
def test_the_core_trains_as_pytorch_does(style: str, is_tied: bool, of_text: Text) -> None:
    plan = replace(PLAN, style=style, tied=is_tied, layers=2, steps=20)
    ours, theirs = (c.begin(plan, len(of_text.alphabet)) for c in (trainers.CORE, trainers.PYTORCH))
    drawn = torch.Generator().manual_seed(0)
    for _ in range(plan.steps):
        x, t = text.batch(of_text.training, plan.block, plan.batch, drawn)
        with torch.inference_mode():
            loss = ours.step(x, t)
        # Some units in the last place, which Adam makes larger where a gradient is near zero.
        assert abs(loss - theirs.step(x, t)) < 1e-5
    assert torch.allclose(ours.predict(x), theirs.predict(x), atol=1e-2)
    assert theirs.predict(x).std() > 0.1  # far from where they began


def test_targets_are_what_comes_next_and_the_held_out_text_is_the_last_tenth(
    of_text: Text,
) -> None:
    whole = torch.cat([of_text.training, of_text.held_out])
    assert len(of_text.held_out) == -(-len(whole) // 10)
    assert text.decoded(whole[:20], of_text.alphabet) == 'The "assert" stateme'
    numbered = torch.arange(50)
    x, t = text.batch(numbered, 7, 200, torch.Generator().manual_seed(0))
    assert x.shape == (200, 7)
    assert torch.equal(x + 1, t)
    assert torch.equal(x[:, :1] + torch.arange(7), x)
    assert (x.min(), t.max()) == (0, 49)  # the first and the last are drawn, too


def test_bits_are_those_of_what_was_predicted() -> None:
    tokens = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2])
    assert text.bits(lambda x: torch.zeros(*x.shape, 4), tokens, 3) == pytest.approx(2)

    def knows(x: Tensor) -> Tensor:
        return 100.0 * torch.nn.functional.one_hot((x + 1) % 4, 4)

    assert text.bits(knows, tokens, 3) == 0
    assert text.bits(lambda x: knows(x + 1), tokens, 3) == pytest.approx(100 / math.log(2))


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_training_goes_on_to_the_same_bits(
    moment: str, of_text: Text, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "STEPS_BETWEEN", 2)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    _, losses = checkpoint.train(PLAN, of_text, whole)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", killed_at(moment, tmp_path, checkpoints.save))
        with pytest.raises(KeyboardInterrupt):
            checkpoint.train(PLAN, of_text, killed)
    assert int(load_file(killed)["step"]) == (4 if moment == "after it" else 2)
    torch.manual_seed(17)  # what the global generator does is of no account
    for _ in range(2):  # the second time, there is nothing left to do
        assert same_trees(checkpoint.train(PLAN, of_text, killed)[1], losses)
        assert same_trees(load_file(killed), load_file(whole))
    assert not losses.isnan().any()
    assert losses[-1] != losses[0]


@pytest.fixture
def trained(of_text: Text, tmp_path: Path) -> Path:
    file = tmp_path / "it"
    checkpoint.train(PLAN, of_text, file)
    return file


@pytest.mark.usefixtures("unpinned")
def test_a_checkpoint_that_does_not_fit_is_refused_and_kept(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = trained.read_bytes()
    others = {
        "--layers=2": "layers 1, not 2",
        "--width=16": "width 8, not 16",
        "--heads=4": "heads 2, not 4",  # which no shape tells
        "--style=classic": "style 'modern', not 'classic'",
        "--no-tied": "tied True, not False",
        "--steps=7": "steps 6, not 7",
        "--lr=0.1": "lr 0.003, not 0.1",
        "--seed=1": "seed 0, not 1",
    }
    for option, message in others.items():
        said = rf"^gpt: expected a checkpoint of this training, got \S+: {message}$"
        with pytest.raises(SystemExit, match=said):
            gpt.main([*TINY, option, f"--checkpoint={trained}"])
        assert trained.read_bytes() == whole
    for broken in (whole[:-100], b"something else"):
        trained.write_bytes(broken)
        for sample in ([], ["--sample=The"]):
            with pytest.raises(SystemExit, match=r"^gpt: expected a checkpoint, got /"):
                gpt.main([*TINY, *sample, f"--checkpoint={trained}"])
            assert trained.read_bytes() == broken
    checkpoints.save(trained, {"step": torch.tensor(1)}, {"network": "MLP"})
    with pytest.raises(SystemExit, match=r"^gpt: expected a checkpoint of a GPT, got /"):
        gpt.main(["--sample=The", f"--checkpoint={trained}"])
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("unpinned")
def test_a_trained_network_goes_on_from_a_text(
    trained: Path, of_text: Text, capsys: pytest.CaptureFixture[str]
) -> None:
    """The network is the checkpoint's, whatever the options are."""

    def printed(*options: str) -> str:
        sample = "--sample=The yield", "--characters=20"
        gpt.main([f"--checkpoint={trained}", *sample, *options])
        return capsys.readouterr().out[:-1]

    drawn = printed()
    assert drawn.startswith("The yield")
    assert len(drawn) == 9 + 20
    assert printed() == drawn != printed("--seed=1")

    tokens = text.encoded("The yield", of_text.alphabet)
    _, _, predict = checkpoint.trained(trained)
    for _ in range(20):
        tokens = torch.cat([tokens, predict(tokens[None, -8:])[0, -1].argmax()[None]])
    assert printed("--temperature=0") == text.decoded(tokens, of_text.alphabet)
    for wrong, said in {"": "got an empty one", "a€☃": "got '€', '☃'"}.items():
        with pytest.raises(SystemExit, match=rf"^gpt: expected .*, {said}$"):
            printed(f"--sample={wrong}")


@pytest.mark.parametrize(("temperature", "share"), [(1.0, 0.8), (2.0, 2 / 3), (0.5, 16 / 17)])
def test_characters_are_drawn_by_softmax_at_a_temperature(temperature: float, share: float) -> None:
    def predict(x: Tensor) -> Tensor:
        assert x.shape[1] <= 2  # the block
        return torch.tensor([4.0, 1.0]).log().expand(*x.shape, 2)

    drawn = continued(predict, "b", "ab", 2, 1000, temperature, 0)[1:]
    # Five standard deviations.
    assert drawn.count("a") / 1000 == pytest.approx(
        share, abs=5 * (share * (1 - share) / 1e3) ** 0.5
    )


def test_diverged_networks_still_give_a_text() -> None:
    assert (
        len(continued(lambda x: torch.full((*x.shape, 2), torch.nan), "a", "ab", 2, 5, 1, 0)) == 6
    )


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--heads=3"], "expected --heads to divide --width, got 3 and 8"),
        (["--block=50000"], "expected --block to be less than 46,505, the characters of"),
        (["--sample=The"], "expected --checkpoint with --sample, got none"),
        (["--layers=0"], "argument --layers: expected a whole number from 1, got '0'"),
        (["--lr=0"], "argument --lr: expected a positive number, got '0'"),
        (["--temperature=-1"], "argument --temperature: expected a number from 0, got '-1'"),
        (["--temperature=nan"], "argument --temperature: expected a number from 0, got 'nan'"),
        (["--temperature=hot"], "argument --temperature: expected a number from 0, got 'hot'"),
        (["--style=old"], "argument --style: invalid choice: 'old'"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(
    args: list[str], message: str, capsys: pytest.CaptureFixture[str], of_text: Text
) -> None:
    message = message.replace("46,505", f"{len(of_text.held_out):,}")
    assert_refused(gpt.main, [*TINY, *args], message, capsys)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--compile", "expected no --compile on 2 ranks"),
        ("--checkpoint=it", "expected no --checkpoint on 2 ranks"),
        ("--batch=1", "expected --batch not to be less than the number of ranks, 2"),
    ],
)
def test_what_ranks_cannot_do_is_refused(
    option: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a test")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit):
        gpt.main([option])
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_unequal_shares_train_as_whole_batches(reports: dict[str, Any]) -> None:
    alone, shared = reports["gpt"]["rows"]  # batches of 5: 3 and 2
    assert (alone["trained by"], shared["trained by"]) == ("core, one rank", "core, 2 ranks")
    # Losses near 4.6, whose unit in the last place is 5e-7, of sums in another order.
    assert float(shared["in all"]) < 5e-6
    assert shared["bits per held-out character"] == alone["bits per held-out character"]


def test_the_page_in_docs_is_what_is_printed_and_its_code_is_the_step(
    capsys: pytest.CaptureFixture[str], unpinned: None
) -> None:
    gpt.main(["--print-step"])
    page = capsys.readouterr().out
    docs = Path(__file__).parents[2] / "docs" / "gpt-step.md"
    assert page == docs.read_text(), "python scripts/gpt.py --print-step > docs/gpt-step.md"
    exec("\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL)), names := {})

    model = fdl.gpt(step.TOKENS, step.LENGTH, step.FEATURES, step.HEADS, 1, fdl.MODERN)
    params = model.init(torch.Generator().manual_seed(1))
    x, t = torch.randint(step.TOKENS, (2, step.SEQUENCES, step.LENGTH))
    loss, grads = fdl.value_and_grad(model, fdl.cross_entropy())(params, x, t)
    expected = loss, *fdl.tree_leaves(fdl.sgd(params, grads, step.RATE))
    assert same_trees(names["step"](*fdl.tree_leaves(params), x, t), expected)
