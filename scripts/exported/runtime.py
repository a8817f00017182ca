"""Trains in ONNX Runtime, from files that functional_dl.export wrote. Nothing here needs torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort

from exported.reference import Arrays


def load(file: Path | bytes, threads: int) -> ort.InferenceSession:
    """The file, ready to run."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(file, options, ["CPUExecutionProvider"])


class Training:
    """Runs a file for one feed after the other, while the params stay in the runtime.

    Inputs and outputs are bound beforehand: new params are written where the old ones were two runs
    ago.

    Args:
        file: A step, or the whole of training; or what such a file holds.
        params: What to begin with.
        feeds: What else the runs take, one after the other and from the first again.
        threads: For the runtime.
    """

    def __init__(
        self, file: Path | bytes, params: Arrays, feeds: Sequence[Arrays], threads: int
    ) -> None:
        self.session = load(file, threads)
        self.places = [{k: p.copy() for k, p in params.items()} for _ in range(2)]
        self.bindings = [self.session.io_binding() for _ in range(2 * len(feeds))]
        shape = self.session.get_outputs()[-1].shape
        sizes = [feeds[0].get(d, d) for d in shape]
        self.losses = np.empty([len(self.bindings), *sizes], np.float32)
        self.runs = 0
        for i, binding in enumerate(self.bindings):
            old, new = self.places[i % 2], self.places[1 - i % 2]
            gives = {f"new_{k}": p for k, p in new.items()} | {"loss": self.losses[i, ...]}
            for k, v in (old | feeds[i % len(feeds)]).items():
                binding.bind_ortvalue_input(k, ort.OrtValue.ortvalue_from_numpy(v))
            for k, v in gives.items():  # in the memory of the array
                binding.bind_ortvalue_output(k, ort.OrtValue.ortvalue_from_numpy(v))

    def run(self, times: int) -> np.ndarray:
        """Runs the file so many times, and returns the loss of each."""
        losses: list[np.ndarray] = []
        while times > 0:
            start = self.runs % len(self.bindings)
            of = slice(start, min(start + times, len(self.bindings)))
            for binding in self.bindings[of]:
                self.session.run_with_iobinding(binding)
            losses.append(self.losses[of].copy())
            self.runs += len(losses[-1])
            times -= len(losses[-1])
        return np.concatenate(losses)

    @property
    def params(self) -> Arrays:
        """As they are now."""
        return self.places[self.runs % 2]
