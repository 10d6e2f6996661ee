"""What a strip cannot decide alone: groups of connected weak candidates that touch a cut.

A group is kept if it hangs, through others or not, on an edge, and that may be strips away. To find weak candidates
takes time, and most are far from a cut; so they are looked for beside the cuts first, and farther off only around
the few groups that lead there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from imgproc.operations.contract import Image
from imgproc.operations.rows import Rows

Groups = npt.NDArray[np.int32]

# Rows looked through beside a cut. Around a group that leads out of them, as much first; then more, where it leads.
_NEAR = 32
_LOOK = 1 << 14  # to look at any part takes at least as long as to look at so many pixels more
_NONE, _EDGE = -1, 0  # the groups of an image are numbered from 1, those of a block from 0


class Region(NamedTuple):
    """A rectangle of a block: its rows, and its columns."""

    rows: Rows
    columns: Rows

    @property
    def area(self) -> int:
        return (self.rows.stop - self.rows.start) * (self.columns.stop - self.columns.start)


@dataclass(frozen=True, slots=True)
class Undecided:
    """The undecided pixels of a block, that is of some rows of the image, in groups numbered from 0.

    ``pixels`` are places in its flattened rows, and ``groups`` has for each the number of its group. ``upper`` and
    ``lower`` have the groups of all pixels of its first and its last row, -1 for none; they are empty where the image
    ends.
    """

    rows: Rows
    count: int
    pixels: npt.NDArray[np.uint32]
    groups: Groups
    upper: Groups
    lower: Groups


#: ``weak(part)`` is not 0 where a candidate in this part of the block is no edge.
Weak = Callable[[Region], Image]


def undecided(rows: Rows, height: int, width: int, weak: Weak) -> Undecided:
    """The undecided pixels of a block in an image of this size."""
    first, last = 0, rows.stop - rows.start - 1
    cuts = [row for row, is_cut in ((first, rows.start > 0), (last, rows.stop < height)) if is_cut]
    search = _Search(Region(Rows(first, last + 1), Rows(0, width)), cuts, weak)
    search.run()
    pixels, groups = np.concatenate(search.pixels), np.concatenate(search.groups)
    upper, lower = (search.lines.get(row, np.empty(0, np.int32)) for row in (first, last))
    return Undecided(rows, search.count, pixels, groups, upper, lower)


class _Search:
    """The groups of a block that touch its cuts, as far as they are found."""

    def __init__(self, whole: Region, cuts: Sequence[int], weak: Weak) -> None:
        self.count = 0
        self.pixels = [np.empty(0, np.uint32)]
        self.groups: list[Groups] = [np.empty(0, np.int32)]
        self._whole, self._weak = whole, weak
        # For each row beside a cut, the groups of its pixels.
        self.lines = {row: np.full(whole.columns.stop, _NONE, np.int32) for row in cuts}

    def run(self) -> None:
        """Find them all."""
        rows, columns = self._whole
        leading = []
        for row in self.lines:
            leading += self._look(Rows(row, row + 1).around(_NEAR - 1, rows.stop))
        cost = len(leading) * _LOOK
        for row, column in leading:
            beside, around = Rows(row, row + 1), Rows(column, column + 1)
            part = Region(beside.around(_NEAR, rows.stop), around.around(_NEAR, columns.stop))
            while self.lines[row][column] == _NONE:
                cost += part.area
                if 4 * cost > self._whole.area:  # rather all at once, then
                    self._look(rows)
                else:
                    part = self._follow(part, row, column)

    def _look(self, rows: Rows) -> list[tuple[int, int]]:
        """Number the groups in these rows that touch a cut and are not known yet, but for those that lead farther.

        Returns:
            Of each of these, row and column of a pixel beside a cut.
        """
        part = Region(rows, self._whole.columns)
        pattern = self._weak(part)
        cuts = [row for row in self.lines if rows.start <= row < rows.stop]
        if not any(pattern[row - rows.start].any() for row in cuts):
            return []
        count, labels = _label(pattern)
        new, farther = np.zeros(count, bool), np.zeros(count, bool)
        for row in cuts:
            new[labels[row - rows.start][self.lines[row] == _NONE]] = True
        new[0] = False
        if rows.start > 0:
            farther[labels[0]] = True
        if rows.stop < self._whole.rows.stop:
            farther[labels[-1]] = True
        self._number(part, pattern, labels, new & ~farther)
        pixels = {}
        for row in cuts:
            line = labels[row - rows.start]
            pixels.update({int(line[x]): (row, int(x)) for x in np.flatnonzero((new & farther)[line])})
        return list(pixels.values())

    def _follow(self, part: Region, row: int, column: int) -> Region:
        """Number the group of this pixel if it lies in this part; if not, return the part with more where it leads."""
        pattern = self._weak(part)
        count, labels = _label(pattern)
        (top, bottom), (left, right) = part
        group = labels[row - top, column - left]
        here = labels == group
        height, width = here.shape
        if here[0].any():
            top = max(0, top - height)
        if here[-1].any():
            bottom = min(self._whole.rows.stop, bottom + height)
        if here[:, 0].any():
            left = max(0, left - width)
        if here[:, -1].any():
            right = min(self._whole.columns.stop, right + width)
        larger = Region(Rows(top, bottom), Rows(left, right))
        if larger == part:
            self._number(part, pattern, labels, np.arange(count) == group)
        return larger

    def _number(self, part: Region, pattern: Image, labels: Groups, chosen: npt.NDArray[np.bool_]) -> None:
        """Give the chosen labels of a part numbers of groups, and keep their pixels."""
        numbers, count = np.full(len(chosen), _NONE, np.int32), int(np.count_nonzero(chosen))
        numbers[chosen] = np.arange(self.count, self.count + count)
        self.count += count
        for row, line in self.lines.items():
            if part.rows.start <= row < part.rows.stop:
                here = line[slice(*part.columns)]
                np.maximum(here, numbers[labels[row - part.rows.start]], out=here)
        places = np.flatnonzero(pattern != 0)  # few, so the rest is quick
        groups = numbers[labels.ravel()[places]]
        if (groups == _NONE).any():
            places, groups = places[groups != _NONE], groups[groups != _NONE]
        if part.columns == self._whole.columns:
            places += part.rows.start * pattern.shape[1]
        else:
            y, x = np.divmod(places, pattern.shape[1])
            places = (y + part.rows.start) * self._whole.columns.stop + x + part.columns.start
        self.pixels.append(places.astype(np.uint32))
        self.groups.append(groups)


def _label(pattern: Image) -> tuple[int, Groups]:
    count, labels = cv2.connectedComponents(pattern, connectivity=8, ltype=cv2.CV_32S)
    return count, labels  # type: ignore[return-value]


def join(out: Image, blocks: Sequence[Undecided]) -> None:
    """Add to the edges in ``out`` the undecided groups that hang on one; ``blocks`` are all of the image, in order."""
    firsts = np.cumsum([_EDGE + 1] + [block.count for block in blocks])
    links = defaultdict(list)
    for (upper, upper_first), (lower, lower_first) in pairwise(zip(blocks, firsts, strict=False)):
        above = _with_edges(out[upper.rows.stop - 1], upper.lower, upper_first)
        below = _with_edges(out[lower.rows.start], lower.upper, lower_first)
        for a, b in _contacts(above, below):
            links[a].append(b)
            links[b].append(a)
    kept = np.zeros(firsts[-1], bool)
    kept[_reached(links)] = True
    for block, first in zip(blocks, firsts, strict=False):
        pixels = block.pixels[kept[first : first + block.count][block.groups]]
        block.rows.of(out).put(pixels, 255)


def _with_edges(line: Image, groups: Groups, first: int) -> Groups:
    """For each pixel of a row beside a cut: _EDGE, the number of its group in the image, or _NONE."""
    numbered = np.where(groups == _NONE, groups, groups + np.int32(first))
    numbered[line != 0] = _EDGE
    return numbered


def _contacts(above: Groups, below: Groups) -> set[tuple[int, int]]:
    """The groups that touch across a cut, as pairs; edges that touch edges are of no interest."""
    pairs: set[tuple[int, int]] = set()
    for a, b in ((above, below), (above[1:], below[:-1]), (above[:-1], below[1:])):
        touch = (a != _NONE) & (b != _NONE) & (a != b)
        pairs.update(zip(a[touch].tolist(), b[touch].tolist(), strict=True))
    return pairs


def _reached(links: dict[int, list[int]]) -> list[int]:
    """What hangs on an edge, directly or through others."""
    reached, todo = {_EDGE}, [_EDGE]
    while todo:
        new = [group for group in links.get(todo.pop(), ()) if group not in reached]
        reached.update(new)
        todo += new
    return list(reached)
