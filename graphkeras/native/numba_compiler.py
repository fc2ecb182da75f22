"""Compiles kernel text with Numba: the only place that drives it.

Numba types and lowers the function to LLVM IR. What Numba would add around it (argument
boxing, exception reports, the interpreter lock) is left out; instead one small entry point
with a plain C signature calls it. Everything but that entry point is made internal, so LLVM
inlines it, and the object needs nothing but the C library.

Importing this module imports Numba.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache, partial
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba.core import compiler as numba_compiler
from numba.core import compiler_machinery as numba_machinery
from numba.core import registry
from numba.core import typed_passes as numba_typed_passes
from numba.core import untyped_passes as numba_untyped_passes
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic, typeof_impl

from graphkeras.native.compiler import Unit
from graphkeras.native.errors import KernelCompileError
from graphkeras.native.intrinsic import Intrinsic
from graphkeras.native.optimise import optimise
from graphkeras.native.target import Cpu

# Numba is typed in parts only.
types: Any = numba.types
compiler: Any = numba_compiler
compiler_machinery: Any = numba_machinery
typed_passes: Any = numba_typed_passes
untyped_passes: Any = numba_untyped_passes
CompilerBase: Any = compiler.CompilerBase
numba_config: Any = numba.config


# Wrappers for callers in Python would double the time to compile.
_CALLABLE: Any = partial(
    numba.njit, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True
)


def _numba_type(name: str) -> Any:
    if name.endswith("*"):
        return types.CPointer(_numba_type(name[:-1]))
    return getattr(types, name)


@cache
def _adapter(function: Intrinsic) -> Any:
    """The intrinsic as Numba wants to have it."""

    def typed(_typing_context: Any, *given: Any) -> Any:
        bound = dict(zip(function.arguments, given, strict=True))

        def type_of(name: str) -> Any:
            if name in ("T", "F"):
                is_number = name == "T" or isinstance(bound[name], types.Float)
                return bound[name] if is_number else types.float64
            return _numba_type(name)

        def generate(context: Any, builder: Any, _signature: Any, operands: Any) -> Any:
            value = function.emit(builder, list(operands))
            return context.get_dummy_value() if function.result == "void" else value

        return type_of(function.result)(*map(type_of, function.arguments)), generate

    typed.__name__ = typed.__qualname__ = function.name
    # Numba reads the number of arguments from the signature.
    names = ["typing_context", *(f"argument{i}" for i in range(len(function.arguments)))]
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    typed.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(each, positional) for each in names]
    )
    return intrinsic(typed)


@typeof_impl.register(Intrinsic)
def _typeof_intrinsic(value: Intrinsic, _purpose: Any) -> Any:
    context = registry.cpu_target.typing_context
    adapter = _adapter(value)
    context.refresh()  # takes note of adapters made meanwhile
    return context.resolve_value_type(adapter)


_FOREIGN = ("Py", "_Py", "numba_", "NRT_", "_ZN", ".numba")
"""Starts of names that only a process with Numba or Python's headers could resolve."""


# Whether buffers overlap is checked before a loop, pair by pair. LLVM gives up vectorising beyond
# 8 pairs; an Adam update fused into its gradient has 18, and ran 20 times slower without.
llvm.set_option("graphkeras", "--runtime-memory-check-threshold=128")


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Loads a module from its file and leaves no bytecode file beside it."""

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Bytecode is not kept: a generated module is imported once."""


@lru_cache(maxsize=1)
def import_source(path: Path) -> ModuleType:
    """Imports the generated module in `path`, outside `sys.modules`.

    The last one is remembered: entries of one module share the functions they call.
    """
    name = f"graphkeras_generated_{path.stem}"
    loader = _SourceLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None:
        raise KernelCompileError(f"cannot import generated source {path}")
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    for name, value in vars(module).items():
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            setattr(module, name, _CALLABLE(value))
    return module


def compile_with_numba(unit: Unit, target: Cpu) -> Any:
    """Compiles one function to an optimised LLVM module.

    Raises:
        KernelCompileError: It calls something that a compiled kernel does not have.
        Exception: Whatever Numba raises where the text does not compile.
    """
    module = import_source(unit.path)
    with global_compiler_lock, _numba_unoptimised():
        lowered = _lower(module, unit)
        _hide(lowered, unit.symbol)
        optimise(lowered, target)
        _check_calls(lowered)
        return lowered


@contextmanager
def _numba_unoptimised() -> Iterator[None]:
    """Numba leaves LLVM's passes to `_optimise`: running them twice costs a third of a compile."""
    saved = numba_config.OPT
    numba_config.OPT = type(saved)(0)
    try:
        yield
    finally:
        numba_config.OPT = saved


class _KernelPipeline(CompilerBase):
    """Numba's passes that a generated kernel needs.

    What is left out serves code that people write: closures, array expressions, literal
    unrolling, objects. It took two fifths of the time to lower the kernels of a small convnet.
    Without SSA form a local has one type for its whole life, which is how kernels are printed.
    """

    def define_pipelines(self) -> list[Any]:
        """One pipeline: bytecode, types, LLVM IR."""
        manager = compiler_machinery.PassManager("kernel")
        for step, reason in (
            (untyped_passes.TranslateByteCode, "bytecode to Numba IR"),
            (untyped_passes.FixupArgs, "arguments"),
            (untyped_passes.IRProcessing, "blocks and live variables"),
            (typed_passes.NopythonTypeInference, "types"),
            (typed_passes.NativeLowering, "LLVM IR"),
            (typed_passes.NoPythonBackend, "result"),
        ):
            manager.add_pass(step, reason)
        manager.finalize()
        return [manager]


def _lower(module: ModuleType, unit: Unit) -> Any:
    flags = compiler.Flags()
    flags.no_compile = True
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.error_model = "numpy"
    signature = tuple(_numba_type(name) for name in unit.arguments)
    context = registry.cpu_target.target_context
    compiled = compiler.compile_extra(
        registry.cpu_target.typing_context,
        context,
        getattr(module, unit.entry).py_func,
        signature,
        _numba_type(unit.result),
        flags,
        {},
        pipeline_class=_KernelPipeline,
    )
    library, descriptor = compiled.library, compiled.fndesc
    library.add_ir_module(_entry_point(library, descriptor, context, unit.symbol))
    linked = library._final_module
    for used in dict.fromkeys(library._linking_libraries):
        # Numba offers its reference-counting runtime to every function; kernels have no
        # objects to count.
        if used.name != "nrt":
            linked.link_in(used._get_module_for_linking(), preserve=True)
    return linked


def _entry_point(library: Any, descriptor: Any, context: Any, symbol: str) -> ir.Module:
    """A function with the C signature that calls Numba's and drops its error status."""
    module = library.create_ir_module(symbol)
    convention = context.call_conv
    callee = ir.Function(
        module,
        convention.get_function_type(descriptor.restype, descriptor.argtypes),
        descriptor.llvm_func_name,
    )
    argument_types = [context.get_value_type(t) for t in descriptor.argtypes]
    is_void = descriptor.restype == types.none
    result_type = ir.VoidType() if is_void else context.get_value_type(descriptor.restype)
    function = ir.Function(module, ir.FunctionType(result_type, argument_types), symbol)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    _, value = convention.call_function(
        builder, callee, descriptor.restype, descriptor.argtypes, function.args
    )
    if is_void:
        builder.ret_void()
    else:
        builder.ret(value)
    return module


def _hide(module: Any, symbol: str) -> None:
    """Makes everything but `symbol` internal, so that LLVM may inline or drop it."""
    for function in module.functions:
        if not function.is_declaration and function.name != symbol:
            function.linkage = "internal"
    for variable in module.global_variables:
        if not variable.is_declaration:
            variable.linkage = "internal"


def _check_calls(module: Any) -> None:
    declared = [f.name for f in module.functions if f.is_declaration]
    declared += [v.name for v in module.global_variables if v.is_declaration]
    foreign = sorted(name for name in declared if name.startswith(_FOREIGN))
    if foreign:
        raise KernelCompileError(
            f"generated code calls {', '.join(foreign)}, which exist only beside Numba; "
            "a kernel may call nothing but the C library"
        )
