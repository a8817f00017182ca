"""What all figures share: a palette in which a colour has one meaning, and how they are saved.

The colours are those of Okabe and Ito and of Paul Tol, who chose them for colour-blind readers.
"""

from pathlib import Path

import matplotlib as mpl
from cycler import cycler
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

OURS, PYTORCH, PEER = "#009e73", "#e69f00", "#999999"
INSIDE, OUTSIDE = "#0072b2", "#d55e00"  # of the disk; the page that trains has them too
RIGHT, WRONG = "black", "#aa3377"
SCALE = "BrBG"  # brown where PyTorch is ahead, green where we are
LINES = ("#332288", "#88ccee", "#cc6677", "#117733", "#ddcc77", "#882255", "#44aa99", "#999933")
"""For what has no colour of its own."""

mpl.use("Agg")
mpl.rcParams["axes.prop_cycle"] = cycler(color=LINES)
mpl.rcParams["figure.constrained_layout.use"] = True
mpl.rcParams["svg.hashsalt"] = "functional_dl"  # the same file for the same figure


def save(figure: Figure, path: Path) -> None:
    """As PNG and SVG."""
    figure.savefig(path.with_suffix(".png"), dpi=150)
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    plt.close(figure)
