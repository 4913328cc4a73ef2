"""Memory that the parent and the worker of the machine share."""

from __future__ import annotations

import ctypes
import mmap
import os
import tempfile
from contextlib import suppress

import numpy as np
from numpy.typing import DTypeLike, NDArray

BYTES = 768 << 20
"""Room for one run's records; pages are taken only as they are written."""


def make() -> int:
    """A file descriptor of such memory; its size can no longer be changed where the system allows that."""
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryFile() as file:
            file.truncate(BYTES)
            return os.dup(file.fileno())
    descriptor = os.memfd_create("tinymlsec", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, BYTES)
    with suppress(OSError, AttributeError):
        import fcntl

        # a worker that makes it smaller would end the parent by a bus error
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return descriptor


class Shared:
    """A view of the memory.

    Args:
        descriptor: from `make`.
    """

    def __init__(self, descriptor: int) -> None:
        self.memory = mmap.mmap(descriptor, BYTES)
        self._bytes = np.frombuffer(self.memory, np.uint8)

    @property
    def address(self) -> int:
        """Of its first byte in this process."""
        return ctypes.addressof(ctypes.c_uint8.from_buffer(self.memory))

    def put(self, data: bytes, at: int = 0) -> None:
        """Copies bytes in.

        Raises:
            ValueError: there is no room.
        """
        if at + len(data) > BYTES:
            raise ValueError(f"{len(data)} bytes do not fit the memory shared with the emulator")
        self._bytes[at : at + len(data)] = np.frombuffer(data, np.uint8)

    def view(self, kind: DTypeLike, count: int, at: int = 0) -> NDArray[np.generic]:
        """An array that lies in the memory.

        Raises:
            ValueError: there is no room.
        """
        size = np.dtype(kind).itemsize * count
        if count < 0 or at < 0 or at + size > BYTES:
            raise ValueError(f"{size} bytes at {at} do not fit the memory shared with the emulator")
        view: NDArray[np.generic] = self._bytes[at : at + size].view(kind)
        return view

    def take(self, kind: DTypeLike, count: int, at: int = 0) -> NDArray[np.generic]:
        """A copy of such an array."""
        return self.view(kind, count, at).copy()

    def empty(self) -> None:
        """Gives the pages back to the system."""
        with suppress(AttributeError, OSError, ValueError):
            self.memory.madvise(mmap.MADV_REMOVE)
