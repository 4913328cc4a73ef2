"""Model file: what is in it that harms its reader, and whether the product checks what it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinymlsec.attacks.rules._run import CONTROLS, PRESETS, Question, RulesConfig, run_rules
from tinymlsec.registry import Position, attack

if TYPE_CHECKING:
    from tinymlsec.context import Context
    from tinymlsec.evidence import Observation
    from tinymlsec.target.target import Target

QUESTION = Question(
    "S3",
    model=True,
    not_seen="A file without a finding says nothing about what the product does with other files.",
)


@attack(
    id="rules-model-file",
    title="Model file: what would harm its reader",
    family="rules",
    threats=("S3",),
    needs=(),
    position=Position.SUPPLY_CHAIN,
    controls=(*CONTROLS, "model file cut in the middle"),
    source="tflite-micro issues 3389, 3504, 3071 to 3077; TensorFlow security advisories of the CVE rows",
    config=RulesConfig,
    presets=PRESETS,
)
def rules_model_file(target: Target, config: RulesConfig, context: Context) -> Observation:
    """Looks for what a model file has that harms the interpreter, and whether the product would notice.

    ## What it does

    It runs the scanner's model rules on the given file: damage, indices, shapes, options and quantization that kernels
    trust. Beside it, the deployment profile says whether files are verified before they are interpreted, and who can
    exchange them.

    ## Why it works on a microcontroller

    An interpreter for microcontrollers checks little: release builds leave assertions out, and offsets, indices and
    sizes come from the file. There is no process around it, so a wrong index reaches all memory.

    ## Method

    Model rules are relative to a table of the runtime that says which kernels guard themselves. A finding of medium
    severity or above about S3 makes the verdict *vulnerable*, with the basis *static* where it was read in the file
    and *declared* where the profile alone decides (UPD-02, UPD-05). *Resistant* needs a file without such findings
    and every fact: whether files are interpreted at all, verified, and signed. A fact that nobody gave counts
    neither way: the verdict is then *inconclusive* and names it. Whether the real runtime falls over such a file is
    asked by `malformed-model-run`.

    ## Controls

    Positive: a product whose every fact is at its worst, and a small model that is cut off in the middle; both must be
    found. Negative: a product whose every fact is at its best, and the whole small model; nothing of medium severity or
    above may be found.

    ## Limits

    Nothing is run. Rules know the conditions of published advisories and of our own reading of kernels, not every
    error of every runtime. A benign file is the usual input here; what is asked is then what the product would do
    with another.

    Source: tflite-micro issues 3389, 3504, 3071 to 3077; the TensorFlow advisories that the rules name.
    """
    return run_rules(QUESTION, target)
