"""The tables of a deployment profile: what a product's owner can say about it.

Every field starts as not known: ``unknown``, an empty list, or absent. What is not known counts neither as protection
nor as weakness, so a profile never makes an assessment better or worse by what it leaves out. The docstring under a
field is the comment that `tinymlsec init` writes and the row of the reference table.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from tinymlsec.records import Record


def _word(true: str, false: str) -> BeforeValidator:
    """Lets TOML's own true and false stand for the two words of a switch."""

    def convert(value: Any) -> Any:
        return {True: true, False: false}[value] if isinstance(value, bool) else value

    return BeforeValidator(convert)


YesNo = Annotated[Literal["yes", "no", "unknown"], _word("yes", "no")]
OnOff = Annotated[Literal["off", "on", "unknown"], _word("on", "off")]
Exposure = Literal["public", "restricted", "controlled", "unknown"]
Worth = Literal["none", "low", "medium", "high", "unknown"]
Text = Annotated[str, StringConstraints(strict=True, max_length=500)]
Count = Annotated[int, Field(strict=True, ge=1, le=10**12)]
Amount = Annotated[float, Field(strict=True, gt=0, le=1e15)]
Real = Annotated[float, Field(strict=True, ge=-1e15, le=1e15)]
Interface = Literal[
    "none", "uart", "usb", "spi", "i2c", "can", "ble", "wifi", "thread", "zigbee", "nfc", "lora", "cellular",
    "ethernet", "sd_card",
]  # fmt: skip


class Product(Record):
    """What is assessed."""

    name: Text = ""
    """Name of the product, printed in the report."""
    description: Text = ""
    """One sentence on what it does, printed in the report."""
    safety_critical: YesNo = "unknown"
    """Whether a wrong or missing decision can hurt somebody."""
    units: Count | None = None
    """How many units are in the field."""


class Access(Record):
    """Who can come how close. public: anyone; restricted: staff, visitors or the owner's household; controlled:
    named, supervised people only."""

    physical: Exposure = "unknown"
    """Who can touch a deployed device."""
    proximity: Exposure = "unknown"
    """Who can come within radio or near-field range of a deployed device."""
    sensor: Exposure = "unknown"
    """Who can put sound, light, motion or objects in front of its sensors."""
    unattended: YesNo = "unknown"
    """Whether it stands for hours without anyone who would notice tampering."""
    lab_access: YesNo = "unknown"
    """Whether an attacker can buy, steal or keep a unit and work on it undisturbed."""
    enclosure: Literal["open", "closed", "tamper_evident", "tamper_responsive", "unknown"] = "unknown"
    """What the housing does: nothing, keeps fingers out, shows that it was opened, or erases secrets when opened."""


class Interfaces(Record):
    """What goes in and out."""

    available: tuple[Interface, ...] = ()
    """Interfaces reachable from outside of the housing; ["none"] says that there are none, [] that it is not known."""
    network_exposure: Literal["none", "local", "internet", "unknown"] = "unknown"
    """From where packets can reach the device: nowhere, its own network or radio cell, or any host."""
    inputs: Literal["sensor", "local", "network", "unknown"] = "unknown"
    """How an outsider's input reaches the model: only through the sensor, over a local interface, or over a network."""
    outputs: Literal["none", "label", "score", "unknown"] = "unknown"
    """What an outsider sees of an answer: nothing, the decision, or scores."""
    rate_limited: YesNo = "unknown"
    """Whether the device refuses to answer faster than the product needs."""
    query_rate_per_hour: Amount | None = None
    """Answers an outsider can get in an hour."""
    timing_hidden: YesNo = "unknown"
    """Whether answers leave at fixed intervals, so that their latency says nothing."""
    link_encrypted: YesNo = "unknown"
    """Whether all traffic is encrypted (TLS, DTLS, OSCORE, LE Secure Connections or the like)."""
    link_authenticated: YesNo = "unknown"
    """Whether both ends prove who they are and messages are protected against forgery."""
    replay_protected: YesNo = "unknown"
    """Whether an old message or result is recognized as old."""
    wakeup_authenticated: YesNo = "unknown"
    """Whether strangers are prevented from waking the device or flooding it over its radio or network."""

    @model_validator(mode="after")
    def _none_stands_alone(self) -> Interfaces:
        if "none" in self.available and len(self.available) > 1:
            raise ValueError("'none' together with other interfaces")
        return self


class Update(Record):
    """How firmware and model are replaced in the field."""

    channel: Literal["none", "local", "ota", "server", "unknown"] = "unknown"
    """none: never; local: by cable or card; ota: over radio from nearby; server: from a server over a network."""
    signed: YesNo = "unknown"
    """Whether the device checks a signature before it uses an update."""
    encrypted: YesNo = "unknown"
    """Whether update packages are encrypted."""
    anti_rollback: YesNo = "unknown"
    """Whether older, correctly signed versions are refused (by a fuse or a monotonic counter)."""
    model_separate: YesNo = "unknown"
    """Whether the model can be replaced without the firmware."""
    model_signed: YesNo = "unknown"
    """Whether a separately delivered model has its own checked signature and version counter."""
    public_download: YesNo = "unknown"
    """Whether anyone can get the update package (vendor page, phone app, unencrypted link)."""


class Debug(Record):
    """State of the doors that developers use, as shipped."""

    port: Literal["open", "locked", "fused", "unknown"] = "unknown"
    """SWD or JTAG: open, locked in a way that can be undone (with or without erase), or off for good."""
    readout_protection: Literal["off", "on", "permanent", "unknown"] = "unknown"
    """Protection of the internal flash: off, on (can be lowered), or on for good."""
    bootloader: Literal["open", "authenticated", "disabled", "unknown"] = "unknown"
    """Serial or USB loader in ROM or flash: open to all, asks for a key or signature, or disabled."""
    console: Literal["open", "closed", "unknown"] = "unknown"
    """Whether a shell or verbose log is left on a serial port."""


class Boot(Record):
    """What is checked before the firmware runs."""

    secure_boot: OnOff = "unknown"
    """Whether the firmware's signature is checked at each start."""
    immutable_root: YesNo = "unknown"
    """Whether the first checking code lies in ROM or permanently write-protected flash."""
    whole_image: YesNo = "unknown"
    """Whether the check covers everything: vector table, options, model and data."""
    fault_hardened: YesNo = "unknown"
    """Whether checks are written against glitches (repeated tests, redundant values, random delays)."""
    brown_out_reset: OnOff = "unknown"
    """Whether brown-out reset or a voltage monitor is enabled."""


class Model(Record):
    """The model: where it comes from, where it lies, how it is kept."""

    encrypted_at_rest: YesNo = "unknown"
    """Whether the stored model is encrypted with a key that its reader does not get."""
    integrity_checked: Literal["never", "boot", "periodic", "each_inference", "unknown"] = "unknown"
    """How often the stored model is checked against a hash, MAC or signature."""
    location: Literal["internal", "external", "unknown"] = "unknown"
    """Whether weights lie inside of the chip's package or in a memory on the board."""
    runtime: Literal["interpreter", "compiled", "unknown"] = "unknown"
    """Whether a model file is interpreted on the device or was turned into code beforehand."""
    file_validated: YesNo = "unknown"
    """Whether a model file is verified (offsets, indices, sizes) before it is interpreted."""
    on_device_training: YesNo = "unknown"
    """Whether weights change on the device."""
    federated: YesNo = "unknown"
    """Whether devices send training updates to a server."""
    update_checked: YesNo = "unknown"
    """Whether weight changes are bounded and tested on known inputs before they are kept."""
    update_private: YesNo = "unknown"
    """Whether training updates leave the device only with noise or securely aggregated."""
    source: Literal["own", "third_party", "public_zoo", "unknown"] = "unknown"
    """Who trained the model or its starting point."""
    source_checked: YesNo = "unknown"
    """Whether a model from elsewhere was tested for backdoors, after quantization."""
    training_data: Literal["own", "public", "crowd", "unknown"] = "unknown"
    """Where the training data comes from."""
    training_data_checked: YesNo = "unknown"
    """Whether origin and content of the training data are verified (digests, outlier and duplicate checks)."""
    personal_data: YesNo = "unknown"
    """Whether training data or inputs say something about identifiable people."""
    private_training: YesNo = "unknown"
    """Whether it was trained with differential privacy."""
    robust_training: YesNo = "unknown"
    """Whether it was trained against adversarial inputs."""


class Inference(Record):
    """Protections while the model runs."""

    side_channel: Literal["none", "hiding", "masking", "unknown"] = "unknown"
    """Protection against power and EM analysis: none, hiding (shuffling, jitter), or masking."""
    constant_time: YesNo = "unknown"
    """Whether the work per inference does not depend on the input."""
    redundancy: Literal["none", "decision", "full", "unknown"] = "unknown"
    """What is computed twice and compared: nothing, the final decision, or the whole inference."""
    memory_wiped: YesNo = "unknown"
    """Whether activations, inputs and decrypted weights are erased after use and at reset."""
    input_checked: YesNo = "unknown"
    """Whether inputs are tested for plausibility (range, spectrum, second sensor) before they are used."""
    voting: YesNo = "unknown"
    """Whether a decision needs several inferences in a row."""
    energy_limited: YesNo = "unknown"
    """Whether inferences and the radio traffic they cause have a budget per hour."""


class Keys(Record):
    """Secrets in the device."""

    shared_fleet_key: YesNo = "unknown"
    """Whether one key or password is the same in all units."""
    default_credentials: YesNo = "unknown"
    """Whether test keys, sample keys or default passwords are shipped."""
    storage: Literal["none", "plain_flash", "protected", "secure_element", "unknown"] = "unknown"
    """Where secrets lie: there are none, readable flash, behind hardware protection (OTP lock, key slot, PUF,
    TrustZone), or in a separate secure element."""
    random_source: Literal["none", "software", "trng", "unknown"] = "unknown"
    """Where random numbers for keys and nonces come from."""


class Isolation(Record):
    """Walls inside of the firmware."""

    mpu_used: YesNo = "unknown"
    """Whether the memory protection unit (or MMU, PMP) is configured and enabled."""
    trustzone_used: YesNo = "unknown"
    """Whether code is split into a secure and a non-secure world."""
    model_in_secure_world: YesNo = "unknown"
    """Whether model and inference lie on the secure side."""
    privilege_separation: YesNo = "unknown"
    """Whether communication and inference run unprivileged and apart."""
    stack_protection: YesNo = "unknown"
    """Whether stack canaries, guards or shadow stacks are built in."""
    no_execute_ram: YesNo = "unknown"
    """Whether code cannot run from RAM."""
    dma_restricted: YesNo = "unknown"
    """Whether DMA and other bus masters are kept out of protected memory."""
    clock_power_locked: YesNo = "unknown"
    """Whether clock, voltage and flash-timing registers are locked or privileged."""


class Supply(Record):
    """Where parts and software come from."""

    parts_verified: YesNo = "unknown"
    """Whether chips are bought from authorized sources and authenticated at assembly."""
    dependencies_pinned: YesNo = "unknown"
    """Whether libraries, tools and converters are pinned by digest and listed (SBOM)."""
    vulnerabilities_tracked: YesNo = "unknown"
    """Whether advisories for these parts are followed and lead to updates."""


class Assets(Record):
    """What is worth protecting, and how much its loss would hurt."""

    model: Worth = "unknown"
    """Architecture, weights, thresholds and labels, as intellectual property."""
    user_data: Worth = "unknown"
    """Sensor inputs and what is inferred about people."""
    training_data: Worth = "unknown"
    """The data the model was made from."""
    decisions: Worth = "unknown"
    """That the device decides rightly."""
    availability: Worth = "unknown"
    """That it keeps running, its battery included."""
    safety: Worth = "unknown"
    """Health of people and machines that depend on it."""
    keys: Worth = "unknown"
    """Keys and credentials."""
    firmware: Worth = "unknown"
    """Control over the firmware and its update channel."""


class Limits(Record):
    """What a defense may cost."""

    deadline_ms: Amount | None = None
    """Longest time an inference may take, in milliseconds."""
    energy_budget_uj_per_inference: Amount | None = None
    """Energy an inference may take, in microjoules."""
    power: Literal["battery", "harvested", "mains", "unknown"] = "unknown"
    """What feeds the device."""
    battery_mah: Amount | None = None
    """Capacity of its battery, in milliampere hours."""


class Sensor(Record):
    """What the model's input means in the physical world, and what its output means."""

    unit: Text = ""
    """Physical unit of an input value, such as "m/s2" or "Pa"."""
    low: Real | None = None
    """Smallest value the sensor can report, in that unit."""
    high: Real | None = None
    """Largest value the sensor can report, in that unit."""
    step: Amount | None = None
    """Smallest difference the sensor reports, in that unit."""
    task: Literal["classification", "detection_threshold", "anomaly", "regression"] | None = None
    """What the model does; left out, it is taken from the data file or the graph."""
    sequence: Literal["frames", "none"] | None = None
    """Whether successive inputs are frames of one stream that the model keeps state for."""
    threshold: Real | None = None
    """Output above which the product acts, in the model's output unit."""

    @model_validator(mode="after")
    def _ordered(self) -> Sensor:
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"low = {self.low:g} is not below high = {self.high:g}")
        return self
