"""The compiled half of the fast PNG encoder: rows filtered, and packed with a Huffman code of their own.

What is left of a photograph behind a filter has few repetitions, so looking for them, as LZ77 does, costs more than it
saves. Here each block of rows becomes one dynamic deflate block of literals, ended by an empty stored one, so that it
ends at a whole byte and refers to nothing before it.

Numba compiles this file when it is first imported, some seconds, and keeps the machine code: in NUMBA_CACHE_DIR if that
is set, else beside this file, or where it may not write there in the user's cache folder. It does not see changes in
other files, so all that is compiled stands in this one. Importing it takes a third of a second even then, and 70 MB,
so nothing may import it that is not told to write by this encoder.

Raises on import:
    ImportError: Numba is not installed.
    RuntimeError: there is no folder for the machine code.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, types

Bytes = npt.NDArray[np.uint8]
Table = npt.NDArray[np.uint32]

_PAETH = 4  # the filter, as PNG numbers it
#: A literal is a byte; the symbol behind them ends a block.
_END_OF_BLOCK = 256
_SYMBOLS = 257
#: The longest code, in bits. Four codes and the 7 bits at most that are left of those before fill 63 of the 64 bits
#: that are put together at a time; deflate would allow 15.
_LONGEST = 14
#: The longest code for a code's length, by deflate's format: its length is written in 3 bits.
_LONGEST_OF_LENGTHS = 7
#: In which order deflate writes the lengths of the codes for lengths.
_ORDER = np.array([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15])
#: Bits of a block besides its literals, at most: its kind 3, how many codes of each sort 14, lengths for lengths
#: 19 * 3, lengths of the codes for 257 symbols and 2 distances at 7 each, the end at 14; the empty stored block 3, up
#: to 7 to a whole byte, and 32.
_AROUND = 3 + 14 + 19 * 3 + (_SYMBOLS + 2) * _LONGEST_OF_LENGTHS + _LONGEST + 3 + 7 + 32
#: Bytes that are written at a time; of the last ones only some count.
_WORD = 8
#: In an entry of a table the code, and how far up its length stands.
_CODE, _U16 = np.uint64(0xFFFF), np.uint64(16)
_U8 = np.uint8

_READ = types.Array(types.uint8, 1, "C", readonly=True)
_ROWS = types.Array(types.uint8, 2, "C", readonly=True)
_compiled: Any = njit(nogil=True)  # into those below, and kept with them


def most_bytes(length: int) -> int:
    """No block of so many literals takes more bytes than this, those included that ``pack`` writes behind it."""
    return (length * _LONGEST + _AROUND + 7) // 8 + _WORD


# ----------------------------------------------------------------------------------------------------------- filter


@_compiled
def _paeth(row, left, above, corner, out):  # type: ignore[no-untyped-def]
    """Less whichever of the three neighbours is nearest to left + above - corner; of equally near ones the first.

    Each step fits a byte, so that many pixels are done at a time: wider ones take seven times as long. How far the
    neighbours are away is |above - corner|, |left - corner|, and the difference of these two where the corner lies
    between the other two in value; else it is their sum, and the corner is never the nearest.
    """
    for x in range(len(out)):
        a, b, c = left[x], above[x], corner[x]
        to_left = _U8(b - c) if b > c else _U8(c - b)
        to_above = _U8(a - c) if a > c else _U8(c - a)
        low, high = a if a < b else b, b if a < b else a
        to_corner = _U8(to_left - to_above) if to_left > to_above else _U8(to_above - to_left)
        to_corner = _U8(255) if (c <= low) | (c >= high) else to_corner
        nearer, distance = a if to_left <= to_above else b, to_left if to_left < to_above else to_above
        nearest = nearer if distance <= to_corner else c
        out[x] = _U8(row[x] - nearest)


@njit([types.void(_ROWS, _READ, types.int64, types.uint8[:, ::1])], cache=True, nogil=True)
def filter_rows(rows: Bytes, above: Bytes, step: int, out: Bytes) -> None:
    """Rows as PNG stores them, each behind the number of the filter "Paeth".

    Args:
        rows: of shape (height, width in bytes).
        above: the row above the first; zeros where there is none, as PNG says.
        step: bytes from a byte to the one that it is compared with in the pixel to its left; at most the width.
        out: of shape (height, width in bytes + 1).
    """
    for y in range(len(rows)):
        row, out_row = rows[y], out[y, 1:]
        out[y, 0] = _PAETH
        for x in range(step):  # nothing is to the left, so the nearest is what is above
            out_row[x] = row[x] - above[x]
        _paeth(row[step:], row[:-step], above[step:], above[:-step], out_row[step:])
        above = row


# ---------------------------------------------------------------------------------------------------- Huffman's code


@_compiled
def _sorted(counts):  # type: ignore[no-untyped-def]
    """The symbols that occur, the rarest first; of equally rare ones the lowest. By Shell's sort, as Numba takes
    seconds to compile NumPy's."""
    keys = np.empty(len(counts), np.int64)
    found = 0
    for symbol in range(len(counts)):
        if counts[symbol] > 0:
            keys[found] = counts[symbol] << 9 | symbol
            found += 1
    for gap in (57, 23, 10, 4, 1):
        for i in range(gap, found):
            key, at = keys[i], i
            while at >= gap and keys[at - gap] > key:
                keys[at] = keys[at - gap]
                at -= gap
            keys[at] = key
    for i in range(found):
        keys[i] &= 511
    return keys[:found]


@_compiled
def _depths(counts, order):  # type: ignore[no-untyped-def]
    """How deep in Huffman's tree two or more symbols lie, in this order, which is that of their counts.

    Leaves and joined nodes come up in the order of their weights, so the two lightest are at the heads of two queues.
    """
    leaves = len(order)
    nodes = np.zeros(2 * leaves - 1, np.int64)
    parent = np.zeros(2 * leaves - 1, np.int64)
    for i in range(leaves):
        nodes[i] = counts[order[i]]
    leaf, joined = 0, leaves
    for node in range(leaves, len(nodes)):
        for _ in range(2):
            if leaf < leaves and (joined >= node or nodes[leaf] <= nodes[joined]):
                lightest = leaf
                leaf += 1
            else:
                lightest = joined
                joined += 1
            nodes[node] += nodes[lightest]
            parent[lightest] = node
    depth = np.zeros(len(nodes), np.int64)
    for node in range(len(nodes) - 2, -1, -1):  # the root is the last
        depth[node] = depth[parent[node]] + 1
    return depth[:leaves]


@_compiled
def _shortened(depths, longest):  # type: ignore[no-untyped-def]
    """How many codes there are of each length, none above ``longest``, for leaves at these depths.

    The sum of 2^-length over all codes must stay 1. Leaves that come up to ``longest`` make it larger, by less than
    2^-longest each. So for each 2^-longest that is too much one of them goes: it and the deepest leaf above share that
    leaf's place, one level down. There is such a leaf while the sum is above 1, because 2^longest codes of that length
    make only 1, and there are fewer.
    """
    many = np.zeros(longest + 1, np.int64)
    for depth in depths:
        many[min(depth, longest)] += 1
    total = 0
    for length in range(1, longest + 1):
        total += many[length] << (longest - length)
    while total > 1 << longest:
        length = longest - 1
        while many[length] == 0:
            length -= 1
        many[longest] -= 1
        many[length] -= 1
        many[length + 1] += 2
        total -= 1
    return many


@_compiled
def _code(counts, longest):  # type: ignore[no-untyped-def]
    """For each symbol the bits of its code, with their number in the bits from 16 on; 0 for one that does not occur.
    Two symbols must occur.

    The codes are those that deflate gives to these lengths, turned round, as it writes the first bit lowest.
    """
    order = _sorted(counts)
    many = _shortened(_depths(counts, order), longest)
    lengths = np.zeros(len(counts), np.int64)
    at = 0
    for length in range(longest, 0, -1):
        for _ in range(many[length]):
            lengths[order[at]] = length
            at += 1
    following = np.zeros(longest + 1, np.int64)
    for length in range(1, longest + 1):
        following[length] = (following[length - 1] + (many[length - 1] if length > 1 else 0)) << 1
    table = np.zeros(len(counts), np.uint32)
    for symbol in range(len(counts)):
        length = lengths[symbol]
        code, turned = following[length], 0
        following[length] += 1
        for _ in range(length):
            turned = turned << 1 | (code & 1)
            code >>= 1
        table[symbol] = turned | length << 16
    return table


@njit([types.int64(_ROWS, types.int64, types.uint32[::1])], cache=True, nogil=True)
def find_code(rows: Bytes, every: int, table: Table) -> int:
    """The code for filtered rows, from one in so many of them.

    Args:
        rows: of shape (height, width in bytes + 1).
        every: at least 1.
        table: takes the codes of 257 symbols. Each has one, as it may be in the rows that are not looked at.

    Returns:
        the bits that all the rows take with it, were they all like those looked at.
    """
    even, odd = np.zeros(_SYMBOLS, np.int64), np.zeros(256, np.int64)  # two, so that equal neighbours need not wait
    for y in range(0, len(rows), every):
        row = rows[y]
        for x in range(0, len(row) - 1, 2):
            even[row[x]] += 1
            odd[row[x + 1]] += 1
        if len(row) & 1:
            even[row[-1]] += 1
    for byte in range(256):
        even[byte] = (even[byte] + odd[byte]) * every + 1
    even[_END_OF_BLOCK] = 1
    code, bits = _code(even, _LONGEST), 0
    for symbol in range(_SYMBOLS):
        table[symbol] = code[symbol]
        bits += even[symbol] * (table[symbol] >> 16)
    looked_at = (len(rows) + every - 1) // every
    return bits * len(rows) // (looked_at * every)  # the last one stands for fewer


# --------------------------------------------------------------------------------------------------------- the block


@_compiled
def _put(out, at, held, bits, code, length):  # type: ignore[no-untyped-def]
    """Write ``length`` bits, at most 48, behind the ``bits`` < 8 that are ``held``; returns the new three."""
    held |= np.uint64(code) << np.uint64(bits)
    bits += length
    while bits >= 8:
        out[at] = held & np.uint64(255)
        held >>= np.uint64(8)
        bits -= 8
        at += 1
    return at, held, bits


@_compiled
def _put_table(out, table):  # type: ignore[no-untyped-def]
    """Begin a dynamic block, which is not the last, with this code; returns as ``_put``."""
    counts = np.zeros(19, np.int64)
    for entry in table:
        counts[entry >> 16] += 1
    counts[1] += 2
    code = _code(counts, _LONGEST_OF_LENGTHS)
    at, held, bits = _put(out, 0, np.uint64(0), 0, 0b100, 3)
    # 257 codes for literals, 2 for distances, 19 for lengths, each less the least there can be.
    at, held, bits = _put(out, at, held, bits, 0 | 1 << 5 | 15 << 10, 14)
    for length in _ORDER:
        at, held, bits = _put(out, at, held, bits, code[length] >> 16, 3)
    for entry in table:
        of_length = code[entry >> 16]
        at, held, bits = _put(out, at, held, bits, of_length & 0xFFFF, of_length >> 16)
    for _ in range(2):  # no distance is used; two codes of one bit make a whole code, which every reader takes
        at, held, bits = _put(out, at, held, bits, code[1] & 0xFFFF, code[1] >> 16)
    return at, held, bits


@njit([types.int64(_READ, types.uint32[::1], types.uint8[::1])], cache=True, nogil=True)
def pack(data: Bytes, table: Table, out: Bytes) -> int:
    """One dynamic block of literals and an empty stored block.

    Args:
        data: the literals.
        table: of ``find_code``.
        out: of at least ``most_bytes(len(data))``.

    Returns:
        how many bytes of ``out`` it takes.
    """
    at, held, bits = _put_table(out, table)
    fours = len(data) // 4 * 4
    # All unsigned: an index that might be negative would be looked at before each byte that is written.
    place, left = np.uint64(at), np.uint64(bits)
    for x in range(0, fours, 4):
        a, b = np.uint64(table[data[x]]), np.uint64(table[data[x + 1]])
        c, d = np.uint64(table[data[x + 2]]), np.uint64(table[data[x + 3]])
        a_bits, b_bits, c_bits, d_bits = a >> _U16, b >> _U16, c >> _U16, d >> _U16
        low = a & _CODE | (b & _CODE) << a_bits
        high = c & _CODE | (d & _CODE) << c_bits
        # 7 bits at most are left and 4 * 14 come: 63.
        held |= (low | high << (a_bits + b_bits)) << left
        left += a_bits + b_bits + c_bits + d_bits
        for k in range(_WORD):
            out[place + np.uint64(k)] = (held >> np.uint64(8 * k)) & np.uint64(255)
        place += left >> np.uint64(3)
        held >>= left & np.uint64(56)
        left &= np.uint64(7)
    at, bits = np.int64(place), np.int64(left)
    for x in range(fours, len(data)):
        at, held, bits = _put(out, at, held, bits, table[data[x]] & 0xFFFF, table[data[x]] >> 16)
    at, held, bits = _put(out, at, held, bits, table[_END_OF_BLOCK] & 0xFFFF, table[_END_OF_BLOCK] >> 16)
    at, held, bits = _put(out, at, held, bits, 0, 3)  # a stored block, not the last, from the next whole byte on
    at, held, bits = _put(out, at, held, bits, 0, -bits & 7)
    at, held, bits = _put(out, at, held, bits, 0xFFFF0000, 32)  # of no bytes
    return int(at)


def newly_compiled() -> bool:
    """Whether this process compiled any of it, as there was no machine code of it that could be loaded."""
    each: tuple[Any, ...] = filter_rows, find_code, pack
    return any(function.stats.cache_misses for function in each)
