"""What a target can offer and an attack can need. What is missing turns into `skipped` with how to supply it."""

from __future__ import annotations

from enum import StrEnum


class Capability(StrEnum):
    """One thing an attack may need of the target."""

    MODEL = "model"
    LABELS = "labels"
    SCORES = "scores"
    LOGITS = "logits"
    GRADIENTS = "gradients"
    GRADIENTS_FLOAT = "gradients_float"
    DATA = "data"
    TRAINING_DATA = "training_data"
    IMAGE = "image"
    FIRMWARE = "firmware"
    ELF_SYMBOLS = "elf_symbols"
    TRACES = "traces"
    DEVICE = "device"
    DEPLOYMENT = "deployment"


HOW_TO_SUPPLY: dict[Capability, str] = {
    Capability.MODEL: "give a .tflite file: tinymlsec assess MODEL",
    Capability.LABELS: "give a model that the runtime runs, so that it can be asked for its decisions",
    Capability.SCORES: "give a model that the runtime runs, so that it can be asked for its outputs",
    Capability.LOGITS: "give a model that the runtime runs and that can be lifted: pip install 'tinymlsec[lift]'",
    Capability.GRADIENTS: "give a model that the runtime runs and that can be lifted: pip install 'tinymlsec[lift]'",
    Capability.GRADIENTS_FLOAT: "needs a float twin of the model, which this version does not take yet",
    Capability.DATA: "give inputs with labels: --data samples.npz (x, y)",
    Capability.TRAINING_DATA: "add x_train and y_train to the data file",
    Capability.IMAGE: "give the image that is flashed: --firmware FILE (ELF, Intel HEX, UF2 or raw)",
    Capability.FIRMWARE: "give a .tflite file and a board: tinymlsec assess MODEL --device ID",
    Capability.ELF_SYMBOLS: "give an ELF file with its symbols: --firmware FILE",
    Capability.TRACES: "give traces of the device: --traces PATH (tinymlsec traces simulate makes some)",
    Capability.DEVICE: "name the board: --device ID (tinymlsec list devices)",
    Capability.DEPLOYMENT: "describe the product: tinymlsec init, then --deployment profile.toml",
}
