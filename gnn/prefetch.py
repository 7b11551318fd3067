"""Asking for memory ahead of its use."""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic


def _intrinsic(typingctx: Any, address: Any) -> Any:
    """LLVM's prefetch for reading, into all levels; no instruction where a processor has none."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, flag = ir.PointerType(ir.IntType(8)), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, flag, flag, flag])
        insert: Any = cgutils.get_or_insert_function
        function = insert(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [builder.inttoptr(args[0], pointer), flag(0), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


_prefetch: Any = intrinsic(_intrinsic)


@njit(cache=True, inline="always")
def prefetch(address: int) -> None:
    """Bring the cache line of an address closer; any address will do, also one that is not ours.

    Args:
        address: Byte address.
    """
    _prefetch(address)
