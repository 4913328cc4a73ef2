"""`tinymlsec.toml`: findings that a project accepts, and severities that it sees otherwise.

[[suppress]]
rule = "PROV-*"                  # an id, or a pattern
path = "models/demo/*.tflite"    # a pattern; * also matches /
reason = "public demonstration models"
expires = 2027-01-31             # optional; after that day the findings count again

[severity]
WEIGHT-02 = "low"
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from tinymlsec.errors import ConfigError
from tinymlsec.records import Record, Severity
from tinymlsec.target.toml_file import parse, read_text, validate

CONFIG_FILE = "tinymlsec.toml"
MAX_ENTRIES = 500

Pattern = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=300)]
Reason = Annotated[str, StringConstraints(strict=True, strip_whitespace=True, min_length=5, max_length=500)]


class Suppression(Record):
    """Findings that the project's owner accepts."""

    rule: Pattern
    """Rule id or pattern, such as PROV-*."""
    path: Pattern
    """Pattern of paths as reports show them; * also matches /."""
    reason: Reason
    """Why; shown in every report."""
    expires: datetime.date | None = None
    """Last day on which it holds."""

    def matches(self, rule: str, path: str) -> bool:
        """Whether a finding of that rule in that file is meant."""
        return fnmatchcase(rule, self.rule) and fnmatchcase(path, self.path)

    @property
    def words(self) -> str:
        """The entry in a message."""
        return f"suppression of {self.rule} in {self.path}"


class Config(Record):
    """A project's configuration of scans."""

    suppress: Annotated[tuple[Suppression, ...], Field(max_length=MAX_ENTRIES)] = ()
    """Findings that are accepted."""
    severity: Annotated[Mapping[Pattern, Severity], Field(max_length=MAX_ENTRIES)] = Field(default_factory=dict)
    """Rule id or pattern -> severity of its findings in this project; the first that fits holds."""

    def severity_of(self, rule: str) -> Severity | None:
        """The project's severity of a rule, if it has one."""
        return next((level for pattern, level in self.severity.items() if fnmatchcase(rule, pattern)), None)


def load_config(path: Path | None = None) -> Config:
    """The configuration in a file; of `tinymlsec.toml` in the working folder, where there is one, without a path.

    Raises:
        ConfigError: the file cannot be read, has an unknown key or a wrong value, or names a rule that does not exist.
    """
    if path is None:
        path = Path(CONFIG_FILE)
        if not path.exists():
            return Config()
    text = read_text(path, ConfigError, "see docs/scan/README.md for what it may hold")
    return _known_rules(validate(Config, parse(text, path, ConfigError), path, text, ConfigError), path)


def _known_rules(config: Config, path: Path) -> Config:
    """A mistyped rule id would silently accept nothing, or leave a severity as it was."""
    from tinymlsec.rules.discovery import rule_book

    known = tuple(rule_book().rules)
    for pattern in (*(entry.rule for entry in config.suppress), *config.severity):
        if not any(fnmatchcase(rule, pattern) for rule in known):
            raise ConfigError(
                f"{path}: no rule fits {pattern!r}", expected="the id of a rule, or a pattern such as PROV-*",
                next_step="see: tinymlsec list rules",
            )  # fmt: skip
    return config
