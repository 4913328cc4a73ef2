"""BUILD: what the software in an image is, which of it is known to be flawed, and what development left behind."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tinymlsec.records import Confidence, Location, Severity
from tinymlsec.rules._components import every_cve
from tinymlsec.rules._image_places import at_address, stored
from tinymlsec.rules.rule import Hit, Subject, rule
from tinymlsec.rules.subjects import ImageFile

MAX_PATHS = 10_000
"""Paths that are counted."""
_SHELLS = {
    "Zephyr shell": rb"uart:~\$ ",
    "NuttX shell": rb"(?:^|\x00|\n)nsh> \x00",
    "RT-Thread shell": rb"(?:^|\x00)(?:msh|finsh) ?/?>",
    "ESP-IDF console": rb"(?:^|\x00)esp(?:32)?(?:[a-z]\d)?> \x00",
    "U-Boot command line": rb"Hit any key to stop autoboot",
    "MicroPython prompt": rb"\x00>>> \x00",
    "BusyBox shell": rb"BusyBox v\d[\d.]{2,8} \(",
}
"""Prompts of command lines, each long enough not to occur by chance."""
_TEST_MODE = re.compile(
    rb"(?i)\b(?:factory|manufacturing|production|engineering)[ _-](?:test|mode|menu)\b"
    rb"|\b(?:test|debug)[ _-]mode (?:enabled|entered|active|on)\b"
)
_PATH = re.compile(
    rb"(?<![\w./~-])/(?:home|Users|root|builds?|workspaces?|jenkins|runner|mnt)/[\w.+@-]{1,64}(?:/[\w.+@-]{1,64}){1,24}"
    rb"|(?<![A-Za-z])[A-Za-z]:[\\/](?:Users|work|projects?|src|dev|git|ws|jenkins)"
    rb"[\\/](?:[\w.+@ -]{1,64}[\\/]){0,24}[\w.+@-]{1,64}"
)


@rule(
    "BUILD-01", "A component with a known vulnerability", subject=Subject.IMAGE, severity=Severity.HIGH,
    confidence=Confidence.MEDIUM, cwe="CWE-1395 CWE-1104", threats="S14", cve=" ".join(every_cve()),
    fix="update the component, and follow its advisories; if the condition does not hold, record why",
    source="the advisory or CVE record that each row of rules/data/components.toml names",
)  # fmt: skip
def known_flaw(file: ImageFile) -> Iterator[Hit]:
    """The image tells a version of a component that an advisory names as affected.

    The version is read from texts that the component itself puts into an image. Each row of the table has the condition
    under which the flaw counts (a protocol, an option); a version alone does not show that the code is linked or
    reached, so confidence is medium. A backported fix does not change the version text.
    """
    for component in file.components:
        where = Location() if component.address is None else at_address(file, component.address)
        for flaw in component.flaws:
            yield Hit(
                f"{component.name} {component.version} ({component.reason}) is affected by {', '.join(flaw.cve)} where "
                f"{flaw.condition} (source: {flaw.source}).",
                where, Severity(flaw.severity), cve=flaw.cve,
            )  # fmt: skip


@rule(
    "BUILD-02", "A command line is left in", subject=Subject.IMAGE, severity=Severity.MEDIUM,
    confidence=Confidence.MEDIUM, cwe="CWE-489 CWE-1191", threats="H9",
    fix="build releases without the shell, or let it ask for a credential of this one device first",
    source="OWASP IoT Top 10, I10, 2018",
)  # fmt: skip
def command_line(file: ImageFile) -> Iterator[Hit]:
    """The prompt of a command line (Zephyr, NuttX, RT-Thread, ESP-IDF, U-Boot, MicroPython, BusyBox) lies in the image.

    Whoever touches the serial port may then read memory and change settings. A prompt in the image does not show that
    it is reachable in the product.
    """
    for name, pattern in _SHELLS.items():
        for run in stored(file):
            match = re.search(pattern, run.data)
            if match is not None:
                yield Hit(f"the prompt of a {name}; expected: none.", at_address(file, run.address + match.start()))
                break


@rule(
    "BUILD-03", "Paths of the build machine", subject=Subject.IMAGE, severity=Severity.LOW,
    confidence=Confidence.HIGH, cwe="CWE-497 CWE-200", threats="M5",
    fix="build with -ffile-prefix-map (or -fmacro-prefix-map), and without assertions that name files",
    source="CWE-497, MITRE",
)  # fmt: skip
def build_paths(file: ImageFile) -> Iterator[Hit]:
    """Absolute paths of the machine that built it: they tell names of people and projects.

    Only stored bytes count; debug information of an ELF file does not reach the device.
    """
    found: dict[bytes, int] = {}
    for address, match in file.texts.search(_PATH):
        if len(found) < MAX_PATHS:
            found.setdefault(match.group(), address)
    if found:
        path, address = next(iter(found.items()))
        yield Hit(
            f"{len(found)} paths, such as {path[:120].decode('ascii', 'replace')}; expected: none.",
            at_address(file, address),
        )  # fmt: skip


@rule(
    "BUILD-04", "Words of a test mode", subject=Subject.IMAGE, severity=Severity.LOW,
    confidence=Confidence.LOW, cwe="CWE-489 CWE-912", threats="H9",
    fix="leave test code out of releases, or lock it with a credential of this one device", source="CWE-489, MITRE",
)  # fmt: skip
def test_mode(file: ImageFile) -> Iterator[Hit]:
    """Texts that speak of a factory or debug mode ("factory test", "test mode enabled").

    Only a hint: look at what reaches them.
    """
    for address, match in file.texts.search(_TEST_MODE):
        yield Hit(f'the text "{match.group().decode("ascii", "replace")}".', at_address(file, address))
        return


@rule(
    "BUILD-05", "A debug channel is left in", subject=Subject.IMAGE, severity=Severity.LOW,
    confidence=Confidence.HIGH, cwe="CWE-489", threats="H9",
    fix="build releases without the channel", source="SEGGER, Real Time Transfer (RTT), control block",
)  # fmt: skip
def debug_channel(file: ImageFile) -> Iterator[Hit]:
    """The control block of SEGGER RTT, through which a probe reads and writes while the firmware runs.

    It works only where the debug port is open; then logs and input of the product pass through it.
    """
    for component in file.components:
        if component.kind == "debug":
            where = Location() if component.address is None else at_address(file, component.address)
            yield Hit(f"{component.name} ({component.reason}); expected: none in a release.", where)
