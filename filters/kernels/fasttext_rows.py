"""Sums of rows of a model's matrix, and arrays without owners: what numba has no words for."""

from typing import Any

from filters.kernels.jit import intrinsic, kernel

_LANES = 8  # float32 added by one instruction


def _without_owner(_: Any, array: Any) -> Any:
    from llvmlite import ir  # type: ignore[import-untyped]

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, args[0])
        view.meminfo = ir.Constant(view.meminfo.type, None)
        return view._getvalue()

    return array(array), code


# uncounted(array): the array without its owner, so that no references to it are counted; the caller holds the owner.
# Counting references took two fifths of the time: ten atomic additions a word.
uncounted: Any = intrinsic(_without_owner)


def _adder(num_lanes: int) -> Any:
    def typed(_: Any, total: Any, rows: Any, found: Any, first: Any, last: Any, place: Any) -> Any:
        from llvmlite import ir
        from numba import types
        from numba.core import cgutils

        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            to_total, to_rows, to_found = (
                context.make_array(kind)(context, builder, value).data
                for kind, value in zip(signature.args[:3], args[:3], strict=True)
            )
            (dimension,) = cgutils.unpack_tuple(builder, context.make_array(total)(context, builder, args[0]).shape)
            first, last, place = args[3:]
            lanes = ir.VectorType(ir.FloatType(), num_lanes).as_pointer()
            target = builder.bitcast(builder.gep(to_total, [place]), lanes)
            floats = builder.bitcast(to_rows, ir.FloatType().as_pointer())
            sums = cgutils.alloca_once_value(builder, builder.load(target, align=1))
            with cgutils.for_range(builder, last, start=first) as loop:
                row = builder.sext(builder.load(builder.gep(to_found, [loop.index])), ir.IntType(64))
                start = builder.gep(floats, [builder.add(builder.mul(row, dimension), place)])
                values = builder.load(builder.bitcast(start, lanes), align=1)
                builder.store(builder.fadd(builder.load(sums), values), sums)
            builder.store(builder.load(sums), target, align=1)
            return context.get_dummy_value()

        return types.none(total, rows, found, types.int64, types.int64, types.int64), code

    return intrinsic(typed)


# _add_lanes(total, rows, found, first, last, place): adds places `place` to `place + 8` of the rows found[first:last]
# to total's, in order; _add_lane adds one place. The compiler makes scalar instructions of such a loop, which took
# 2.5 times as long; and rows in a file lie at any address, for which it would compile all kernels a second time.
_add_lanes, _add_lane = _adder(_LANES), _adder(1)


@kernel
def add_rows(total: Any, rows: Any, found: Any, first: Any, num_rows: Any) -> None:
    """Add the rows found[first:first + num_rows] to total, one after the other."""
    num_lanes = len(total) - len(total) % _LANES
    for place in range(0, num_lanes, _LANES):
        _add_lanes(total, rows, found, first, first + num_rows, place)
    for place in range(num_lanes, len(total)):
        _add_lane(total, rows, found, first, first + num_rows, place)
