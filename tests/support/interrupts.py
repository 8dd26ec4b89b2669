"""Ctrl-C at each moment at which the interpreter can notice it: at the start of a function and after each call."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from functools import cache
from types import CodeType, FrameType
from typing import Any


@cache
def _after_calls(code: CodeType) -> frozenset[int]:
    """Where the instructions are that follow a call, and the backward jumps, which look for signals as well."""
    found, called = set(), False
    for instruction in dis.get_instructions(code):
        if called or instruction.opname.startswith("JUMP_BACKWARD"):
            found.add(instruction.offset)
        called = instruction.opname.startswith("CALL")
    return frozenset(found)


def interrupted_at(moment: int, work: Callable[[], object]) -> bool:
    """Do a work in this thread, interrupted at the moment of that number; whether the work was long enough for it."""
    left = moment

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        frame.f_trace_opcodes = True
        if event == "call" or (event == "opcode" and frame.f_lasti in _after_calls(frame.f_code)):
            left -= 1
            if left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    try:
        sys.settrace(trace)
        work()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)
    return left < 0
