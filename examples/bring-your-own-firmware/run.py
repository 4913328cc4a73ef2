"""Runs inferences on gadget.elf by gadget.toml and compares them with the network in NumPy.

python examples/bring-your-own-firmware/run.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from network import answers, digits, network

from tinymlsec.emulate.contract import Probe
from tinymlsec.emulate.foreign.description import read_description
from tinymlsec.emulate.foreign.session import Session

HERE = Path(__file__).parent


def main() -> None:
    x = digits(100)
    with Session.open(HERE / "gadget.elf", read_description(HERE / "gadget.toml")) as session:
        print("it started and printed", session.boot_report.text)
        scores = session.infer(x)
        print(f"{int((scores == answers(network(), x)).all(1).sum())} of {len(x)} answers are right")
        dense = session.image.symbols_named("gadget::Model::dense")[0]
        probe = Probe(registers=True, ranges=((dense.address, dense.address + dense.size),))
        observed = session.run(x[:1], probe)
        weights = observed.result.records["hw"]
        print(f"{len(weights)} instructions of the dense layers leak {np.mean(weights):.2f} bits on average")


if __name__ == "__main__":
    main()
