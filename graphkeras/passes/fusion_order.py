"""The order of kernels: sums over a batch let others go first.

Such a sum waits for all threads, and all wait for it: what is behind it begins at a barrier.
Kernels that could run as well, of the same part of the graph, go before it, so that one barrier
serves several sums, and a kernel comes right behind the one that it reads images of::

    dw parts, sum of dw, dx, parts of sums of dx, sums of dx      two barriers
    dw parts, dx, parts of sums of dx,   sum of dw, sums of dx    one
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from graphkeras.ir.op import Kind, get_op
from graphkeras.passes.fusion_kernel import Kernel

REACH = 8
"""How many kernels further on one may be that goes before a sum. All would run, and keep memory,
long before their results are read."""


def sums_last(
    kernels: Sequence[Kernel], operands: Callable[[Kernel], Iterable[Kernel]]
) -> list[Kernel]:
    """Kernels that are in a valid order, in another one.

    Args:
        kernels: All kernels.
        operands: Kernels that one reads directly.
    """
    index = {kernel: i for i, kernel in enumerate(kernels)}
    waiting = {kernel: set(operands(kernel)) for kernel in kernels}
    users: dict[Kernel, list[Kernel]] = {kernel: [] for kernel in kernels}
    for kernel, others in waiting.items():
        for other in others:
            users[other].append(kernel)
    ready = {kernel for kernel in kernels if not waiting[kernel]}
    order: list[Kernel] = []
    while ready:
        first = min(ready, key=index.__getitem__)
        if _sums_batch(first):
            reach = index[first] + REACH
            near = (k for k in ready if index[k] <= reach and not _sums_batch(k))
            first = min(near, key=index.__getitem__, default=first)
        ready.remove(first)
        order.append(first)
        for user in users[first]:
            waiting[user].remove(first)
            if not waiting[user]:
                ready.add(user)
    return order


def _sums_batch(kernel: Kernel) -> bool:
    """Whether a kernel adds up parts of all images."""
    return any(
        get_op(root.op).kind is Kind.REDUCE
        and 0 in root.attrs.get("axes", ())
        and root.inputs[0].type.rank > 1
        and not isinstance(root.inputs[0].type.shape[0], int)
        for root in kernel.roots
    )
