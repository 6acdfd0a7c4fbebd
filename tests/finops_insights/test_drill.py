"""Which slice explains a change."""

import numpy as np
import pytest

from finops_insights.drill import Leaf, drill

DIMENSIONS = ("project", "service", "sku")


def cube(seed: int) -> dict[Leaf, float]:
    """A random account: eight projects, five services, four SKUs, half of the combinations in use."""
    draw = np.random.default_rng(seed)
    return {
        (f"p{p}", f"s{s}", f"k{k}"): float(draw.lognormal(3, 1))
        for p in range(8) for s in range(5) for k in range(4) if draw.random() < 0.5
    }  # fmt: skip


def with_change(expected: dict[Leaf, float], slice_: dict[str, str], factor: float, seed: int) -> dict[Leaf, float]:
    """The next day: a little noise, and one slice at `factor` times its cost."""
    draw = np.random.default_rng(seed)
    return {
        leaf: cost
        * (1 + draw.normal(0, 0.02))
        * (factor if all(leaf[DIMENSIONS.index(name)] == member for name, member in slice_.items()) else 1)
        for leaf, cost in expected.items()
    }


@pytest.mark.parametrize(("depth", "least"), [(1, 0.95), (2, 0.85)])
def test_the_slice_that_changed_is_named(depth: int, least: float) -> None:
    """On a hundred random accounts; a slice of two dimensions is found within the first."""
    right = 0
    for seed in range(100):
        expected = cube(seed)
        some = sorted(expected)[seed % len(expected)]
        slice_ = dict(list(zip(DIMENSIONS, some, strict=True))[:depth])
        causes = drill(DIMENSIONS, expected, with_change(expected, slice_, 4.0, seed))
        right += {cause.dimension: cause.member for cause in causes}.items() >= slice_.items()

    assert right >= least * 100


def test_what_is_spread_has_no_cause() -> None:
    """Everything is half as dear again: no member explains that more than its size does."""
    expected = cube(1)

    assert drill(DIMENSIONS, expected, {leaf: 1.5 * cost for leaf, cost in expected.items()}) == []


def test_something_new_is_its_own_cause() -> None:
    """A SKU nobody bought before explains all of it; so does one that is gone."""
    expected: dict[Leaf, float] = {("p", "s", "old"): 100.0, ("p", "s", "other"): 50.0}
    [new] = drill(DIMENSIONS, expected, expected | {("p", "s", "new"): 300.0})
    [gone] = drill(DIMENSIONS, expected, {("p", "s", "other"): 50.0})

    assert (new.dimension, new.member, round(new.share, 9)) == ("sku", "new", 1)
    assert (gone.dimension, gone.member, round(gone.share, 9)) == ("sku", "old", 1)


def test_nothing_changed_needs_no_cause() -> None:
    """Zero divided by zero is no explanation."""
    expected = cube(2)

    assert drill(DIMENSIONS, expected, expected) == []
