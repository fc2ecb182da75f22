"""What a contraction's kernel may do in several ways, as a record.

The planner (plan.py) asks the cost model and its constants where a field is None; a tuner that has
timed the ways on this machine fills fields in. A choice that does not fit the contraction (more
rows than a run has, k cut where it is short) counts as the nearest one that does, so every record
gives a correct kernel.
"""

from __future__ import annotations

from dataclasses import fields

from graphkeras.frozen import frozen


@frozen
class Choices:
    """Ways to write a contraction's kernel. None leaves a field to the cost model."""

    rows: int | None = None
    """Rows of a tile; of a convolution of single channels: in each line of it."""
    lines: int | None = None
    """Lines of a tile of a convolution of single channels."""
    vectors: int | None = None
    """Vectors in a tile's row."""
    k_steps: int | None = None
    """Steps of k that a tile walks in one go; a longer k is cut in chunks of about as many.
    Changes the order of additions, so the last bits of the result."""
    a_in_place: bool | None = None
    """Whether tiles read A where it lies, if its strides allow that."""
    b_in_place: bool | None = None
    """The same for B."""
    b_elements: int | None = None
    """Elements of B that are used together: decides the columns that are finished together."""
    c_elements: int | None = None
    """Elements of the strip of the result that chunks of k add to."""
    view_elements: int | None = None
    """Elements of a view that are laid out together."""
    shared: str | None = None
    """What the threads share out: `"m"` or `"n"`."""
    winners: bool | None = None
    """Whether a gradient behind a maximum over windows is computed from the windows' winners."""
    winograd: bool | None = None
    """Whether a convolution is one with a transformed kernel. Chosen in front of fusion, for the
    graph: no kernel asks for it."""

    def __str__(self) -> str:
        given = [(f.name, getattr(self, f.name)) for f in fields(self)]
        return ", ".join(f"{name} {value}" for name, value in given if value is not None) or (
            "the cost model's"
        )


BY_MODEL = Choices()
"""Everything as the cost model says."""
