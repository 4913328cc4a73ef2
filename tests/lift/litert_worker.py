"""Runs a model on LiteRT in a process of its own: ``python litert_worker.py MODEL INPUTS.npy OUTPUTS.npy RESOLVER``."""

from __future__ import annotations

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType


def main(model: str, inputs: str, outputs: str, resolver: str) -> None:
    kind = OpResolverType[resolver]
    interpreter = Interpreter(model, num_threads=1, experimental_op_resolver_type=kind)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    rows = []
    for sample in np.load(inputs, allow_pickle=False):
        interpreter.set_tensor(source, sample[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(target)[0])
    np.save(outputs, np.stack(rows), allow_pickle=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
