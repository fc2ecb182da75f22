"""Many batches in one native call. Kernel text, with annotations for the type checker.

    for each batch:   launch      the program; `ask_ahead` may be a row of its table
                      look        at the loss: one that is not finite ends it
                      move        addresses and counters on to the next batch

`batches.py` makes the tables that it reads.
"""

from graphkeras.codegen.cpu.intrinsics import int32_at, int64_at
from graphkeras.runtime.intrinsics import ask_for, call_launch

LINE = 64
"""Bytes of a cache line."""


def ask_ahead(tid: int, nthreads: int, argv: list[int]) -> None:
    """Asks the cache for rows of the next batch, on all threads but the first.

    `argv` is: address of the numbers of this batch's rows, rows of a batch, address behind the
    last number, most rows to ask for, arrays; then for each array: address, bytes from row to row,
    bytes of a row.
    """
    if tid > 0:
        first = argv[0] + 8 * argv[1]
        left = (argv[2] - first) // 8
        rows = max(min(argv[1], min(argv[3], left)), 0)
        numbers = int64_at(first)
        for i in range(rows * (tid - 1) // (nthreads - 1), rows * tid // (nthreads - 1)):
            for array in range(argv[4]):
                at = 5 + 3 * array
                place = argv[at] + numbers[i] * argv[at + 1]
                for line in range((argv[at + 2] + LINE - 1) // LINE):
                    ask_for(place + LINE * line)


def run_batches(plan: int) -> int:
    """Runs a job over batch after batch; returns how many were run.

    `plan` is the address of: address of the launch function, job, batches, address of the loss
    (or 0), its bytes, address of the moves, moves. A move is the address of a word and what is
    added to it for the next batch; at the end all words are as before.
    """
    fields = int64_at(plan)
    launch = fields[0]
    job = fields[1]
    batches = fields[2]
    loss = fields[3]
    moves = fields[6]
    changes = int64_at(fields[5])
    done = 0
    finite = True
    while done < batches and finite:
        call_launch(launch, job, 1)
        done += 1
        if loss != 0:
            # All bits of the exponent are set in infinity and NaN.
            if fields[4] == 4:
                short = int32_at(loss)
                finite = (short[0] & 0x7F800000) != 0x7F800000
            else:
                long = int64_at(loss)
                finite = (long[0] & 0x7FF0000000000000) != 0x7FF0000000000000
        for move in range(moves):
            word = int64_at(changes[2 * move])
            word[0] += changes[2 * move + 1]
    for move in range(moves):
        word = int64_at(changes[2 * move])
        word[0] -= changes[2 * move + 1] * done
    return done
