"""What the compiler made of a model, for people who want to look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphkeras.runtime.executable import Executable


def compiled_steps(model: Any) -> dict[str, Executable]:
    """The compiled steps of a model, by name.

    An executable tells its kernels (`launch_count`, `program.launches`), its graph
    (`program.graph`), what each pass did (`records`) and its memory plan
    (`layout({"N": batch_size})`), and measures itself (`profile`).

    Args:
        model: A model. Its steps are compiled when they are first needed, by `fit`,
            `evaluate`, `predict` or their `_on_batch` siblings.

    Returns:
        `"train_step"`, `"test_step"`, `"predict_step"`: those that exist. Where data of several
        kinds made several steps of a name, the latest. Empty for a model that runs eagerly.
    """
    from graphkeras.runtime.executable import Executable

    executables = [step.executable for step in model.training_state.steps.made()]
    return {e.program.signature.name: e for e in executables if isinstance(e, Executable)}
