"""The colours of the style sheet: can be told apart by everybody, and read on what they stand on."""

import re
from itertools import combinations
from math import dist

import pytest
from helpers.checkout import TOP

Colour = tuple[float, float, float]

TOKENS = (TOP / "dashboard/src/styles/tokens.css").read_text(encoding="utf-8")
LIGHT, SYSTEM_DARK, CHOSEN_DARK = (
    dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", block))
    for block in re.findall(r"\{([^{}]*--page[^{}]*)\}", TOKENS)
)
THEMES = pytest.mark.parametrize("theme", [LIGHT, CHOSEN_DARK], ids=["light", "dark"])
CATEGORIES = [f"c{number}" for number in range(1, 8)]

# Machado, Oliveira and Fernandes 2009, severity 1: what linear RGB becomes to somebody without one kind of cone.
SIGHT: dict[str, tuple[Colour, Colour, Colour]] = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def linear(colour: str) -> Colour:
    """The light a colour sends out."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return tuple(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue))  # type: ignore[return-value]


def seen(colour: str, sight: str) -> Colour:
    """The same, to somebody with this sight."""
    light = linear(colour)
    return tuple(min(1, max(0, sum(m * c for m, c in zip(row, light, strict=True)))) for row in SIGHT[sight])  # type: ignore[return-value]


def oklab(light: Colour) -> Colour:
    """Where it lies in a space in which distance is difference to the eye (Ottosson 2020)."""
    r, g, b = light
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    middle = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short,
    )


def contrast(one: str, other: str) -> float:
    """WCAG 2's ratio."""
    high, low = sorted((0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in map(linear, (one, other))), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_dark_is_dark_however_it_was_chosen() -> None:
    """Two blocks of the style sheet say the same."""
    assert SYSTEM_DARK == CHOSEN_DARK
    assert SYSTEM_DARK.keys() == LIGHT.keys()


@THEMES
@pytest.mark.parametrize("sight", SIGHT)
def test_categories_can_be_told_apart(theme: dict[str, str], sight: str) -> None:
    """By everybody: with all cones or with two kinds of them."""
    distances = {
        (a, b): 100 * dist(oklab(seen(theme[a], sight)), oklab(seen(theme[b], sight)))
        for a, b in combinations(CATEGORIES, 2)
    }
    nearest = min(distances, key=distances.__getitem__)

    assert distances[nearest] >= 11, (nearest, distances[nearest])


@THEMES
def test_categories_stand_out_from_the_surface(theme: dict[str, str]) -> None:
    """3:1, as WCAG asks of graphics."""
    assert {
        name: contrast(theme[name], theme["surface"])
        for name in CATEGORIES
        if contrast(theme[name], theme["surface"]) < 3
    } == {}


@THEMES
@pytest.mark.parametrize("ground", ["page", "surface", "raised"])
@pytest.mark.parametrize("ink", ["ink", "mute", "accent", "up", "down", "warn"])
def test_text_can_be_read(theme: dict[str, str], ink: str, ground: str) -> None:
    """4.5:1, as WCAG asks of text, on whatever it stands on."""
    assert contrast(theme[ink], theme[ground]) >= 4.5
