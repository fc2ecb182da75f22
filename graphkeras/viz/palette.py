"""Colours of pictures, from the palette of Okabe and Ito, made for colour-blind readers.

Colour never stands alone: every box also says its phase or role by its place, shape or text.
"""

from __future__ import annotations

from graphkeras.frozen import frozen


@frozen
class Ink:
    """Colours of one kind of box."""

    strong: str
    """Border and marks."""
    pale: str
    """Background behind black text."""
    faint: str
    """Background of a frame around boxes."""


PHASE_INKS = {
    "forward": Ink("#0072B2", "#D3E8F6", "#F3F8FC"),
    "loss": Ink("#B8A800", "#FAF3A8", "#FDFBE6"),
    "metrics": Ink("#CC79A7", "#F5DEEA", "#FCF5F9"),
    "backward": Ink("#D55E00", "#FBDCC4", "#FEF5EF"),
    "update": Ink("#009E73", "#C9EBDF", "#F0F9F6"),
}
ROLE_INKS = {
    "data": Ink("#333333", "#FFFFFF", "#FFFFFF"),
    "parameter": Ink("#5B3A8C", "#E7DFF3", "#F8F5FB"),
    "constant": Ink("#777777", "#EEEEEE", "#F8F8F8"),
    "output": Ink("#333333", "#FFFFFF", "#FFFFFF"),
}
ROLE_NAMES = {
    "data": "data",
    "parameter": "variable (← new value)",
    "constant": "constant",
    "output": "output",
}
"""What legends call the roles."""

OTHER = Ink("#555555", "#F2F2F2", "#FAFAFA")
"""For a phase that is none of the five."""


def phase_ink(phase: str) -> Ink:
    """The colours of a phase."""
    return PHASE_INKS.get(phase, OTHER)


def box_ink(role: str, phase: str) -> Ink:
    """The colours of a box."""
    return ROLE_INKS.get(role) or phase_ink(phase)
