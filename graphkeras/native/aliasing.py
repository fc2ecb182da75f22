"""Tells LLVM which loads and stores cannot touch the same memory.

In kernel text a pointer's name is its own memory. Every load and store that goes through a named
pointer is marked with the name's *scope*, and with all the other names' scopes as those it has
nothing to do with. LLVM then vectorises a loop over many buffers without comparing their
addresses pair by pair at run time, and keeps values of one buffer in registers while another is
written.

What a microkernel loads and stores is marked too: the pointer is followed back to the argument
it was made of. A load from a constant table has nothing to do with any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llvmlite import ir


def mark_memory(function: Any, pointers: Mapping[str, Any]) -> None:
    """Marks what goes through `pointers` (name -> LLVM value), each of which is its own memory."""
    if len(pointers) < 2:
        return
    module = function.module
    text = ir.MetaDataString
    domain = module.add_metadata([text(module, function.name)])
    scopes = {name: module.add_metadata([text(module, name), domain]) for name in pointers}
    own = {name: module.add_metadata([scope]) for name, scope in scopes.items()}
    others = {
        name: module.add_metadata([s for other, s in scopes.items() if other != name])
        for name in pointers
    }
    every = module.add_metadata(list(scopes.values()))
    names = {id(value): name for name, value in pointers.items()}
    for block in function.blocks:
        for instruction in block.instructions:
            pointer = _pointer(instruction)
            name = None if pointer is None else _origin(pointer, names)
            if name is not None:
                instruction.set_metadata("alias.scope", own[name])
                instruction.set_metadata("noalias", others[name])
            elif pointer is not None and _is_table(pointer):
                instruction.set_metadata("noalias", every)


def _is_table(pointer: Any) -> bool:
    """Whether an address lies in a constant array of the module, which nothing writes."""
    while isinstance(pointer, ir.instructions.GEPInstr):
        pointer = pointer.pointer
    return isinstance(pointer, ir.GlobalVariable) and bool(pointer.global_constant)


def _pointer(instruction: Any) -> Any:
    """The address that an instruction reads or writes; None for other instructions."""
    if isinstance(instruction, ir.instructions.LoadInstr):
        return instruction.operands[0]
    if isinstance(instruction, ir.instructions.StoreInstr):
        return instruction.operands[1]
    if isinstance(instruction, ir.instructions.CallInstr):
        name = getattr(instruction.callee, "name", "")
        if name.startswith("llvm.masked.load"):
            return instruction.operands[0]
        if name.startswith("llvm.masked.store"):
            return instruction.operands[1]
    return None


def _origin(pointer: Any, names: Mapping[int, str]) -> str | None:
    """Name of the pointer that an address was computed from; None where it is not one alone."""
    found: set[str | None] = set()
    seen: set[int] = set()
    waiting = [pointer]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        sources = [] if id(value) in names else _sources(value)
        if not sources:
            found.add(names.get(id(value)))
        waiting.extend(sources)
    return found.pop() if len(found) == 1 else None


def _sources(value: Any) -> list[Any]:
    if isinstance(value, ir.instructions.GEPInstr):
        return [value.pointer]
    if isinstance(value, ir.instructions.CastInstr) and value.opname == "bitcast":
        return list(value.operands)
    if isinstance(value, ir.instructions.PhiInstr):
        return [incoming for incoming, _ in value.incomings]
    if isinstance(value, ir.instructions.SelectInstr):
        return list(value.operands[1:])
    return []
