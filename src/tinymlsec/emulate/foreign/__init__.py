"""Firmware that is not ours: described by its owner in TOML, looked through by the finder, run in the emulator."""
