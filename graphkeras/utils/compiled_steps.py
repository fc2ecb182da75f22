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
        kinds made several steps of a name, the latest. `"prepare_test_step"` and
        `"prepare_predict_step"` compute what depends on variables alone, such as the folded
        batch normalisation, and run when a variable has changed. Empty for a model that runs
        eagerly.
    """
    from graphkeras.runtime.executable import Executable
    from graphkeras.runtime.prepared import PreparedExecutable

    found: dict[str, Executable] = {}
    steps = model.training_state.steps.made()
    for made in [executable for step in steps for executable in step.made.values()]:
        pair = [made.main, made.prepare] if isinstance(made, PreparedExecutable) else [made]
        found |= {e.program.signature.name: e for e in pair if isinstance(e, Executable)}
    return found
