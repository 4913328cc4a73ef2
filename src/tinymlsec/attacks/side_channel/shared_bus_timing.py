"""Shared bus: what another master of the chip could notice of an inference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from tinymlsec.capabilities import Capability
from tinymlsec.errors import CapabilityMissing
from tinymlsec.evidence import Observation
from tinymlsec.records import (
    Basis,
    Confidence,
    Control,
    Effort,
    Equipment,
    Expertise,
    Finding,
    Knowledge,
    Location,
    Severity,
    Verdict,
    VerdictKind,
)
from tinymlsec.registry import AttackConfig, EffortLevel, Position, attack

if TYPE_CHECKING:
    from tinymlsec.attacks.side_channel._shared_bus_accesses import Accesses
    from tinymlsec.attacks.side_channel._shared_bus_masters import Bus
    from tinymlsec.context import Context
    from tinymlsec.emulate.twin import Twin
    from tinymlsec.target.target import Target

MOST_FINDINGS = 10
CWE = ("CWE-1303", "CWE-1189", "CWE-208")
FIX = (
    "keep activations and tables in tightly coupled memory, use kernels without branches and tables that depend on the "
    "input, and let no other master use the bus while an inference runs"
)


class SharedBusTimingConfig(AttackConfig):
    """Counted work, and the firmware's kernels."""

    samples: int = Field(default=2, ge=1, le=1000)
    """Inferences through which inputs are followed, at most: other paths have other accesses."""
    megainstructions: int = Field(default=500, ge=1, le=10_000_000)
    """Million instructions that may be followed."""
    style: Literal["plain", "unrolled", "dsp"] = "plain"
    """Inner loops of the kernels."""


@attack(
    id="shared-bus-timing",
    title="Shared bus: what other masters of the chip could notice",
    family="side_channel",
    threats=("H5",),
    needs=(Capability.DEVICE,),
    position=Position.LOCAL,
    controls=("two processors on one RAM and a layer with a sign branch", "the same without any choice"),
    source="Rodrigues, Oliveira, Pinto: BUSted, IEEE S&P 2024; Oberhansl et al.: MCU-Wide Timing Side Channels, "
    "arXiv 2309.12925",
    config=SharedBusTimingConfig,
    presets={
        EffortLevel.QUICK: {"samples": 1, "megainstructions": 120},
        EffortLevel.STANDARD: {"samples": 2, "megainstructions": 500},
        EffortLevel.THOROUGH: {"samples": 8, "megainstructions": 10_000},
    },
)
def shared_bus_timing(target: Target, config: SharedBusTimingConfig, context: Context) -> Observation:
    """Says which masters share which memory, and which accesses of an inference depend on its input.

    ## What it does

    It reads the device file for masters (processors and accelerators), memories and TrustZone, draws from it what
    follows about sharing, and where the model can be run as firmware it finds the accesses of an inference whose
    address, order or time depends on the input. Both together are what an attack over the bus needs. Nothing is
    attacked: the basis is *static*.

    ## Why it works on a microcontroller

    All masters of a microcontroller meet at a few memories, and the bus lets one of them wait while another is served.
    Code that may not read a secret can still see when the secret's owner uses the memory: it sends DMA transfers or
    accesses of its own there and measures how long they take. TrustZone decides who may read what, not who has to wait:
    a PIN was taken across it in that way (BUSted). An attacker is code on the same chip.

    ## Method

    Device files say which masters and memories there are, and with which certainty. They do not say which master
    reaches which memory, how the bus arbitrates, how memories are banked, or which DMA controllers there are, and the
    report says so. What follows all the same: where more than one processor is listed and one RAM (or one lasting
    memory) that is neither tightly coupled nor an accelerator's own, they share it. Everything else is *not said*.

    Accesses are found by following the inputs through the emulated firmware byte by byte (as `timing-leakage` does):
    loads and stores at addresses that depend on the input, branches that do (what comes after them is accessed or not),
    loads and stores that are left out, and instructions whose time depends on such operands, which shifts all accesses
    after them. Each is listed with its source line, operator and memory.

    The verdict is *vulnerable* (by static facts: the threat is then *indicated*) where at least two processors surely
    share a memory and addresses or order of accesses depend on the input. It is never *resistant*: a constant order of
    accesses says nothing about weights and keys, and nothing was measured. Where one master is listed and TrustZone-M
    is known to be absent, the attack is skipped as not applicable; a DMA controller would be a second master, which the
    file does not tell. Anything else is *inconclusive*, with what is not known.

    ## Controls

    Positive: a device of two processors with one RAM, and a dense layer with a sign branch in its requantization: it
    must be called vulnerable. Negative: the same device and layer with clamps made of masks, in which no access may
    depend on the input. They are run where firmware can be emulated.

    ## Limits

    Whether contention is measurable on a chip takes the chip. Two processors of one file may sit behind different
    buses. Firmware is generated from the model and its data lie where our linker script puts them. Only inputs are
    followed, not weights or keys.

    Source: C. Rodrigues, D. Oliveira, S. Pinto, "BUSted!!! Microarchitectural Side-Channel Attacks on the MCU Bus
    Interconnect", IEEE Symposium on Security and Privacy 2024; "MCU-Wide Timing Side Channels and Their Detection",
    arXiv 2309.12925, 2023.
    """
    from tinymlsec.attacks.side_channel._shared_bus_masters import bus_of

    device = target.device
    if device is None:
        raise CapabilityMissing("the masters of an unknown device are unknown", next_step="name the board: --device ID")
    bus = bus_of(device)
    if bus.single:
        raise CapabilityMissing(
            f"not applicable as far as the device file tells: {device.id} has one master ({bus.masters[0].words}) and "
            "no TrustZone-M, so no other code runs beside the inference; device files do not list DMA controllers",
            next_step="where a DMA controller is in the hands of others, count this threat as open",
        )
    return _Run(target, config, context, bus).observation()


class _Run:
    """The attack on one target."""

    def __init__(self, target: Target, config: SharedBusTimingConfig, context: Context, bus: Bus) -> None:
        self.target, self.config, self.context, self.bus = target, config, context, bus
        self.twin: Twin | None = None

    def observation(self) -> Observation:
        """Accesses, controls, verdict."""
        accesses = self._accesses()
        positive, negative = self._controls()
        return Observation(
            verdict=judge(self.bus, accesses, positive, negative),
            basis=Basis.STATIC,
            summary=self._summary(accesses),
            positive_control=positive,
            negative_control=negative,
            findings=self._findings(accesses),
            effort=Effort(knowledge=Knowledge.RESTRICTED, expertise=Expertise.EXPERT, equipment=Equipment.STANDARD),
            limits=self._limits(accesses),
            facts=self._facts(accesses),
        )

    def _accesses(self) -> Accesses:
        from tinymlsec.attacks.side_channel._shared_bus_accesses import accesses_of, unknown
        from tinymlsec.attacks.side_channel._timing_inputs import choose

        target, config = self.target, self.config
        if Capability.FIRMWARE not in target.capabilities:
            return unknown(target.why_missing(Capability.FIRMWARE) if target.model else "no model was given")
        try:
            self.twin = target.twin(config.style)
        except CapabilityMissing as missing:
            return unknown(missing.message)
        inputs = choose(self.twin.program, target.space, target.dataset, config.samples, self.context.rng)
        return accesses_of(self.twin, inputs, config.megainstructions * 1_000_000)

    def _controls(self) -> tuple[Control | None, Control | None]:
        if self.twin is None:
            return None, None
        from tinymlsec.attacks.side_channel._shared_bus_controls import controls

        return controls(self.twin, self.context.rng)

    def _summary(self, accesses: Accesses) -> str:
        masters = ", ".join(master.words for master in self.bus.masters)
        shared = [memory.name for memory in self.bus.surely_shared()]
        memory = f"processors share {' and '.join(shared)}" if shared else "which memories they share is not said"
        if self.bus.processors < 2:
            memory = self.bus.processors_words
        return f"Masters: {masters}; {memory}. {describe(accesses)}"

    def _findings(self, accesses: Accesses) -> tuple[Finding, ...]:
        from tinymlsec.attacks.side_channel._timing_places import spot_of

        if self.twin is None or self.bus.processors < 2:
            return ()
        made: list[Finding] = []
        told: set[tuple[str, str, int]] = set()
        for rule, title, places in (
            ("BUS-ADDRESS", "An address that depends on the input", accesses.addresses),
            ("BUS-BRANCH", "Accesses that depend on a branch by the input", accesses.choices),
            ("BUS-CONDITIONAL", "An access that is left out depending on the input", accesses.left_out),
            ("BUS-SHIFT", "Accesses that come earlier or later depending on the input", accesses.shifted),
        ):
            for place in places:
                spot = spot_of(self.twin, place.address, place.layer)
                if (rule, spot.line, spot.layer) in told or len(made) >= MOST_FINDINGS:
                    continue
                told.add((rule, spot.line, spot.layer))
                made.append(
                    Finding(
                        id=rule, title=title, message=f"{spot.words}: {place.count} times in an inference",
                        severity=Severity.LOW, confidence=Confidence.LOW, cwe=CWE, fix=FIX,
                        location=Location(
                            path=spot.line.partition(":")[0] or None, op=place.layer if place.layer >= 0 else None,
                            symbol=spot.symbol or None, address=place.address,
                        ),
                    )
                )  # fmt: skip
        return tuple(made)

    def _limits(self, accesses: Accesses) -> tuple[str, ...]:
        from tinymlsec.attacks.side_channel._shared_bus_masters import NO_DMA

        made = [
            f"By static facts: {NO_DMA}. Nothing was measured.",
            "Only what depends on inputs was looked for, not on weights or keys.",
        ]
        if not accesses.known:
            made.append(f"Which accesses depend on the input is unknown: {accesses.why}.")
        elif accesses.why:
            made.append(f"Not all accesses are known: {accesses.why}.")
        return tuple(made)

    def _facts(self, accesses: Accesses) -> dict[str, Any]:
        bus, deployment = self.bus, self.target.deployment
        isolation = deployment.isolation if deployment is not None else None
        return {
            "masters": [
                {"name": m.name, "kind": m.kind, "count": m.count, "runs_code": m.runs_code, "sure": m.sure}
                for m in bus.masters
            ],
            "memories": [
                {"name": m.name, "kind": m.kind, "external": m.external, "shared": m.shared, "reason": m.reason}
                for m in bus.memories
            ],
            "dma": "not in device files",
            "trustzone_m": bus.trustzone_m,
            "trustzone_m_words": bus.trustzone_words,
            "profile": {
                "trustzone_used": isolation.trustzone_used if isolation else "unknown",
                "dma_restricted": isolation.dma_restricted if isolation else "unknown",
            },
            "accesses": self._access_facts(accesses),
        }  # fmt: skip

    def _access_facts(self, accesses: Accesses) -> dict[str, Any]:
        from tinymlsec.attacks.side_channel._shared_bus_accesses import region_of

        if not accesses.known or self.twin is None:
            return {"known": False, "why": accesses.why}
        twin = self.twin
        return {
            "known": True, "instructions_followed": accesses.instructions, "gap": accesses.why or "none",
            "addresses": len(accesses.addresses), "branches": len(accesses.choices), "left_out": len(accesses.left_out),
            "shifting_instructions": len(accesses.shifted),
            "memories_of_addresses": sorted({region_of(twin, p.reach[0]) for p in accesses.addresses}),
            "operators": sorted({p.layer for p in (*accesses.addresses, *accesses.choices, *accesses.left_out)}),
        }  # fmt: skip


def describe(accesses: Accesses) -> str:
    """What depends on the input, in a sentence."""
    if not accesses.known:
        return f"Which accesses depend on the input is unknown: {accesses.why}."
    if not accesses.depend:
        shifts = f"; {len(accesses.shifted)} instructions take a time that does" if accesses.shifted else ""
        gap = f", as far as it could be followed: {accesses.why}" if accesses.why else ""
        return f"No address and no order of accesses depends on the input{shifts}{gap}."
    return (
        f"On the input depend {len(accesses.addresses)} addresses, {len(accesses.choices)} branches, "
        f"{len(accesses.left_out)} accesses that are left out and {len(accesses.shifted)} instructions of varying time."
    )


def judge(bus: Bus, accesses: Accesses, positive: Control | None, negative: Control | None) -> Verdict:
    """The verdict; by static facts alone nothing is resistant."""
    shared = bus.surely_shared()
    if bus.processors < 2:
        return _open(
            f"{bus.processors_words}; TrustZone-M is {bus.trustzone_m}: whether DMA or another master in others' "
            f"hands reaches its memories is not in device files. {describe(accesses)}"
        )
    if not shared:
        return _open("the device file does not say which memories its processors share. " + describe(accesses))
    if not accesses.known:
        return _open(
            f"{_names(shared)} shared by processors, but {describe(accesses)[0].lower()}{describe(accesses)[1:]}"
        )
    if not accesses.depend:
        return _open(
            f"{_names(shared)} shared by processors. {describe(accesses)} Static facts make nothing resistant: weights "
            "and keys were not followed, and nothing was measured"
        )
    if negative is not None and not negative.succeeded:
        return _open(f"the firmware without any choice was not silent: {negative.detail}")
    if positive is not None and not positive.succeeded:
        return _open(f"the known-weak firmware was not found: {positive.detail}")
    return Verdict(
        kind=VerdictKind.VULNERABLE,
        reason=f"by static facts: {_names(shared)} shared by {bus.processors} processors. {describe(accesses)}",
    )


def _names(shared: tuple[Any, ...]) -> str:
    names = [memory.name for memory in shared]
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'}"


def _open(reason: str) -> Verdict:
    return Verdict(kind=VerdictKind.INCONCLUSIVE, reason=reason[:1900])
