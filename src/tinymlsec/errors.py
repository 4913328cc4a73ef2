"""One exception tree. Every error a user can cause says what was found, what was expected and what to do next."""

from __future__ import annotations


class TinymlsecError(Exception):
    """Base of all our errors.

    Args:
        message: what went wrong, in one sentence.
        found: what was there.
        expected: what should have been there.
        next_step: what the user can do about it.
    """

    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        found: str | None = None,
        expected: str | None = None,
        next_step: str | None = None,
    ) -> None:
        self.message = message
        self.found = found
        self.expected = expected
        self.next_step = next_step
        super().__init__(str(self))

    def __str__(self) -> str:
        parts = [self.message]
        if self.found is not None:
            parts.append(f"found: {self.found}")
        if self.expected is not None:
            parts.append(f"expected: {self.expected}")
        if self.next_step is not None:
            parts.append(f"next step: {self.next_step}")
        return "\n  ".join(parts)


class InputError(TinymlsecError):
    """What the user gave cannot be used."""


class UsageError(InputError):
    """Options that do not fit together."""


class FileContentError(InputError):
    """A file whose bytes cannot be read as what they should be.

    Args:
        message: what is wrong with it.
        offset: byte offset in the file at which it was noticed; None where the file as a whole is meant.
        rule: id of the scanner's rule that the file breaks, such as ``STRUCT-02``; empty where there is none.
    """

    def __init__(
        self,
        message: str,
        *,
        offset: int | None = None,
        rule: str = "",
        found: str | None = None,
        expected: str | None = None,
        next_step: str | None = None,
    ) -> None:
        self.offset = offset
        self.rule = rule
        where = "" if offset is None else f" (file offset 0x{offset:x})"
        super().__init__(message + where, found=found, expected=expected, next_step=next_step)


class ModelFileError(FileContentError):
    """A model file that cannot be read."""


class UnsupportedModelError(ModelFileError):
    """A valid file that asks for something we do not do; the message names it and what still works."""


class FirmwareError(FileContentError):
    """A firmware image that cannot be read."""


class DataError(InputError):
    """A data file whose content does not fit the model."""


class DeviceError(InputError):
    """An unknown device or a device file that does not follow the schema."""


class DeploymentError(InputError):
    """A deployment profile that does not follow the schema."""


class ConfigError(InputError):
    """A `tinymlsec.toml` that does not follow the schema."""


class RunFolderError(InputError):
    """A run folder that cannot be written, or was changed by hand."""


class ToolchainError(InputError):
    """No compiler for what is to be built, or one that does not answer."""


class BuildError(ToolchainError):
    """A compiler refused the sources; the message has the first lines of what it said."""


class MachineError(TinymlsecError):
    """The emulator could not do what was asked, or its process died; firmware that goes wrong is a result instead."""


class PluginError(InputError):
    """An attack declaration, built in or from a third party, that breaks the contract."""


class CapabilityMissing(TinymlsecError):
    """The target cannot offer what an attack needs; becomes `skipped(reason)`, never a crash."""


class BudgetExceeded(TinymlsecError):
    """The counted budget (inferences) of a run is used up; becomes `inconclusive(budget)`."""


class OracleError(TinymlsecError):
    """The native runtime did not do what was asked of it."""


class OracleRejected(OracleError):
    """The runtime read the model and refused it; the message is the runtime's own."""


class OracleCrash(OracleError):
    """The worker process of the runtime died. That is evidence, not a failure of ours.

    Args:
        signal: name of the signal that ended it (``SIGSEGV``), or None where it exited by itself.
        last_step: what the worker had been asked to do.
        log: the last lines the runtime printed.
    """

    def __init__(self, message: str, *, signal: str | None = None, last_step: str = "", log: str = "") -> None:
        self.signal = signal
        self.last_step = last_step
        self.log = log
        super().__init__(message, found=signal, next_step="run the file only where a crash of the runtime is harmless")


class OracleTimeout(OracleError):
    """The runtime did not answer within its time limit and was ended."""
