"""Known crystals for the tests of the CIF dialects."""

from __future__ import annotations

from bondwright.crystals.crystal import Crystal, Site

RIGHT = (90.0, 90.0, 90.0)

RUTILE = Crystal(
    136,
    (4.59983732, 4.59983732, 2.95921356),
    RIGHT,
    (
        Site("Ti", 2, "b", (0.0, 0.0, 0.5)),
        Site("O", 4, "g", (0.80432131, 0.19567869, 0.0)),
    ),
)
"""mp-2657; the oxygen is not the point that the text shows."""

ANATASE = Crystal(
    141,
    (3.78253968, 3.78253968, 9.61502157),
    RIGHT,
    (Site("Ti", 4, "a", (0.0, 0.0, 0.0)), Site("O", 8, "e", (0.0, 0.0, 0.20715212))),
)
"""mp-390."""

ROCK_SALT = Crystal(
    225,
    (5.64, 5.64, 5.64),
    RIGHT,
    (Site("Cl", 4, "b", (0.5, 0.5, 0.5)), Site("Na", 4, "a", (0.0, 0.0, 0.0))),
)

MAGNESIUM = Crystal(
    194, (3.2, 3.2, 5.2), (90.0, 90.0, 120.0), (Site("Mg", 2, "c", (1 / 3, 2 / 3, 0.25)),)
)

TRICLINIC = Crystal(
    2,
    (5.12345, 6.23456, 7.34567),
    (80.12345, 95.2, 101.3),
    (Site("Ca", 2, "i", (0.11111, 0.22222, 0.33333)), Site("O", 2, "i", (0.6, 0.7, 0.8))),
)

CRYSTALS = (RUTILE, ANATASE, ROCK_SALT, MAGNESIUM, TRICLINIC)
