"""What several families of operators share: matching of types, activation bounds."""

from __future__ import annotations

from collections.abc import Callable

from tinymlsec.errors import ModelFileError
from tinymlsec.lift.op import Site
from tinymlsec.target.tflite.requant_ops import activation_range


def only(inputs: tuple[str, ...], output: str) -> Callable[[Site], bool]:
    """Accepts sites whose leading inputs and first output have these types."""

    def accepts(site: Site) -> bool:
        given = all(site.has(k) for k in range(len(inputs)))
        return (
            given and tuple(site.input(k).dtype for k in range(len(inputs))) == inputs and site.output().dtype == output
        )

    return accepts


def activation_bounds(site: Site) -> tuple[int, int]:
    """Codes that the output is clamped to: its type's, and those of the fused activation.

    Raises:
        UnsupportedModelError: an activation that the integer kernels do not know.
    """
    output = site.output()
    scale, zero_point = site.scale(output)
    activation = int(site.option("fused_activation_function"))
    try:
        low, high = activation_range(activation, output.dtype, scale, zero_point)
    except ModelFileError as error:
        raise site.unsupported(str(error)) from None
    if low > high:
        raise site.unsupported(f"its activation leaves no code between {low} and {high}")
    return low, high
