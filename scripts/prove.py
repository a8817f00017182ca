"""Proves that functional_dl equals PyTorch in every bit, and that check_vjp misses nothing.

Prints four tables: cases drawn by proof/parity.py, the faults of proof/faults.py, the report's
training over many seeds, and GPTs beside PyTorch's. Exits with status 1 when anything falls short.
"""

import sys

from tqdm import tqdm

import cli
from proof.faults import FAULTS
from proof.gpts import gpt_table
from proof.parity import CASES
from proof.tables import checker_table, parity_table, training_table
from report.experiment import NETWORKS
from report.trainers import CONTESTANTS


def main(args: list[str] | None = None) -> None:
    """Prints the tables; exits with status 1 when anything falls short."""
    parser = cli.parser(str(__doc__).splitlines()[0])
    parser.add_argument("--cases", type=cli.whole(1), default=850, help="drawn of each kind")
    parser.add_argument("--draws", type=cli.whole(1), default=1000, help="of right layers")
    parser.add_argument("--seeds", type=cli.whole(1), default=20, help="trained from")
    parser.add_argument("--epochs", type=cli.whole(1), default=500, help="of training")
    parser.add_argument("--steps", type=cli.whole(1), default=200, help="of a GPT's training")
    cli.add_out(parser)
    options = parser.parse_args(args)

    runs = options.seeds * len(NETWORKS) * len(CONTESTANTS)
    total = options.cases * len(CASES) + len(FAULTS) + options.draws + runs + 4
    with tqdm(total=total, unit="") as progress:
        proven = {
            "Parity": parity_table(options.cases, options.seed, progress),
            "Checker": checker_table(options.draws, options.seed, progress),
            "Training": training_table(options.seeds, options.epochs, progress),
            "GPT": gpt_table(options.steps, options.seed, progress),
        }
    tables = {name: rows for name, (rows, _) in proven.items()}
    cli.show(tables, options.format)
    with cli.all_or_nothing(options.out) as folder:
        cli.write_json(folder / "prove.json", {"machine": cli.machine(), **tables})
    print(f"\nprove.json is in {options.out}.")
    sys.exit(0 if all(holds for _, holds in proven.values()) else 1)


if __name__ == "__main__":
    main()
