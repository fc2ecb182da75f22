"""Many batches in one native call. Kernel text, with annotations for the type checker.

    for each batch:   launch      the program; `gather` may be the first row of its table
                      look        at the loss: one that is not finite ends it
                      move        addresses and counters on to the next batch

`batches.py` describes the tables that both functions read.
"""

from graphkeras.codegen.cpu.intrinsics import (
    float32_at,
    float64_at,
    int8_at,
    int32_at,
    int64_at,
    uint8_at,
)
from graphkeras.runtime.intrinsics import call_launch


def gather(tid: int, nthreads: int, argv: list[int]) -> None:
    """Copies one batch of rows, converted to another dtype where the code says so.

    `argv` is: address of the order of rows (0 for rows as they lie), number of the first row,
    rows, arrays; then for each array: address, bytes from row to row, address of the buffer,
    elements of a row, code of the conversion.
    """
    order = argv[0]
    first = argv[1]
    rows = argv[2]
    arrays = argv[3]
    begin = rows * tid // nthreads
    end = rows * (tid + 1) // nthreads
    numbers = int64_at(order)
    for array in range(arrays):
        at = 4 + 5 * array
        elements = argv[at + 3]
        code = argv[at + 4]
        for i in range(begin, end):
            row = numbers[first + i] if order != 0 else first + i
            source = argv[at] + row * argv[at + 1]
            to = argv[at + 2]
            start = i * elements
            if code == 0:
                bytes_in = int8_at(source)
                bytes_out = int8_at(to)
                for k in range(elements):
                    bytes_out[start + k] = bytes_in[k]
            elif code == 1:
                words_in = int32_at(source)
                words_out = int32_at(to)
                for k in range(elements):
                    words_out[start + k] = words_in[k]
            elif code == 2:
                longs_in = int64_at(source)
                longs_out = int64_at(to)
                for k in range(elements):
                    longs_out[start + k] = longs_in[k]
            else:
                floats_out = float32_at(to)
                if code == 3:
                    doubles_in = float64_at(source)
                    for k in range(elements):
                        floats_out[start + k] = doubles_in[k]
                elif code == 4:
                    pixels_in = uint8_at(source)
                    for k in range(elements):
                        floats_out[start + k] = pixels_in[k]
                elif code == 5:
                    numbers_in = int32_at(source)
                    for k in range(elements):
                        floats_out[start + k] = numbers_in[k]
                else:
                    large_in = int64_at(source)
                    for k in range(elements):
                        floats_out[start + k] = large_in[k]


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
