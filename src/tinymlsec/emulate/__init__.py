"""The model as firmware: generate it, build it, run it in an emulator, measure it; or bring your own ELF."""
