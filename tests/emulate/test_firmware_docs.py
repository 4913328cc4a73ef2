"""What the pages on firmware say is true: the example runs, links lead somewhere, names exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from tinymlsec.emulate.compilers import find_zig
from tinymlsec.emulate.foreign.description import Description
from tinymlsec.emulate.measure_records import Measurement
from tinymlsec.target.firmware import limits

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(DOCS.glob("firmware/*.md"))
OVERVIEW = (DOCS / "firmware" / "README.md").read_text(encoding="utf-8")


@pytest.mark.skipif(find_zig() is None, reason="needs tinymlsec[firmware]")
def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("unicorn", reason="needs tinymlsec[firmware]")
    code = re.search(r"```python\n(.*?)```", OVERVIEW, re.DOTALL)
    assert code is not None
    exec(compile(code[1], "docs/firmware/README.md", "exec"), {})  # our own page
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(int(line.split()[0]) > 1000 and re.search(r"\.[ch]:\d+$", line) for line in lines), lines


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", [*PAGES, DOCS / "README.md", DOCS / "formats.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        file = page if not name else page.parent / name
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_files_that_the_overview_names_exist() -> None:
    repository, package = DOCS.parent, DOCS.parent / "src" / "tinymlsec"
    named = re.findall(r"`([a-z_/]+\.py|[a-z_]+/[a-z_]+/)`", OVERVIEW)
    assert len(named) >= 4
    for name in named:
        assert (repository / name).exists() or (package / name).exists(), name


def test_bounds_that_the_overview_names() -> None:
    assert "256 MB\na file, 64 MB of memory, 256 segments, 500,000 symbols, 8 MB of line tables" in OVERVIEW
    assert limits.MAX_FILE_BYTES == 256 << 20
    assert limits.MAX_MEMORY == 64 << 20
    assert limits.MAX_SEGMENTS == 256
    assert limits.MAX_SYMBOLS == 500_000
    assert limits.MAX_LINE_BYTES == 8 << 20


def keys(model: type[BaseModel], *, aliases: bool) -> set[str]:
    """Names of all fields, and of those of the records in them."""
    found = set()
    for name, info in model.model_fields.items():
        found.add(info.alias if aliases and info.alias else name)
        for part in (info.annotation, *get_args(info.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                found |= keys(part, aliases=aliases)
    return found


@pytest.mark.parametrize(
    ("record", "head", "aliases", "told_elsewhere"),
    [
        (Description, "## Target description", True, set()),
        (
            Measurement,
            "## Measurement",
            False,
            {
                "version",
                "flash_bytes",
                "ram_bytes",
                "wait_states",
                "line_bytes",
                "code_lines",
                "data_lines",
                "confidence",
            }
            | {"note"},
        ),
    ],
)
def test_formats_name_every_key(record: type[BaseModel], head: str, aliases: bool, told_elsewhere: set[str]) -> None:
    page = (DOCS / "formats.md").read_text(encoding="utf-8")
    section = page.partition(f"{head}\n")[2].partition("\n## ")[0]
    words = set(re.findall(r"[a-z_]+", section))
    assert keys(record, aliases=aliases) - told_elsewhere <= words
