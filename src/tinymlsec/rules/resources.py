"""RES: what a model asks of the device: memory, flash, time, unpacking."""

from __future__ import annotations

from collections.abc import Iterator

from tinymlsec.records import Confidence, Location, Severity
from tinymlsec.rules._compressed import compressed_tensors
from tinymlsec.rules._resource_sums import arena_lower_bound, multiplications, tensor_size
from tinymlsec.rules._sites import sites, tensor_location
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.subjects import ModelFile

LARGEST_MCU_RAM = 64 << 20
"""Above this a model that names no device is for none of the microcontrollers in the device library."""
MANY_OPERATORS = 2_000
"""Operators of the largest models for microcontrollers that we know are about 150."""
RECORD_BYTES = 24
"""Bytes of RAM that TFLM keeps per operator at least (NodeAndRegistration on 32 bits), beside 12 to 16 per tensor."""
PATIENCE = 60.0
"""Seconds that one inference may take at one multiplication a cycle before it is a hang to the user."""
SLOWEST_MHZ = 1_000.0
"""Clock that is assumed where no device is given, far above most."""


@rule(
    "RES-01", "Activations do not fit the device's RAM", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-770 CWE-400", threats="S3",
    fix="use a smaller model, or a device with more RAM",
    source="lower bound over all memory plans: tensors that live at one operator",
)  # fmt: skip
def arena(file: ModelFile) -> Iterator[Hit]:
    """The tensors that live at one operator need more memory than the device has.

    This is a lower bound: scratch memory and the runtime's records come on top. Without a device it is compared with
    64 MiB, which no microcontroller has on its chip.
    """
    assert file.model is not None
    needed, place = arena_lower_bound(file.model)
    ram = file.device.ram_bytes if file.device is not None else None
    limit, whose = (ram[1], file.device.id) if ram and file.device else (LARGEST_MCU_RAM, "any microcontroller")
    if file.device is not None and ram is None:
        return
    if needed > limit and (0, place) not in file.noted:
        op = file.model.main.operators[place]
        message = (
            f"At operator {place} ({op.label[:40]}) tensors of {needed:,} bytes live at once; "
            f"expected at most {limit:,}, the RAM of {whose}."
        )
        yield Hit(message, Location(file_offset=op.offset, op=place))


@rule(
    "RES-02", "Model does not fit the device's flash", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-770", threats="S3", fix="use a smaller model, or a device with more flash",
    source="sizes in the device library",
)  # fmt: skip
def flash(file: ModelFile) -> Iterator[Hit]:
    """The file is larger than all lasting memory of the device, external memory included."""
    size = file.device.flash_bytes if file.device is not None else None
    if size is not None and file.device is not None and len(file.data) > size[1]:
        yield Hit(
            f"The file has {len(file.data):,} bytes; expected at most {size[1]:,}, the lasting memory of "
            f"{file.device.id}.", Location(file_offset=0),
        )  # fmt: skip


@rule(
    "RES-03", "Far more operators than a microcontroller's model has", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.LOW, cwe="CWE-770 CWE-400", threats="S3", fix="look at what the operators are for",
    source="TensorFlow Lite Micro, micro_allocator.cc: one record per operator and tensor in the arena",
)  # fmt: skip
def operators(file: ModelFile) -> Iterator[Hit]:
    """The interpreter keeps a record per operator and tensor in RAM, however little the operators do."""
    assert file.model is not None
    count = sum(len(graph.operators) for graph in file.model.subgraphs)
    if count > MANY_OPERATORS:
        message = (
            f"The model has {count:,} operators, which take {count * RECORD_BYTES:,} bytes of RAM for their records "
            f"alone; expected at most {MANY_OPERATORS:,}."
        )
        yield Hit(message, Location(file_offset=file.model.main.offset or 0))


@rule(
    "RES-04", "One inference takes longer than a minute", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.MEDIUM, cwe="CWE-400 CWE-834", threats="S3",
    fix="use a smaller model; bound its time on the device",
    source="multiply-accumulates by declared shapes, one a cycle",
)  # fmt: skip
def time(file: ModelFile) -> Iterator[Hit]:
    """Multiplications by the declared shapes, one a cycle at the device's highest clock (1 GHz without a device).

    A small file can ask for this by large dimensions alone, and a watchdog then resets the device again and again.
    """
    clock = file.device.cores[0].mhz.max if file.device is not None and file.device.cores[0].mhz else SLOWEST_MHZ
    limit = int(PATIENCE * clock * 1e6)
    total, worst = 0, None
    for site in sites(file, "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "CONV_3D"):
        count = multiplications(site.graph, site.op)
        total += count
        if worst is None or count > worst[0]:
            worst = (count, site)
    if worst is not None and total > limit:
        message = (
            f"One inference takes {total:,} multiplications, most of them ({worst[0]:,}) in {worst[1].title}; "
            f"expected at most {limit:,}, a minute at {clock:g} MHz."
        )
        yield Hit(message, worst[1].where())


@rule(
    "RES-05", "Packed constants that grow beyond the RAM", subject=Subject.MODEL, severity=Severity.MEDIUM,
    confidence=Confidence.HIGH, cwe="CWE-409 CWE-770", threats="S3",
    fix="use a smaller model, or one whose weights are not packed",
    source="TensorFlow Lite Micro, compression metadata (micro_allocator.cc, kernels/decompress.cc)",
)  # fmt: skip
def expansion(file: ModelFile) -> Iterator[Hit]:
    """TFLM keeps weights packed by look-up tables and unpacks a whole tensor into scratch memory before its operator.

    The unpacked size is that of the declared shape, and the packed one can be a thirty-second of it. Without a device
    it is compared with 64 MiB.
    """
    assert file.model is not None
    ram = file.device.ram_bytes if file.device is not None else None
    limit = ram[1] if ram else LARGEST_MCU_RAM
    for graph_index, index in sorted(compressed_tensors(file)):
        graph = file.model.subgraphs[graph_index]
        tensor = graph.tensors[index]
        held, unpacked = len(file.model.buffers[tensor.buffer].data), tensor_size(tensor)
        if unpacked > limit:
            message = (
                f"Tensor {index} of {held:,} packed bytes unpacks to {unpacked:,}; expected at most {limit:,}, the RAM "
                f"of {file.device.id if file.device is not None else 'any microcontroller'}."
            )
            yield Hit(message, tensor_location(file.model, graph, tensor))
