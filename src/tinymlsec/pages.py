"""Documentation pages made from the declarations themselves: `python -m tinymlsec.pages docs` writes them.

Tests keep `docs/attacks/` and `docs/rules/` equal to what is made here, so that the pages cannot drift from the code.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

from tinymlsec.field_docs import field_texts
from tinymlsec.registry import Attack, discover


def attack_markdown(spec: Attack[Any]) -> str:
    """The page of one attack: docstring, declaration, and the configuration of each effort level."""
    facts = [
        ("Id", f"`{spec.id}`"),
        ("Family", spec.family),
        ("Threats", ", ".join(spec.threats)),
        ("Needs", ", ".join(sorted(spec.needs)) or "nothing"),
        ("Attacker", spec.position.value),
        ("Tasks", ", ".join(sorted(spec.tasks)) or "all"),
        ("Controls", ", ".join(spec.controls) or "none"),
        ("Source", spec.source),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in facts)
    return f"# {spec.title}\n\n| | |\n|---|---|\n{table}\n\n{inspect.cleandoc(spec.doc)}\n\n{_settings(spec)}"


def _settings(spec: Attack[Any]) -> str:
    levels = list(spec.presets)
    configs = [spec.configure(level).model_dump(mode="json") for level in levels]
    texts = field_texts(spec.config)
    rows = [
        f"| `{name}` | {' | '.join(_short(config[name]) for config in configs)} | {texts.get(name, '')} |"
        for name in spec.config.model_fields
    ]
    head = f"| setting | {' | '.join(level.value for level in levels)} | meaning |\n|---|{'---|' * len(levels)}---|\n"
    return f"## Settings\n\n{head}" + "\n".join(row.replace("\n", " ") for row in rows) + "\n"


def _short(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def attack_pages() -> dict[str, str]:
    """File name -> text of every page under docs/attacks, the index included; built-in attacks only."""
    specs = [spec for spec in discover().attacks.values() if spec.provider == "tinymlsec"]
    rows = "\n".join(f"| [{s.id}]({s.id}.md) | {s.title} | {s.family} | {', '.join(s.threats)} |" for s in specs)
    head = "# Attacks\n\nGenerated from the docstrings.\n\n| attack | what | family | threats |\n|---|---|---|---|\n"
    index = f"{head}{rows}\n"
    return {"README.md": index, **{f"{spec.id}.md": attack_markdown(spec) for spec in specs}}


def write_pages(docs: Path) -> list[Path]:
    """Write all generated pages under the docs folder and return their paths; pages of what is gone are removed."""
    from tinymlsec.rule_pages import rule_pages

    paths = []
    for folder, pages in ((docs / "attacks", attack_pages()), (docs / "rules", rule_pages())):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.md"):
            if old.name not in pages:
                old.unlink()
        for name, text in pages.items():
            (folder / name).write_text(text, encoding="utf-8")
            paths.append(folder / name)
    return paths


if __name__ == "__main__":
    for page in write_pages(Path(sys.argv[1] if len(sys.argv) > 1 else "docs")):
        sys.stdout.write(f"{page}\n")
