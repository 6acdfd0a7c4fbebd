"""Which slice of a cost explains that it moved.

One dimension at a time, the member is taken whose part of the change is furthest above its part of the cost; the
search then goes on inside it. A change that no member explains is said to be spread.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

MUST_EXPLAIN: Final = 0.75
"""A member is named only when it explains three quarters of the change of the slice it is in."""
MUST_EXCEED_SHARE: Final = 0.05
DEEPEST: Final = 3

Leaf = tuple[str, ...]
"""One member of each dimension."""


class Cause(NamedTuple):
    """A member that explains most of a change."""

    dimension: str
    member: str
    share: float
    """Its part of the whole change; 1 is all of it."""


def drill(dimensions: Sequence[str], expected: Mapping[Leaf, float], actual: Mapping[Leaf, float]) -> list[Cause]:
    """The slice that explains why `actual` is not `expected`, widest dimension first; empty when it is spread."""
    f, a, members = _cubes(dimensions, expected, actual)
    whole = a.sum() - f.sum()
    causes: list[Cause] = []
    left = list(range(len(dimensions)))
    while left and len(causes) < DEEPEST:
        best = _best(f, a, left)
        if best is None:
            break
        axis, index, change = best
        causes.append(Cause(dimensions[axis], members[axis][index], float(change / whole)))
        f, a = np.take(f, [index], axis), np.take(a, [index], axis)
        members[axis] = [members[axis][index]]
        left.remove(axis)
    return causes


def _best(f: npt.NDArray[np.float64], a: npt.NDArray[np.float64], axes: list[int]) -> tuple[int, int, float] | None:
    change = a.sum() - f.sum()
    if abs(change) < 1e-9:
        return None
    best: tuple[float, int, int, float] | None = None
    for axis in axes:
        others = tuple(i for i in range(f.ndim) if i != axis)
        by_expected, by_actual = f.sum(others), a.sum(others)
        if len(by_expected) < 2:
            continue  # the only member explains nothing by being the only one
        explains = (by_actual - by_expected) / change
        gain = explains - by_expected / max(float(by_expected.sum()), 1e-9)
        index = int(np.argmax(gain))
        if explains[index] < MUST_EXPLAIN or gain[index] <= MUST_EXCEED_SHARE:
            continue
        if best is None or gain[index] > best[0]:
            best = (float(gain[index]), axis, index, float(by_actual[index] - by_expected[index]))
    return None if best is None else best[1:]


def _cubes(
    dimensions: Sequence[str], expected: Mapping[Leaf, float], actual: Mapping[Leaf, float]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], list[list[str]]]:
    leaves = sorted({*expected, *actual})
    members = [sorted({leaf[axis] for leaf in leaves}) for axis in range(len(dimensions))]
    place = [{member: i for i, member in enumerate(names)} for names in members]
    f = np.zeros([len(names) for names in members])
    a = np.zeros_like(f)
    for cube, costs in ((f, expected), (a, actual)):
        for leaf, cost in costs.items():
            cube[tuple(place[axis][member] for axis, member in enumerate(leaf))] += cost
    return f, a, members
