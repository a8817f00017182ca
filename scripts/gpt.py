"""Trains a GPT on Python's own documentation, character by character, beside PyTorch.

    python scripts/gpt.py                                       # both, side by side
    python scripts/gpt.py --checkpoint FILE                     # the core alone, from there on
    python scripts/gpt.py --checkpoint FILE --sample "The "     # what it has learned
    torchrun --standalone --nproc-per-node 2 scripts/gpt.py     # the core on shared batches
    python scripts/gpt.py --print-step                          # what docs/gpt-step.md holds

The table holds how well each has learned, how far they are apart, time and memory; the figure shows
the losses and their difference.
"""

import argparse
from argparse import Namespace
from dataclasses import fields
from pathlib import Path

import cli
import figures
import group
from language import checkpoint, figure, memory, sharded, step, tables, text
from language.plan import STYLES, Plan
from language.runs import Run, run_all, sample
from language.sampling import continued
from language.text import Text
from language.trainers import COMPILED, CORE, PYTORCH
from report.contestant import Contestant


def parser() -> cli.Parser:
    """The command line."""
    p = cli.parser(str(__doc__).splitlines()[0])
    p.add_argument("--layers", type=cli.whole(1), default=2, help="blocks of attention and MLP")
    p.add_argument("--width", type=cli.whole(1), default=64, help="features of each position")
    p.add_argument("--heads", type=cli.whole(1), default=4, help="of each attention")
    p.add_argument("--block", type=cli.whole(1), default=64, help="characters that it sees at once")
    p.add_argument("--batch", type=cli.whole(1), default=16, help="pieces of text in each step")
    p.add_argument("--style", choices=STYLES, default="modern", help="what blocks are made of")
    p.add_argument(
        "--tied",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether the last layer has the embedding's weight",
    )
    p.add_argument("--steps", type=cli.whole(1), default=2000, help="of training")
    p.add_argument(
        "--lr", type=cli.number(1e-45, "a positive number"), default=0.003, help="the highest rate"
    )
    p.add_argument("--compile", action="store_true", help="train what torch.compile makes of both")
    p.add_argument("--threads", type=cli.whole(1), default=1, help="that torch may use")
    p.add_argument(
        "--checkpoint", metavar="FILE", type=Path, help="train the core alone, from there on"
    )
    p.add_argument("--sample", metavar="TEXT", help="go on from it, with what --checkpoint holds")
    p.add_argument("--characters", type=cli.whole(1), default=500, help="of --sample")
    p.add_argument(
        "--temperature",
        type=cli.number(0, "a number from 0"),
        default=0.8,
        help="of --sample: 0 takes the most likely character",
    )
    p.add_argument("--print-step", action="store_true", help="print a step, line by line, and stop")
    cli.add_out(p)
    return p


def main(args: list[str] | None = None) -> None:
    """Runs what the options ask for."""
    p = parser()
    options = p.parse_args(args)
    plan = Plan(**{f.name: getattr(options, f.name) for f in fields(Plan)})
    if plan.width % plan.heads:
        p.error(f"expected --heads to divide --width, got {plan.heads} and {plan.width}")
    if options.sample is not None and not options.checkpoint:
        p.error("expected --checkpoint with --sample, got none")
    alone = "checkpoint" if options.checkpoint else "compile" if options.compile else ""
    if (ranks := group.size()) and alone:
        p.error(f"expected no --{alone} on {ranks} ranks")
    if ranks and plan.batch < ranks:
        p.error(f"expected --batch not to be less than the number of ranks, {ranks}")
    of_text = text.load()
    if plan.block >= len(of_text.held_out):
        p.error(
            f"expected --block to be less than {len(of_text.held_out):,}, the characters of "
            f"the held-out text, got {plan.block:,}"
        )
    if ranks:
        with group.joined(on_gpus=False) as (rank, _):
            runs = sharded.run_both(plan, of_text)
        if rank == 0:
            report(plan, of_text, runs, {}, options)
        return

    cli.use_threads(options.threads)
    if options.print_step:
        print(step.page(), end="")
    elif options.sample is not None:
        go_on(options)
    elif options.checkpoint:
        train_on(plan, of_text, options)
    else:
        contestants = COMPILED if options.compile else (PYTORCH, CORE)
        runs = run_all(plan, of_text, contestants)
        used = memory.peaks(plan, len(of_text.alphabet), contestants, options.threads)
        report(plan, of_text, runs, used, options)


def report(
    plan: Plan,
    of_text: Text,
    runs: dict[Contestant, Run],
    used: dict[Contestant, float],
    options: Namespace,
) -> None:
    """Prints samples and the table, and writes the files."""
    for c, run in runs.items():
        print(f"\n{c.name}:\n\n{sample(plan, of_text.alphabet, run.trainer.predict)}\n")
    rows = tables.rows(plan, of_text, runs, used)
    cli.show({"GPT": rows}, options.format)
    with cli.all_or_nothing(options.out) as folder:
        figures.save(figure.draw(plan, runs), folder / "gpt")
        cli.write_json(folder / "gpt.json", {"machine": cli.machine(), "rows": rows})
    print(f"\nThe figure and gpt.json are in {options.out}.")


def train_on(plan: Plan, of_text: Text, options: Namespace) -> None:
    """Trains from the checkpoint on, and says what came of it."""
    file = options.checkpoint
    try:
        predict, losses = checkpoint.train(plan, of_text, file, options.compile)
    except (OSError, ValueError) as error:
        raise SystemExit(f"gpt: {error}") from error
    except KeyboardInterrupt:
        raise SystemExit(f"\ngpt: interrupted; the same call goes on from {file}") from None
    bits = text.bits(predict, of_text.held_out, plan.block)
    print(f"\n{sample(plan, of_text.alphabet, predict)}\n")
    print(
        f"Last loss {losses[-1].item():.4f}, {bits:.3f} bits per held-out character; "
        f"all is in {file}."
    )


def go_on(options: Namespace) -> None:
    """Prints a text, and how the checkpoint's network goes on."""
    try:
        plan, alphabet, predict = checkpoint.trained(options.checkpoint)
        how = plan.block, options.characters, options.temperature, options.seed
        print(continued(predict, options.sample, alphabet, *how))
    except (OSError, ValueError) as error:
        raise SystemExit(f"gpt: {error}") from error


if __name__ == "__main__":
    main()
