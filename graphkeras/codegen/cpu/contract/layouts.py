"""Which part of a padded view is laid out at once: lines of one image, or whole images.

image is a dim of m     a convolution            a band: lines that some lines of the result meet
image is a dim of k     its kernel's gradient    whole images, or a band where lines are cut
image is a dim of b     gradients by image       a band: lines that are a chunk of k
"""

from __future__ import annotations

from graphkeras.codegen.cpu.contract.access import Strides, linear, strides, without
from graphkeras.codegen.cpu.contract.forms import Cut, Layout
from graphkeras.codegen.cpu.contract.tile import NARROW_ROWS
from graphkeras.frozen import frozen
from graphkeras.ir.dims import number, product
from graphkeras.ir.op import Contraction
from graphkeras.ir.scalar import INDEX, Var

VIEW_ELEMENTS = 1 << 17
"""Elements of a view that are laid out together: 512 KiB of float32."""
BAND_STEPS = 256
"""Steps of k in a chunk, about, where a band of each is laid out: lines between bands are laid out
twice, but both operands' parts are to stay in the first-level cache."""


@frozen
class LaidOut:
    """A choice of what is laid out."""

    layout: Layout
    strides: Strides
    """For (b, m, k), in the part of the view."""
    cut: Cut | None
    """How k is cut then: whole images, or bands of lines."""


def lay_out_view(rule: Contraction, cut: Cut | None, together: int) -> LaidOut | None:
    """What of a contraction's view is laid out; None where it has none, or its strides are unknown.

    Args:
        rule: What is contracted.
        cut: How k is cut so far.
        together: Elements that are laid out together, about.
    """
    view = rule.view
    if view is None or not all(isinstance(d, int) for d in view.shape[1:]):
        return None
    b, m, k = groups = [
        [Var(INDEX, f"{name}{i}") for i in range(len(dims))]
        for name, dims in (("b", rule.batch), ("m", rule.m), ("k", rule.k))
    ]
    place = view.place(b, m, k)
    image, line = linear(place[0]), linear(place[1])
    found = strides(view.place, view.shape, [len(names) for names in groups])
    if image is None or line is None or found is None:
        return None
    by_m, by_k = m[0].name in image, k[0].name in image
    if not (by_m or by_k or (b and b[0].name in image)):
        return None
    dims, names, at = (rule.m, m, 1) if by_m else (rule.k, k, int(by_k))
    step, extent = line[names[at].name], number(dims[at])
    lines, per_line = number(view.shape[1]), number(product(view.shape[2:]))
    more = lines - (extent - 1) * step
    fits = max(1, (together // per_line - more) // step + 1)
    if by_m:
        # A tile may begin in one line and end lines later.
        least = NARROW_ROWS // number(product(rule.m[2:])) + 2
        group = min(extent, max(fits, least))
        band = Layout(None, (group - 1) * step + more, step, group)
        return LaidOut(band, without(found, m_dim=0), cut)
    if not by_k:
        inner = number(product(rule.k[1:]))
        group = min(extent, fits, max(1, BAND_STEPS // inner))
        band = Layout(1, (group - 1) * step + more, step, group, True)
        return LaidOut(band, without(found, b_dim=0), Cut(0, group, inner))
    if cut is not None and cut.dim > 1:
        return None
    if cut is None or cut.dim == 0:
        whole = number(rule.k[0]) if cut is None else cut.length
        images = max(1, min(whole, together // (lines * per_line)))
        inner = number(product(rule.k[1:]))
        return LaidOut(Layout(images, lines, step, extent), found, Cut(0, images, inner))
    group = min(cut.length, fits)
    band = Layout(1, (group - 1) * step + more, step, group)
    return LaidOut(band, without(found, k_dim=0), Cut(1, group, cut.inner))


__all__ = ["VIEW_ELEMENTS", "LaidOut", "lay_out_view"]
