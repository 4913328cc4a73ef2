"""Builds gadget.elf, the firmware that plays somebody else's. Needs `pip install "tinymlsec[firmware]"`.

python examples/bring-your-own-firmware/make.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from network import header, network

HERE = Path(__file__).parent
FLAGS = (
    "-target", "thumb-freestanding-eabi", "-mcpu=cortex_m4", "-std=c++20", "-nostdinc++", "-O2", "-g",
    "-ffreestanding", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics", "-fno-sanitize=all",
    "-Wl,--gc-sections", "-Wl,-e,Reset_Handler",
)  # fmt: skip


def main() -> None:
    firmware = HERE / "firmware"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "weights.h").write_text(header(network()))
        sources = [str(firmware / name) for name in ("gadget.cpp", "board.cpp")]
        out = HERE / "gadget.elf"
        command = [sys.executable, "-m", "ziglang", "c++", *FLAGS, f"-I{folder}", "-T", str(firmware / "gadget.ld")]
        subprocess.run([*command, *sources, "-o", str(out)], check=True)  # noqa: S603
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
