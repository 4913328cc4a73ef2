"""Devices are data: one TOML file each, ours in `devices/`, a user's wherever they like.

device = load_device("stm32l4r5zi")
device.fact("ecc")        # "yes", "no", "optional" or "unknown": what scoring may use
device.declared("ecc")    # the same with the source's words and how sure we are
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from tinymlsec.errors import DeviceError
from tinymlsec.target.device_facts import DeviceClass, Feature
from tinymlsec.target.device_model import FEATURE_NAMES, Device, read_device

__all__ = ["FEATURE_NAMES", "Device", "DeviceClass", "Feature", "list_devices", "load_device"]

ENVIRONMENT = "TINYMLSEC_DEVICES"
"""Environment variable with the user's folders of device files, separated as in PATH."""

MAX_FILES = 1000
"""Most device files that are read from one folder."""

_OURS = Path(__file__).with_name("devices")


def load_device(id_or_path: str | Path, extra_dirs: Iterable[str | Path] = ()) -> Device:
    """One device, by id or from a file.

    Args:
        id_or_path: an id such as ``stm32l4r5zi``, or the path of a file that ends in ``.toml``.
        extra_dirs: folders with further device files, besides those of the environment.

    Raises:
        DeviceError: no such id (the message names the closest), or a file that does not follow the schema.
    """
    if str(id_or_path).endswith(".toml"):
        return _device_of_user(Path(id_or_path))
    name = str(id_or_path).lower()
    own = _users_devices(extra_dirs)
    if name in own:
        return own[name]
    if name in _our_ids():
        return _our_device(name)
    raise DeviceError(
        f"unknown device {str(id_or_path)[:100]!r}",
        expected=_closest(name, own),
        next_step="see `tinymlsec list devices`, or give the path of your own device file (docs/devices.md)",
    )


def list_devices(
    class_: str | None = None,
    has: Iterable[str] = (),
    lacks: Iterable[str] = (),
    core: str | None = None,
    extra_dirs: Iterable[str | Path] = (),
) -> list[Device]:
    """All devices that pass the filters: ours in order of their ids, then the user's.

    Args:
        class_: ``IoT``, ``EdgeML`` or ``TinyML``, in any case; compared with the file's class.
        has: features that must be "yes" as declared, whatever their confidence.
        lacks: features that must be "no" as declared.
        core: part of a core's name, such as ``m4`` or ``cortex-m33``; ``m3`` does not match Cortex-M33.
        extra_dirs: as in `load_device`.

    Raises:
        DeviceError: unknown class or feature, or a broken file.
    """
    if class_ is not None and class_.lower() not in ("iot", "edgeml", "tinyml"):
        raise DeviceError(f"unknown device class {class_!r}", expected="iot, edgeml or tinyml")
    has, lacks = tuple(has), tuple(lacks)
    everything = [*(_our_device(name) for name in _our_ids()), *_users_devices(extra_dirs).values()]
    return [
        device
        for device in everything
        if (class_ is None or device.class_.lower() == class_.lower())
        and all(device.declared(name).value == "yes" for name in has)
        and all(device.declared(name).value == "no" for name in lacks)
        and (core is None or _has_core(device, core))
    ]


def _has_core(device: Device, core: str) -> bool:
    pattern = re.compile(re.escape(core) + r"(?!\d)", re.IGNORECASE)
    return any(pattern.search(each.name) for each in device.cores)


@cache
def _our_ids() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in _OURS.glob("*.toml")))


@cache
def _our_device(name: str) -> Device:
    return read_device(_OURS / f"{name}.toml")


def _users_devices(extra_dirs: Iterable[str | Path]) -> dict[str, Device]:
    """The user's devices by id."""
    found: dict[str, tuple[Device, Path]] = {}
    for path in _users_files(extra_dirs):
        device = _device_of_user(path)
        if device.id in found:
            raise _taken(path, device.id, str(found[device.id][1]))
        found[device.id] = (device, path)
    return {name: device for name, (device, _) in found.items()}


def _device_of_user(path: Path) -> Device:
    """A device file that is not ours. It may not take one of our ids: nobody shall score another board unawares."""
    device = read_device(path)
    if device.id in _our_ids() and path.resolve().parent != _OURS.resolve():
        raise _taken(path, device.id, "tinymlsec itself")
    return device


def _taken(path: Path, name: str, by: str) -> DeviceError:
    return DeviceError(
        f"{path}: the device id {name!r} is taken",
        found=f"also defined by {by}",
        expected="an id of its own",
        next_step=f"rename it, for example to {name[:58] + '-mine'!r}",
    )


def _users_files(extra_dirs: Iterable[str | Path]) -> Iterator[Path]:
    folders = [Path(part) for part in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if part]
    for folder in dict.fromkeys([*folders, *map(Path, extra_dirs)]):
        if not folder.is_dir():
            raise DeviceError(
                f"{folder} is not a folder of device files", next_step=f"mend {ENVIRONMENT} or the option that names it"
            )
        files = sorted(folder.glob("*.toml"))
        if len(files) > MAX_FILES:
            raise DeviceError(f"{folder} has too many device files", found=str(len(files)), expected=f"<= {MAX_FILES}")
        yield from files


def _closest(name: str, own: Iterable[str]) -> str:
    ids = [*_our_ids(), *own]
    close = [each for each in ids if name and (name in each or each in name)][:5]
    close += [each for each in difflib.get_close_matches(name[:100], ids, n=5, cutoff=0.5) if each not in close]
    return "one like " + ", ".join(close[:5]) if close else "an id that `tinymlsec list devices` prints"
