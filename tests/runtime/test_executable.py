"""Programs called with arrays: any batch size, state in place, clear errors."""

from __future__ import annotations

import gc
import threading
import warnings
import weakref
from dataclasses import replace

import numpy as np
import pytest
from runtime_samples import N, add_constant, pipeline, row_sums, update
from runtime_scripts import Script

from graphkeras.errors import DataTypeError, ShapeError, StructureError
from graphkeras.ir.graph import Graph, Value
from graphkeras.ir.types import TensorType
from graphkeras.runtime import Executable, context, executable, pool
from graphkeras.runtime.signature import Signature


def rows(n: int, start: float = 0) -> np.ndarray:
    return (np.arange(4 * n, dtype=np.float32) + np.float32(start)).reshape(n, 4)


@pytest.fixture(params=[1, 2, 3, 4])
def threads(request):
    pool.set_num_threads(request.param)
    yield request.param
    pool.set_num_threads(None)


def test_one_executable_serves_every_batch_size(threads):
    run = Executable(pipeline())
    for n in (5, 1, 200, 7, 0, 64, 201):
        (y,) = run([rows(n)])
        np.testing.assert_array_equal(y, 2 * (rows(n) + 3))


def test_a_batch_of_nothing_gives_empty_outputs():
    (y,) = Executable(pipeline())([np.zeros((0, 4), np.float32)])
    assert y.shape == (0, 4)
    assert y.dtype == np.float32


def test_outputs_are_fresh_for_each_call():
    run = Executable(pipeline())
    x = rows(3)
    (first,) = run([x])
    kept = first.copy()
    x += 1
    (second,) = run([x])
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(second, kept + 2)


def test_state_is_updated_in_place_and_not_returned():
    run = Executable(update())
    w = np.array([1, 2, 3, 4], np.float32)
    x = rows(2, start=10)
    address = w.ctypes.data
    (old,) = run([x, w])
    np.testing.assert_array_equal(old, [1, 2, 3, 4])
    np.testing.assert_array_equal(w, [11, 13, 15, 17])
    run([x, w])
    np.testing.assert_array_equal(w, [21, 24, 27, 30])
    assert w.ctypes.data == address


def test_state_given_apart_is_looked_at_where_it_is_another_object():
    run = Executable(update())
    x, first, second = rows(2, start=10), np.zeros(4, np.float32), np.ones(4, np.float32)
    state = [first]
    for _ in range(2):
        run([x], state)
    np.testing.assert_array_equal(first, [20, 22, 24, 26])
    run([x], [second])
    np.testing.assert_array_equal(second, [11, 12, 13, 14])
    run([x, second])
    run([x], state)
    np.testing.assert_array_equal(first, [30, 33, 36, 39])
    with pytest.raises(StructureError, match="takes 2 inputs"):
        run([x, x], state)
    with pytest.raises(DataTypeError, match="'w'"):
        run([x], [np.zeros(4)])


def test_scratch_memory_is_one_piece_a_thread(threads):
    run = Executable(row_sums())
    x = rows(1000)
    for _ in range(20):
        np.testing.assert_array_equal(run([x])[0], x.sum(axis=1))


def test_more_threads_later_get_scratch_memory_too():
    run = Executable(row_sums())
    x = rows(500)
    try:
        for threads in (1, 4, 2):
            pool.set_num_threads(threads)
            for _ in range(20):
                np.testing.assert_array_equal(run([x])[0], x.sum(axis=1))
    finally:
        pool.set_num_threads(None)


def test_a_call_after_one_that_found_no_memory_for_more_threads(monkeypatch):
    run = Executable(row_sums())
    x = rows(500)

    def no_memory(nbytes: int) -> None:
        raise MemoryError

    try:
        pool.set_num_threads(1)
        run([x])
        pool.set_num_threads(3)
        with monkeypatch.context() as patch:
            patch.setattr(context, "aligned", no_memory)
            with pytest.raises(MemoryError):
                run([x])
        np.testing.assert_array_equal(run([x])[0], x.sum(axis=1))
    finally:
        pool.set_num_threads(None)


def test_a_call_after_one_that_was_interrupted_before_it_asked_for_memory(monkeypatch):
    run = Executable(row_sums())
    x = rows(500)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    try:
        pool.set_num_threads(1)
        run([x])
        pool.set_num_threads(3)
        with monkeypatch.context() as patch:
            patch.setattr(context.Context, "_place", interrupted)
            with pytest.raises(KeyboardInterrupt):
                run([x])
        np.testing.assert_array_equal(run([x])[0], x.sum(axis=1))
        (used,) = run._free
        assert used._memory.nbytes >= 3 * run.program.scratch_bytes > 0
    finally:
        pool.set_num_threads(None)


def test_constants_are_copied():
    value = np.array([1, 2, 3, 4], np.float32)
    run = Executable(add_constant(value))
    value[:] = 0
    (y,) = run([np.zeros(1, np.float32)])
    np.testing.assert_array_equal(y, [1, 2, 3, 4])


def test_other_layouts_in_memory_are_copied():
    run = Executable(pipeline())
    x = rows(6)
    expected = 2 * (x + 3)
    odd = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(6, 4)
    assert not odd.flags.aligned
    for same in (np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2], odd, x.tolist()):
        given = same if isinstance(same, np.ndarray) else np.array(same, np.float32)
        np.testing.assert_array_equal(run([given])[0], expected)
    view = np.repeat(x, 2, axis=0)[::2]
    run([view])
    view[...] = 0
    np.testing.assert_array_equal(run([view])[0], np.full((6, 4), 6))


def test_new_arrays_at_the_address_of_old_ones():
    run = Executable(pipeline())
    for i in range(50):
        x = np.full((2, 4), i, np.float32)
        np.testing.assert_array_equal(run([x])[0], 2 * (x + 3))
        del x


def test_nothing_in_place_of_an_array_that_is_gone():
    run = Executable(pipeline())
    x = rows(4)
    run([x])
    del x
    with pytest.raises(DataTypeError, match="expected"):
        run([None])


def test_a_call_that_failed_half_way_is_made_again_as_a_whole(monkeypatch):
    run = Executable(pipeline())
    x = rows(4).copy()
    run([x])
    with monkeypatch.context() as patch:
        patch.setattr(context.Context, "_place", lambda *_: pytest.fail("no memory", pytrace=False))
        with pytest.raises(pytest.fail.Exception):
            run([rows(400)])
    # The same array as in the last call that worked.
    np.testing.assert_array_equal(run([x])[0], 2 * (x + 3))
    np.testing.assert_array_equal(run([rows(400)])[0], 2 * (rows(400) + 3))


def test_an_array_reshaped_in_place_is_checked_again():
    run = Executable(pipeline())
    x = rows(4).copy()
    run([x])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        x.shape = (2, 8)
    with pytest.raises(ShapeError, match=r"expected f32\[N,4\], received f32\[2,8\]"):
        run([x])


def test_an_array_the_program_knows_cannot_be_resized():
    run = Executable(pipeline())
    x = rows(4).copy()
    run([x])
    with pytest.raises(ValueError, match="cannot resize"):
        x.resize((200, 4), refcheck=False)


def test_inputs_are_not_kept_alive():
    run = Executable(pipeline())
    x = rows(3)
    run([x])
    gone = weakref.ref(x)
    del x
    gc.collect()
    assert gone() is None


def test_too_few_inputs():
    run = Executable(update())
    with pytest.raises(StructureError) as caught:
        run([rows(1)])
    assert str(caught.value) == "graph 'update' takes 2 inputs (x, w), received 1"


def test_another_dtype():
    run = Executable(pipeline())
    with pytest.raises(DataTypeError) as caught:
        run([np.zeros((5, 4))])
    assert str(caught.value) == (
        "input 'x' of graph 'pipeline': expected f32[N,4], received f64[5,4]; "
        "convert it with .astype('float32')"
    )


@pytest.mark.parametrize(
    ("shape", "received"), [((5, 3), "f32[5,3]"), ((4,), "f32[4]"), ((2, 4, 1), "f32[2,4,1]")]
)
def test_another_shape(shape, received):
    run = Executable(pipeline())
    with pytest.raises(ShapeError) as caught:
        run([np.zeros(shape, np.float32)])
    assert str(caught.value) == (
        f"input 'x' of graph 'pipeline': expected f32[N,4], received {received}"
    )


def test_a_call_after_a_refused_one():
    run = Executable(update())
    w = np.zeros(4, np.float32)
    x = rows(1, start=1)
    run([x, w])
    with pytest.raises(ShapeError):
        run([rows(1, start=100), np.zeros(5, np.float32)])
    run([x, w])
    np.testing.assert_array_equal(w, 2 * x[0])


def test_state_must_be_writable_and_contiguous():
    run = Executable(update())
    frozen = np.zeros(4, np.float32)
    frozen.flags.writeable = False
    strided = np.zeros(8, np.float32)[::2]
    start = "input 'w' of graph 'update' is updated in place: expected a C-contiguous, writable "
    for value, what in (
        (frozen, "NumPy array, received a read-only array"),
        (strided, "NumPy array, received an array that is not contiguous"),
        (np.zeros(4, np.float32).tolist(), None),
    ):
        with pytest.raises(ValueError, match=r"input 'w' of graph 'update'") as caught:
            run([rows(1), value])
        if what:
            assert str(caught.value) == start + what


def graph_of(*types: TensorType) -> Graph:
    names = "xyz"
    values = [Value(kind, None, 0, names[i]) for i, kind in enumerate(types)]
    return Graph("g", tuple(values), (), ())


def test_inputs_that_disagree_on_the_batch():
    signature = Signature(graph_of(TensorType((N, 3)), TensorType((N,))))
    assert signature.sizes(((4, 3), (4,))) == {"N": 4}
    with pytest.raises(ShapeError) as caught:
        signature.sizes(((4, 3), (5,)))
    assert str(caught.value) == (
        "inputs of graph 'g' disagree on N: N = 4 from axis 0 of 'x' (f32[N,3], received shape "
        "(4, 3)), which does not fit axis 0 of 'y' (f32[N], received shape (5,))"
    )


def test_sizes_from_multiples_of_the_batch():
    signature = Signature(graph_of(TensorType((49 * N + 1, 2)), TensorType((2 * N,))))
    assert signature.sizes(((99, 2), (4,))) == {"N": 2}
    with pytest.raises(ShapeError, match=r"axis 0 must be 49\*N \+ 1, received 98"):
        signature.sizes(((98, 2), (4,)))
    with pytest.raises(ShapeError, match="disagree on N"):
        signature.sizes(((99, 2), (6,)))


def test_a_bare_name_settles_a_size_wherever_it_stands():
    signature = Signature(graph_of(TensorType((N * N,)), TensorType((N,))))
    assert signature.sizes(((9,), (3,))) == {"N": 3}
    with pytest.raises(ShapeError, match="disagree on N"):
        signature.sizes(((8,), (3,)))


def test_a_size_no_input_tells():
    with pytest.raises(ValueError, match="run-time size N does not follow from the shape of any"):
        Signature(graph_of(TensorType((N * N,))))


def test_an_output_no_launch_writes():
    program = pipeline()
    with pytest.raises(ValueError, match="no launch of 'pipeline' writes output 0"):
        Executable(replace(program, launches=program.launches[:-1]))


def test_calls_from_several_threads():
    run = Executable(pipeline())
    wrong: list[int] = []

    def work(seed: int) -> None:
        for i in range(300):
            x = rows(1 + (seed + i) % 50, start=seed)
            if not np.array_equal(run([x])[0], 2 * (x + 3)):
                wrong.append(i)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    assert wrong == []


def test_calls_of_more_sizes_than_are_remembered(monkeypatch):
    monkeypatch.setattr(executable, "_REMEMBERED", 2)
    run = Executable(pipeline())
    wrong: list[object] = []

    def calls(first: int) -> None:
        try:
            for n in range(first, 400, 4):
                if (run([rows(n)])[0] != 2 * (rows(n) + 3)).any():
                    wrong.append(n)
        except Exception as error:
            wrong.append(error)

    workers = [threading.Thread(target=calls, args=(first,)) for first in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_many_calls_at_once_leave_memory_for_as_many_as_there_are_cores(monkeypatch):
    monkeypatch.setattr(executable, "_most_idle", lambda: 2)
    run = Executable(pipeline())
    together = threading.Barrier(5)
    prepare, arenas, results = context.Context.prepare, [], []

    def meet(self, *arguments):
        together.wait()
        kept = prepare(self, *arguments)
        arenas.append(weakref.ref(self._memory))
        return kept

    def work(n: int) -> None:
        results.append((run([rows(n)])[0] == 2 * (rows(n) + 3)).all())

    with monkeypatch.context() as patch:
        patch.setattr(context.Context, "prepare", meet)
        workers = [threading.Thread(target=work, args=(n,)) for n in range(1, 6)]
        for each in workers:
            each.start()
        for each in workers:
            each.join()
    gc.collect()
    assert results == [True] * 5
    assert len(arenas) == 5
    assert len(run._free) == sum(arena() is not None for arena in arenas) == 2
    np.testing.assert_array_equal(run([rows(3)])[0], 2 * (rows(3) + 3))


def test_state_updated_from_several_threads_loses_no_update():
    run = Executable(update())
    w = np.zeros(4, np.float32)
    one = np.ones((1, 4), np.float32)

    def work() -> None:
        for _ in range(500):
            run([one, w])

    workers = [threading.Thread(target=work) for _ in range(4)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    np.testing.assert_array_equal(w, np.full(4, 2000))


def test_several_executables_from_several_threads():
    runs = [Executable(pipeline(2)), Executable(pipeline(3)), Executable(row_sums())]
    wrong: list[int] = []
    pool.set_num_threads(2)

    def work(which: int) -> None:
        run = runs[which % 3]
        for i in range(200):
            x = rows(2500 + i, start=which)
            want = x.sum(axis=1) if which % 3 == 2 else 2 * (x + (2 + which % 3))
            if not np.array_equal(run([x])[0], want):
                wrong.append(which)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        pool.set_num_threads(None)
    assert not wrong


def test_a_child_forked_during_an_update_can_update(run_script: Script):
    output = run_script(
        """
        import os, signal, threading, time
        import numpy as np
        from graphkeras.runtime import Executable
        from runtime_samples import update
        run = Executable(update())
        w, x = np.zeros(4, np.float32), np.ones((1, 4), np.float32)
        run([x, w])
        done = threading.Event()
        inside = threading.Event()

        def train():
            with run._state:
                inside.set()
                done.wait()

        thread = threading.Thread(target=train)
        thread.start()
        inside.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            run([x, w])
            os._exit(0 if w[0] == 2 else 1)
        done.set()
        thread.join()
        print("child", os.waitpid(child, 0)[1])
        """
    )
    assert output == "child 0\n"


def test_profile_leaves_state_alone():
    run = Executable(update())
    w = np.arange(4, dtype=np.float32)
    report = run.profile([rows(2, start=1), w], repeats=5, roofline=False)
    np.testing.assert_array_equal(w, np.arange(4))
    assert [kernel.name for kernel in report.kernels] == ["elementwise", "elementwise"]
    assert all(kernel.seconds > 0 for kernel in report.kernels)


def test_figures():
    run = Executable(pipeline(stages=5))
    assert run.launch_count == 6
    assert run.peak_bytes({"N": 10}) == 2 * 192
    assert run.compile_seconds >= 0


def test_results_do_not_depend_on_one_thread_or_many():
    x = rows(333)
    many, one = Executable(row_sums()), Executable(row_sums(), threads=1)
    np.testing.assert_array_equal(many([x])[0], one([x])[0])


def test_a_cached_program_imports_no_numba(run_script: Script):
    script = """
        import sys
        import numpy as np
        from runtime_samples import pipeline
        from graphkeras.runtime import Executable
        y, = Executable(pipeline())([np.zeros((3, 4), np.float32)])
        print(y.sum(), "numba" in sys.modules)
        """
    run_script(script)
    assert run_script(script) == "72.0 False\n"


def test_a_program_runs_in_a_forked_child(run_script: Script):
    output = run_script(
        """
        import os
        import numpy as np
        from runtime_samples import pipeline
        from graphkeras.runtime import Executable, pool
        pool.set_num_threads(2)
        run = Executable(pipeline())
        x = np.zeros((300, 4), np.float32)
        run([x])
        child = os.fork()
        if child == 0:
            fine = all((run([x])[0] == 6).all() for _ in range(100))
            os._exit(0 if fine else 1)
        assert (run([x])[0] == 6).all()
        print(os.waitpid(child, 0)[1])
        """
    )
    assert output == "0\n"
