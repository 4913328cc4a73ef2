"""Target descriptions of the gadget, as tests start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

GADGET = (Path(__file__).parents[3] / "examples" / "bring-your-own-firmware" / "gadget.toml").read_text()
"""The one of the example."""

BROKEN = """
boot = { until = "main_loop" }
inference = { function = "works", instructions = 300_000 }
input = { at = "frame", bytes = 64, type = "uint8" }
output = { at = "scores", bytes = 4, type = "uint8" }

[systick]
every = 1000
handler = "SysTick_Handler"

[[uart]]
name = "console"
register = 0x40004428

[[peripheral]]
name = "uart"
address = 0x40004000
register = [{ offset = 0x41C, reads = 0x80 }]

[[peripheral]]
name = "something"
address = 0x40005000
"""


def broken(core: str = "cortex-m4", function: str = "works", **changes: Any) -> dict[str, Any]:
    """The description of the broken firmware with one of its functions as the inference; None takes a key away."""
    import tomllib

    data = tomllib.loads(BROKEN) | {"core": core}
    data["inference"]["function"] = function
    return {key: value for key, value in (data | changes).items() if value is not None}


def gadget(**changes: Any) -> dict[str, Any]:
    """The description as data, with keys replaced; None takes a key away."""
    import tomllib

    data = tomllib.loads(GADGET) | changes
    return {key: value for key, value in data.items() if value is not None}
