"""Every choice of a contraction's kernel, made before a line of it is written.

    operand forms   IN_PLACE  read where it lies, by constant strides
                    PADDED    the view with its zeros is laid out, some lines at a time
                    PACKED    copied element by element into the order in which a tile reads
                    COPIED    as packed, by the first tile of rows while it multiplies
                    PANELS    B lies in that order already: it is constant (panels.py)
    tile            rows x columns that keep the accumulators in registers, chosen so that
                    tiles cover a run and the columns in as few cycles as possible
    k               whole inside the tile; or, where it is long or known at run time, one of
                    its dims is cut in chunks, each adding to a strip of the result in cache
    shared dim      which positions are shared out among the threads

Forms, blocks and the shared dim are chosen here. How k is cut is chosen in cuts.py, what of a view
is laid out in layouts.py, how rows are cut in runs and tiles in runs.py, and a tile's size in
tile.py; each file begins with the figures its choices rest on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphkeras.codegen.cpu.contract.access import Strides, linear, merged
from graphkeras.codegen.cpu.contract.choices import BY_MODEL, Choices
from graphkeras.codegen.cpu.contract.clip import Clip, find_clips
from graphkeras.codegen.cpu.contract.cuts import (
    K_CHUNK,
    K_CHUNK_IN_MEMORY,
    K_WHOLE,
    NEAR_ELEMENTS,
    POSITIONS_WHOLE,
    PRODUCT_WHOLE,
    SMALL_RESULT,
    cut_in_chunks,
    nest,
    packed_steps,
    steps_in_tile,
)
from graphkeras.codegen.cpu.contract.forms import Cut, Form, Layout, Plan, Runs
from graphkeras.codegen.cpu.contract.layouts import VIEW_ELEMENTS, lay_out_view
from graphkeras.codegen.cpu.contract.panels import Panels, find_panels
from graphkeras.codegen.cpu.contract.runs import Tiling
from graphkeras.codegen.cpu.contract.source import Source, find_source
from graphkeras.codegen.cpu.contract.streams import columns_follow, with_streams
from graphkeras.codegen.cpu.microkernel import UNROLL
from graphkeras.codegen.cpu.target import target
from graphkeras.ir.dims import number, product
from graphkeras.ir.graph import Value
from graphkeras.ir.op import Contraction
from graphkeras.ir.scalar import INDEX, Var
from graphkeras.ir.types import TensorType

COPIED_STEPS = 512
"""Most steps of k for which tiles copy B: a tile meets a part of as many lines. 1024 steps 2-3 %
slower. Lines a page apart are packed, each from its begin to its end: the weight gradient of a
dense layer, 256 x 1024 x 1024, took 3 % less so, a 1x1 convolution of one image, 256 to 1024, 7 %.
"""
B_ELEMENTS = 1 << 18
"""Elements of B that are used together: 1 MiB of float32."""
B_ELEMENTS_ASKED_FOR = 1 << 17
"""As B_ELEMENTS, where tiles ask for the next block, which is to be in L2 by then. The input
gradient of a dense layer, 256 x 1024 x 1024, took 4-8 % less than with blocks twice as large and
unasked (medians of five runs, one of them 3 % more); that of a 1x1 convolution, 1024 to 256, 16 %
less for one image and no less for 32."""
B_ELEMENTS_IN_MEMORY = 1 << 17
"""As B_ELEMENTS, where chunks add to the result, of which as much is to stay in L2."""
C_ELEMENTS = 9 << 15
"""Elements of the strip of the result that chunks of k add to. What a chunk packs serves all tiles
of a strip: the gradient of a 1x1 kernel of 256 x 1024 took 8 % less than with half as many. Half of
1024 rows, in tiles of 6, by 512 columns is one strip: 2-4 % less for a dense layer than two."""
C_NEAR_ELEMENTS = 72 * 64
"""As C_ELEMENTS, for a product that packs nothing: the strip stays in the first-level cache (in one
run 784 x 32 x 128 at 95 GFLOP/s in place of 77, 1600 x 128 x 64 at 108 in place of 96)."""
IN_PLACE_BYTES = 48 << 10
"""Memory that the steps of k span in B, where it is read in place: the first-level cache. A panel
uses a few columns only, in as small a part of the cache's sets; 72 KiB were 5-25 % slower."""
CUT_IN_PLACE_BYTES = 1 << 17
"""As IN_PLACE_BYTES, where k is cut: a packed chunk serves the tiles of one strip only."""
PRODUCT_IN_PLACE_BYTES = 1 << 19
"""As IN_PLACE_BYTES, for a matrix product, which may have as little as one row: packing B then
costs more than all else (1600 x 64 times one row: 30 us packed)."""
PAGE = 4096
"""Bytes; rows of A that lie this far apart compete for one set of the first-level cache."""
FEW_ROWS = 8
"""Rows that a set has room for, beside B (the first-level cache has 8 or 12 ways)."""
PACKED_ROWS = 64
"""Rows of A that are packed together where they are neighbours in memory: whole cache lines. The
gradient of a dense layer's weights, 256 x 1024 x 1024, took 10 % less than tile by tile."""
WIDE = 256
"""Columns over which packing a tile's rows of A is soon paid."""
ROWS_FOR_COLUMNS = 4
"""Rows for each column from which on rows are shared out although every thread then packs B."""
FEW_ROWS_IN_ALL = 32
"""Rows of a result over which a long k is summed for so few tiles that B comes from memory as fast
as they need it: the gradients of a net's first kernel, 9 or 27 rows."""
FEW_PIXELS = 100
"""Rows of an image up to which weights from memory take the time. 7x7 pixels, 512 to 2048
channels, took 0.79 ms in place of 0.99 for one image with a sweep; 14x14 pixels gain nothing."""
PACKED_PIXELS = 200
"""As FEW_PIXELS, where weights are packed in every call, of which each thread then packs its own
part. On two threads a 1x1 convolution of 14x14 pixels, 256 to 1024 channels, took 15 % less for one
image and no more for 32; its input gradient 4 % less and no more. 28x28 pixels: 4-9 % more."""
SWEEP_ROWS = 56
"""Rows that a panel of B serves before the next one is read."""


def make_plan(
    rule: Contraction,
    result: TensorType,
    operands: Sequence[Value],
    buffers: Mapping[Value, str],
    choices: Choices = BY_MODEL,
    in_memory: bool = False,
) -> Plan:
    """The plan of a contraction.

    Args:
        rule: What is contracted.
        result: Its type.
        operands: Left and right operand.
        buffers: Name of the memory of every value of the kernel that lies in memory.
        choices: What is not left to the cost model.
        in_memory: Whether tiles write to the result itself.
    """
    plan = _Planner(rule, result, operands, buffers, choices, in_memory).run()
    return with_streams(rule, plan)


class _Planner:
    def __init__(
        self,
        rule: Contraction,
        result: TensorType,
        operands: Sequence[Value],
        buffers: Mapping[Value, str],
        choices: Choices,
        in_memory: bool,
    ) -> None:
        self.rule = rule
        self.result = result
        self.a, self.b = operands
        self.buffers = buffers
        self.choices = choices
        self.in_memory = in_memory
        cpu = target()
        self.registers = cpu.registers
        self.lanes = max(1, cpu.lanes * 4 // result.itemsize)
        columns = product(rule.n)
        self.columns = columns if isinstance(columns, int) else None
        self.known = number(product([d for d in rule.m if isinstance(d, int)]))
        longest = PRODUCT_WHOLE if len(rule.k) == 1 else POSITIONS_WHOLE
        whole = choices.k_steps or (K_WHOLE if rule.view else longest)
        self.cut = cut_in_chunks(rule, whole, choices.k_steps or self._chunk())
        self.clips: tuple[Clip, ...] = ()
        self.layout: Layout | None = None

    def run(self) -> Plan:
        """All choices, in the order in which one depends on another."""
        rule = self.rule
        a_form, a_strides, a_buffer = self._a_form()
        by_k = a_form is Form.PACKED and self._rows_are_neighbours()
        k_elements = steps_in_tile(rule, self.cut)
        pitch = -(-k_elements // self.lanes) * self.lanes + self.lanes
        if a_strides is None:
            vectors, runs = self._tiling().packed(1 if by_k else pitch)
            steps = packed_steps(rule, self.cut, len(runs.rows) if by_k else 1)
            a_strides = Strides(0, ((0,) * len(rule.batch), (0,) * len(rule.m), steps))
        else:
            vectors, runs = self._tiling().along(a_strides.dims[1])
        width, rows = vectors * self.lanes, len(runs.rows)
        panels = find_panels(self.b, rule, self.buffers)
        b_source = self._b_source()
        b_form, b_strides = self._b_form(b_source, panels, width)
        along_k = a_strides.dims[2], b_strides.dims[1]
        shared = self._shared(runs, width, a_form, b_form)
        in_place = a_form is Form.IN_PLACE and b_form is Form.PANELS and self.cut is None
        sweep, asked = self._sweep(rows) if in_place and shared == "n" else (0, 0)
        block = width if sweep else self._block(width, b_source, b_form)
        copied = rule.view is not None or {Form.PACKED, Form.COPIED} & {a_form, b_form}
        strip_elements = C_ELEMENTS if copied else C_NEAR_ELEMENTS
        return Plan(
            a=a_form,
            b=b_form,
            a_buffer=a_buffer,
            b_source=b_source,
            b_panels=panels.buffer if panels is not None else "",
            dtype=self.result.dtype,
            itemsize=self.result.itemsize,
            lanes=self.lanes,
            width=width,
            wide=self._wide(width, rows, b_form),
            block=block,
            runs=runs,
            a_strides=a_strides,
            b_strides=b_strides,
            a_pitch=pitch,
            a_by_k=by_k,
            a_tiles=max(1, PACKED_ROWS // rows) if by_k and runs.lead == 0 else 1,
            cut=self.cut,
            clips=self.clips,
            k_elements=k_elements,
            loops=nest(rule, self.cut, bool(self.clips), *along_k),
            copy_loops=nest(rule, self.cut, False, along_k[0], b_source.strides.dims[1], along_k[1])
            if b_form is Form.COPIED and b_source is not None
            else (),
            strip=1 if self.cut is None else self._strip(block, runs, strip_elements),
            sweep=sweep,
            asked=asked,
            layout=self.layout,
            streamed=b_form is Form.IN_PLACE and self._is_low(),
            shared=shared,
        )

    def _chunk(self) -> int:
        """Steps of k in a chunk, about."""
        rule, columns = self.rule, self.columns or 0
        wide = columns * K_CHUNK_IN_MEMORY * self.result.itemsize > CUT_IN_PLACE_BYTES
        if self.in_memory and wide:
            return K_CHUNK_IN_MEMORY
        rows = product(rule.m)
        if rule.view is None or not isinstance(rows, int) or rows != rule.m[-1]:
            return K_CHUNK
        small = 0 < rows * columns <= SMALL_RESULT
        return min(K_CHUNK, NEAR_ELEMENTS // (rows + columns)) if small else K_CHUNK

    # ---- operands

    def _names(self, *groups: str) -> list[list[Var]]:
        sizes = {g: len(getattr(self.rule, {"b": "batch"}.get(g, g))) for g in groups}
        return [[Var(INDEX, f"{g}{i}") for i in range(sizes[g])] for g in groups]

    def _counts(self, *groups: str) -> list[int]:
        return [len(names) for names in self._names(*groups)]

    def _b_source(self) -> Source | None:
        rule = self.rule
        if rule.rhs(*self._names("b", "k", "n"))[1]:
            return None
        counts = self._counts("b", "k", "n")
        return find_source(self.b, lambda *p: rule.rhs(*p)[0], counts, self.buffers)

    def _b_form(
        self, source: Source | None, panels: Panels | None, width: int
    ) -> tuple[Form, Strides]:
        rule = self.rule
        if panels is not None and panels.width == width:
            return Form.PANELS, panels.strides
        if source is not None and self._reads_in_place(source.strides):
            return Form.IN_PLACE, source.strides
        form = Form.COPIED if self._lines_lie_whole(source) else Form.PACKED
        steps = packed_steps(rule, self.cut, width)
        return form, Strides(0, ((0,) * len(rule.batch), steps, (1,) * len(rule.n)))

    def _columns_are_neighbours(self, found: Strides) -> bool:
        columns = merged(self.rule.n, found.dims[2])
        return not columns or (len(columns) == 1 and columns[0].strides == (1,))

    def _lines_lie_whole(self, source: Source | None) -> bool:
        """Whether a tile can copy B while it reads it."""
        if source is None or self.columns is None or self.clips:
            return False
        if not 1 < steps_in_tile(self.rule, self.cut) <= COPIED_STEPS:
            return False
        apart = self._step_of_k(source.strides) * self.result.itemsize
        return apart < PAGE and self._columns_are_neighbours(source.strides)

    def _step_of_k(self, found: Strides) -> int:
        """Elements of B from one step of k to the next."""
        steps = [abs(s) for s, d in zip(found.dims[1], self.rule.k, strict=True) if d != 1]
        return min(steps, default=0)

    def _reads_in_place(self, found: Strides) -> bool:
        """Whether tiles can read columns at these strides, and k does not span too much."""
        if self.columns is None or not self._columns_are_neighbours(found):
            return False
        if self.choices.b_in_place is not None:
            return self.choices.b_in_place
        steps = steps_in_tile(self.rule, self.cut) * self._step_of_k(found)
        span = steps * self.result.itemsize
        whole = PRODUCT_IN_PLACE_BYTES if self.rule.view is None else IN_PLACE_BYTES
        most = whole if self.cut is None else CUT_IN_PLACE_BYTES
        return span <= most or self.columns <= 2 * self.lanes

    def _a_form(self) -> tuple[Form, Strides | None, str]:
        rule = self.rule
        whole = not rule.lhs(*self._names("b", "m", "k"))[1]
        clips = () if whole else find_clips(rule, self.a.type.shape)
        lines = len(clips) == len(rule.k)
        if clips and (self.cut is None or lines):
            inner = number(product(rule.k[1:]))
            chunk = max(1, (self.choices.k_steps or K_CHUNK) // inner)
            self.cut = Cut(0, chunk if lines else number(rule.k[0]), inner)
        if whole or (clips and self.cut is not None and self.cut.dim <= 1):
            self.clips = clips
            counts = self._counts("b", "m", "k")
            found = find_source(self.a, lambda *p: rule.lhs(*p)[0], counts, self.buffers)
            if found is not None and self._suits(found.strides):
                return Form.IN_PLACE, found.strides, found.buffer
            self.clips = ()
        laid_out = lay_out_view(rule, self.cut, self.choices.view_elements or VIEW_ELEMENTS)
        if laid_out is None:
            return Form.PACKED, None, ""
        self.cut, self.layout = laid_out.cut, laid_out.layout
        return Form.PADDED, laid_out.strides, self._image()

    def _image(self) -> str:
        """Memory of the one image that A is, or is computed from element by element; else ""."""
        found: set[str] = set()
        stack = [self.a]
        while stack:
            value = stack.pop()
            if value.type.shape != self.a.type.shape:
                continue
            if value in self.buffers:
                found.add(self.buffers[value])
            elif value.producer is not None:
                stack.extend(value.producer.inputs)
        return found.pop() if len(found) == 1 else ""

    def _suits(self, found: Strides) -> bool:
        """Whether tiles can read rows at these strides, and do not compete for cache sets."""
        lead, extent, step = self._tiling().run(found.dims[1])
        if lead and not isinstance(extent, int):
            return False
        if self.choices.a_in_place is not None:
            return self.choices.a_in_place
        if self.rule.view is not None:
            return True
        if step == 1 and (self.columns or 0) >= WIDE:
            # Rows are neighbours: it is the steps of k that may lie pages apart.
            return max(found.dims[2], default=0) * self.result.itemsize < PAGE
        apart = step * self.result.itemsize % PAGE != 0 or step == 0
        return apart or self._tiling().shape(extent)[0] <= FEW_ROWS

    def _rows_are_neighbours(self) -> bool:
        """Whether the next row of A is the next element in memory."""
        b, m, k = self._names("b", "m", "k")
        place = self.rule.lhs(b, m, k)[0]
        last = linear(place[-1]) if place else None
        return bool(last and m and last.get(m[-1].name) == 1)

    # ---- tile

    def _tiling(self) -> Tiling:
        # There are hardly any rows to share: two threads need two panels of columns.
        narrow = 1 if self.columns == 2 * self.lanes and self._is_low() else None
        return Tiling(
            self.rule,
            self.choices,
            self.columns,
            self.lanes,
            self.registers,
            steps_in_tile(self.rule, self.cut),
            self._apart(),
            self.choices.vectors or narrow,
        )

    def _apart(self) -> int:
        """Leading dims of m of which no tile has two positions."""
        if self.layout is not None and self.layout.images is None:
            # Images are laid out one after the other, in the same memory.
            return 1
        return len(self.clips) or int(self.rule.apart)

    def _wide(self, width: int, rows: int, b_form: Form) -> int:
        """Both panels where they are narrow for threads to share, and the registers suffice."""
        if b_form is not Form.IN_PLACE:
            # Of a copy a tile reads one panel.
            return width
        narrow = self._is_low() and self.columns == 2 * width == 2 * self.lanes
        return 2 * width if narrow and 2 * (rows + 1) < self.registers else width

    def _is_low(self) -> bool:
        """Whether a long k is summed for few rows."""
        rows = product(self.rule.m)
        return self.cut is not None and isinstance(rows, int) and rows <= FEW_ROWS_IN_ALL

    # ---- blocks

    def _block(self, width: int, source: Source | None, form: Form) -> int:
        if self.rule.whole:
            return -(-number(product(self.rule.n)) // width) * width
        elements = B_ELEMENTS
        if self.cut is None and columns_follow(self.rule, source, form):
            elements = B_ELEMENTS_ASKED_FOR
        if self.in_memory and self.cut is not None:
            elements = B_ELEMENTS_IN_MEMORY
        elements = self.choices.b_elements or elements
        block = max(width, elements // max(1, steps_in_tile(self.rule, self.cut)) // width * width)
        if self.columns is not None:
            return min(block, max(1, -(-self.columns // width)) * width)
        return min(block, max(width, 1024 // width * width))

    def _strip(self, block: int, runs: Runs, elements: int) -> int:
        strip = max(1, (self.choices.c_elements or elements) // (block * len(runs.rows)))
        tiles = product((*self.rule.m[: runs.lead], runs.per_unit or 0))
        if not isinstance(tiles, int) or not runs.per_unit:
            return strip
        # Strips of one height, as far as possible.
        return max(1, -(-tiles // -(-tiles // strip)))

    def _sweep(self, rows: int) -> tuple[int, int]:
        """Tiles of a sweep, and what they ask for; zeros where rows are many, or a single tile."""
        sweep = -(-min(SWEEP_ROWS, self.known) // rows)
        return (sweep, -(-UNROLL // sweep)) if sweep > 1 and self.known <= FEW_PIXELS else (0, 0)

    def _shared(self, runs: Runs, width: int, a_form: Form, b_form: Form) -> str:
        rule = self.rule
        packed_once = a_form is Form.IN_PLACE and b_form in (Form.PACKED, Form.COPIED)
        rows = product(rule.m)
        # Of a product in parts (`passes.split_products`) each thread keeps its rows of B.
        in_parts = bool(rule.batch) and len(rule.m) == 1 and not isinstance(rows, int)
        if in_parts or not isinstance(product(rule.batch), int):
            return "b"
        if self.rule.whole:
            return "m"
        if self.choices.shared is not None:
            return self.choices.shared
        if self.columns is None:
            return "n" if isinstance(rows, int) else "m"
        if self.columns < 2 * width:
            return "m"
        if self.cut is not None and packed_once:
            # B is as large as the activations; each thread packs its own columns only. What is
            # updated with a layer's gradient is larger: whole rows of it stay with a thread (784 x
            # 512 and 784 x 1024, 32 samples, Adam: a training step took a quarter less).
            return "n" if self.in_memory or rule.view is not None else "m"
        known, wide = self.known, self.columns >= WIDE
        if not isinstance(runs.extent, int):
            # One run as long as the batch, or longer: images times pixels.
            pixels = {Form.PANELS: FEW_PIXELS, Form.IN_PLACE: 0}.get(b_form, PACKED_PIXELS)
            few = wide and known <= pixels and (packed_once or b_form is Form.PANELS)
            return "n" if len(rule.m) == 1 or few else "m"
        if isinstance(rows, int):
            # Of an operand that is packed, each thread is to pack its own part only.
            return "m" if known >= self.columns * (ROWS_FOR_COLUMNS if packed_once else 1) else "n"
        return "n" if wide and known <= 400 else "m"
