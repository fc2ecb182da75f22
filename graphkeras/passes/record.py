"""What is kept of a pass that ran."""

from __future__ import annotations

from graphkeras.frozen import frozen
from graphkeras.ir.graph import Graph


@frozen
class PassRecord:
    """One run of one pass. Graphs are immutable, so keeping both costs nothing."""

    name: str
    spec: str
    """The pass with its options, such as `fold_constants{max_elements=65536}`."""
    seconds: float
    before: Graph
    after: Graph

    @property
    def changed(self) -> bool:
        """Whether the pass returned another graph."""
        return self.before is not self.after

    @property
    def nodes_before(self) -> int:
        """Number of nodes before the pass."""
        return len(self.before.nodes)

    @property
    def nodes_after(self) -> int:
        """Number of nodes after the pass."""
        return len(self.after.nodes)
