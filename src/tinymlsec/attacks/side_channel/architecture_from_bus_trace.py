"""The architecture of a model from the accesses to its external memories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from tinymlsec.capabilities import Capability
from tinymlsec.evidence import Observation
from tinymlsec.records import Basis, Effort, Equipment, Expertise, Knowledge
from tinymlsec.registry import AttackConfig, EffortLevel, Position, attack

if TYPE_CHECKING:
    from tinymlsec.context import Context
    from tinymlsec.target.target import Target


class ArchitectureFromBusTraceConfig(AttackConfig):
    """How much is recorded, and what is encrypted."""

    encrypted: bool = True
    """Data on the bus is encrypted, so that only addresses and directions are seen."""
    samples: int = Field(default=128_000_000, ge=1000, le=256_000_000)
    """Instructions that an inference may have, each of which may access memory; longer ones are not attacked."""


@attack(
    id="architecture-from-bus-trace",
    title="Architecture from accesses to external memory",
    family="side_channel",
    threats=("H10",),
    needs=(Capability.MODEL, Capability.FIRMWARE),
    position=Position.PHYSICAL,
    controls=("small network of known layers", "the same accesses at addresses that are shuffled"),
    source="Hua, Zhang, Suh: Reverse Engineering Convolutional Neural Networks Through Side-channel Information Leaks, "
    "DAC 2018",
    config=ArchitectureFromBusTraceConfig,
    presets={
        EffortLevel.QUICK: {"samples": 32_000_000},
        EffortLevel.STANDARD: {"samples": 128_000_000},
        EffortLevel.THOROUGH: {"samples": 256_000_000},
    },
)
def architecture_from_bus_trace(
    target: Target, config: ArchitectureFromBusTraceConfig, context: Context
) -> Observation:
    """Recovers operators, shapes and numbers of products from what crosses the bus to external memories.

    ## What it does

    It records every access to the arena of activations and to the tables of weights during one inference in the
    emulator, as a probe on the bus to an external RAM and an external flash would. From addresses and directions alone,
    as they stay visible when data is encrypted, it recovers the layers. It also states which share of the weights could
    be read straight from the bus if data were not encrypted.

    ## Why it works on a microcontroller

    Models outgrow the memory on the chip, and kernels walk through tensors in the order in which they lie in memory.
    Encryption on the fly (such as XTS or CTR in front of a flash) hides data, not addresses. Which addresses are read
    does not depend on data, so that one inference tells all.

    ## Method

    A layer ends where values are no longer written one behind the other, or where a value is read that was just
    written (Hua, Zhang, Suh). What is only read are weights. The tensor that a layer reads is the newest one that was
    written there; its shape is known from the layer that wrote it, that of the input from the attacker's own. Of all
    windows, strides and paddings those are kept that have the right number of output values and weights, and for every
    output value the number of reads and the lowest address that were seen. Layers without weights are told by how often
    and from where they read. RESHAPE accesses nothing; it is named where a dense layer reads an image.

    The verdict is *vulnerable* where kind and shape are right for more than half of the layers, *resistant* where the
    interval stays below a quarter and the small network was read, else *inconclusive*.

    ## Controls

    Positive: a small network, all of whose layers must be recovered. Negative: the same accesses with all addresses of
    each memory shuffled, as if they were scrambled, from which nothing may be recovered.

    ## Limits

    There is no cache and no DMA between core and memory: with a cache the bus shows lines instead of bytes. Code, stack
    and parameters of layers are taken to lie inside the chip. Whether the board has external memory at all is not
    asked here. Pools of mean and maximum look alike in addresses, and so do sums and products of two tensors: they are
    given as candidates. Dilation, groups, depthwise multipliers and different strides along both axes are not covered.

    Source: W. Hua, Z. Zhang, G. E. Suh, "Reverse Engineering Convolutional Neural Networks Through Side-channel
    Information Leaks", DAC 2018.
    """
    from tinymlsec.attacks.side_channel import _arch_report as report
    from tinymlsec.attacks.side_channel._bus_run import run

    done = run(target, config, context)
    right = sum(row.shape for row in done.rows)
    seen = "addresses only" if config.encrypted else "addresses and data"
    return Observation(
        verdict=report.verdict(done.rows, done.positive),
        basis=Basis.SIMULATED,
        summary=f"From {done.accesses:,} accesses of one inference ({seen}) kind and output shape of {right} of "
        f"{len(done.rows)} layers were recovered.",
        metrics=(*report.metrics(done.rows), *done.metrics),
        series=(done.series,),
        positive_control=done.positive,
        negative_control=done.negative,
        chance=0.0,
        effort=Effort(
            traces=1, queries=1, knowledge=Knowledge.PUBLIC, expertise=Expertise.PROFICIENT,
            equipment=Equipment.STANDARD,
        ),
        limits=(
            "Simulated: all accesses of the emulated core to arena and tables, without caches.",
            "Activations and weights are taken to lie in external memories, code and stack inside the chip.",
        ),
        facts=done.facts,
    )  # fmt: skip
