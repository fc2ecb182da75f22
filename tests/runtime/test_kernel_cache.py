"""Kernels are compiled once, kept on disk, and survive damage and company."""

from __future__ import annotations

import ctypes
import stat
from pathlib import Path

import numpy as np
import pytest
from runtime_samples import elementwise
from runtime_scripts import Script, start_script

from graphkeras import config
from graphkeras.codegen.program import KernelSource
from graphkeras.native import objects
from graphkeras.native.errors import KernelCompileError, NativeCodeError
from graphkeras.native.target import cpu, target_machine
from graphkeras.runtime import disk_cache, kernel_cache

LOAD = """
    import sys
    from runtime_samples import elementwise
    from graphkeras.runtime import kernel_cache
    kernels = [elementwise(f"x[i] + {k}") for k in range(3)]
    addresses = kernel_cache.load(kernels)
    assert len(set(addresses)) == 3
    print("numba" in sys.modules)
"""


def call(address: int, x: np.ndarray) -> np.ndarray:
    y = np.zeros_like(x)
    argv = np.array([x.ctypes.data, y.ctypes.data, x.size])
    kernel = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)(address)
    kernel(0, 1, argv.ctypes.data)
    return y


def entries(home: Path) -> list[Path]:
    return sorted((home / "kernels").glob("*.o.bin"))


def test_compiled_kernel_computes():
    x = np.linspace(-2, 2, 37, dtype=np.float32)
    (address,) = kernel_cache.load([elementwise("math.exp(x[i]) - 1")])
    np.testing.assert_allclose(call(address, x), np.expm1(x), rtol=1e-5, atol=1e-6)


def test_equal_texts_are_one_kernel_whatever_their_names():
    source = elementwise("x[i] + 100")
    other = KernelSource("another name", source.text)
    first, second, third = kernel_cache.load([source, other, elementwise("x[i] + 101")])
    assert first == second != third


def test_source_is_a_readable_file_named_after_the_kernel():
    source = elementwise("x[i] + 102")
    kernel_cache.load([source])
    path = kernel_cache.source_path(source)
    assert path.name.endswith("_elementwise.py")
    assert path.read_text() == source.text


def test_kernels_need_no_numba(run_script: Script, tmp_path: Path):
    assert run_script(LOAD, home=tmp_path) == "False\n"
    assert run_script(LOAD, home=tmp_path) == "False\n"


def test_cached_kernels_of_numba_need_no_numba(run_script: Script, tmp_path: Path):
    assert run_script(LOAD, home=tmp_path, GRAPHKERAS_COMPILER="numba") == "True\n"
    assert run_script(LOAD, home=tmp_path, GRAPHKERAS_COMPILER="numba") == "False\n"


def test_object_code_calls_only_the_c_library(tmp_path: Path):
    expressions = ["math.exp(x[i])", "x[i] // 3 + i % 7", "math.pow(x[i], 2.5)", "math.tanh(x[i])"]
    with config.override(home=tmp_path):
        kernel_cache.load([elementwise(e + " + 200") for e in expressions])
    needed = set()
    for path in entries(tmp_path):
        data = path.read_bytes()
        needed |= set(objects.undefined_symbols(data[data.index(b"\x7fELF") :]))
    assert needed <= {"expf", "exp", "pow", "powf", "tanhf", "tanh", "fmod", "fmodf", "memset"}
    assert needed & {"pow", "powf"}


def test_a_kernel_that_needs_numba_at_run_time_is_refused():
    text = "def kernel(tid, nthreads, argv):\n    print(argv[0])\n"
    with (
        config.override(compiler="numba"),
        pytest.raises(KernelCompileError, match="which exist only beside Numba"),
    ):
        kernel_cache.load([KernelSource("prints", text)])


def test_a_kernel_that_does_not_compile_names_its_source_file():
    source = KernelSource(
        "broken", "def kernel(tid, nthreads, argv):\n    argv[0] = unknown_name\n"
    )
    with pytest.raises(KernelCompileError, match="unknown_name") as caught:
        kernel_cache.load([source])
    assert str(kernel_cache.source_path(source)) in str(caught.value)
    assert str(caught.value).startswith("generated function 'kernel' does not compile: ")


def damage_empty(data: bytes, other: bytes) -> bytes:
    return b""


def damage_truncated(data: bytes, other: bytes) -> bytes:
    return data[: len(data) // 2]


def damage_one_bit(data: bytes, other: bytes) -> bytes:
    return data[:-40] + bytes([data[-40] ^ 1]) + data[-39:]


def damage_foreign(data: bytes, other: bytes) -> bytes:
    return other


def damage_garbage(data: bytes, other: bytes) -> bytes:
    return b"not a kernel at all" * 50


RELOAD = """
    import ctypes, logging, sys
    import numpy as np
    from runtime_samples import elementwise
    from graphkeras.runtime import kernel_cache
    logging.basicConfig(stream=sys.stdout, level=logging.DEBUG, format="%(name)s: %(message)s")
    logging.getLogger("numba").setLevel(logging.ERROR)
    (address,) = kernel_cache.load([elementwise("x[i] * 2 + 1")])
    from test_kernel_cache import call
    print(call(address, np.arange(4, dtype=np.float32)))
"""


@pytest.mark.parametrize(
    "damage", [damage_empty, damage_truncated, damage_one_bit, damage_foreign, damage_garbage]
)
def test_a_damaged_entry_is_compiled_again(damage, tmp_path: Path, run_script: Script):
    with config.override(home=tmp_path):
        kernel_cache.load([elementwise(f"x[i] + {sum(damage.__name__.encode())}")])
        (foreign,) = entries(tmp_path)
    assert run_script(RELOAD, home=tmp_path) == "[1. 3. 5. 7.]\n"
    (path,) = set(entries(tmp_path)) - {foreign}
    intact = path.read_bytes()
    path.write_bytes(damage(intact, foreign.read_bytes()))
    output = run_script(RELOAD, home=tmp_path)
    assert output == (
        f"graphkeras.cache: cache entry {path} is damaged or foreign; it is made again\n"
        "[1. 3. 5. 7.]\n"
    )
    assert path.read_bytes() == intact


def test_several_processes_fill_an_empty_cache_at_once(tmp_path: Path):
    running = [start_script(LOAD, tmp_path) for _ in range(3)]
    for process in running:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    assert len(entries(tmp_path)) == 3
    left = [path.name for path in (tmp_path / "kernels").iterdir() if path.name.startswith(".")]
    assert left == []


def test_the_cache_is_for_its_owner_only(tmp_path: Path):
    with config.override(home=tmp_path / "new"):
        folder = disk_cache.folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_written_is_replaced_with_a_warning(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with config.override(home=tmp_path / "file"):
        with pytest.warns(RuntimeWarning, match="cannot be written") as caught:
            folder = disk_cache.folder()
        (address,) = kernel_cache.load([elementwise("x[i] + 104")])
    assert "Set GRAPHKERAS_HOME to a writable folder" in str(caught[0].message)
    assert folder.name.startswith("graphkeras-kernels-")
    assert call(address, np.zeros(1, np.float32))[0] == 104


def test_kernels_for_another_instruction_set_are_other_kernels():
    source = elementwise("x[i] + 105")
    with config.override(cpu="generic"):
        (generic,) = kernel_cache.load([source])
        text = kernel_cache.assembly(source)
    (host,) = kernel_cache.load([source])
    assert generic != host
    assert "zmm" not in text
    x = np.arange(50, dtype=np.float32)
    np.testing.assert_array_equal(call(generic, x), call(host, x))


def test_assembly_and_ir_can_be_read():
    source = elementwise("x[i] + 106")
    assert "ret" in kernel_cache.assembly(source)
    assert "define void @graphkeras_" in kernel_cache.llvm_ir(source)


def test_undefined_symbols_of_something_else():
    with pytest.raises(NativeCodeError, match="not a 64-bit little-endian ELF"):
        objects.undefined_symbols(b"MZ hello")


def test_an_object_that_needs_an_unknown_symbol_is_refused():
    module = """
        declare void @graphkeras_no_such_function()
        define void @graphkeras_test_entry() {
            call void @graphkeras_no_such_function()
            ret void
        }
    """
    import llvmlite.binding as llvm

    machine = target_machine(cpu())
    code = machine.emit_object(llvm.parse_assembly(module))
    with pytest.raises(NativeCodeError, match="needs graphkeras_no_such_function"):
        objects.load_objects([("graphkeras_test_entry", code)])
