"""Plain words for stages, reasons and quantities, so that the page speaks to people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StageWords:
    """How a stage is named on the page.

    Attributes:
        title: short heading.
        question: what the stage asks of a candidate.
        place: how a sentence names the stage ("reached the stability check").
    """

    title: str
    question: str
    place: str


@dataclass(frozen=True)
class Quantity:
    """A number that a candidate may have.

    Attributes:
        name: the name used in `targets` and `asked`, such as "band_gap".
        title: label of the axis or the column.
        unit: its unit; empty for a ratio.
        digits: digits after the point that are worth showing.
    """

    name: str
    title: str
    unit: str
    digits: int


STAGES = {
    "read": StageWords("Read", "Can the text be read as a crystal?", "reading"),
    "validity": StageWords(
        "Validity", "Is it the crystal that its text declares, with possible distances?", "validity"
    ),
    "novelty": StageWords(
        "Novelty", "Is it new, within this campaign and against the known crystals?", "novelty"
    ),
    "stability": StageWords(
        "Stability",
        "How far above the convex hull is it after relaxation?",
        "stability",
    ),
    "novelty-relaxed": StageWords(
        "Novelty, relaxed", "Is it still new after relaxation?", "novelty after relaxation"
    ),
    "property": StageWords("Property", "How near is it to what was asked for?", "property"),
    "dft": StageWords("DFT", "What do first principles say of the best few?", "DFT"),
}

REASONS = {
    "empty": "no structure in the text",
    "truncated": "text ends too early",
    "syntax": "text is not proper CIF",
    "no-cell": "no unit cell in the text",
    "bad-cell": "impossible unit cell",
    "no-sites": "no atoms in the text",
    "bad-site": "impossible atom position",
    "bad-occupancy": "impossible occupancy",
    "bad-operation": "impossible symmetry operation",
    "unknown-space-group": "unknown space group",
    "unknown-element": "unknown element",
    "too-many-atoms": "too many atoms",
    "unfinished": "the model came to no end",
    "malformed": "the model's text is no crystal",
    "no-parent": "no further known crystal to start from",
    "no-arrangement": "no arrangement of the atoms was found",
    "raised": "the computation broke off",
    "timeout": "took too long",
    "timed-out": "took too long",
    "crashed": "the computation crashed",
    "killed": "the computation was killed",
    "out-of-memory": "not enough memory",
    "irreducible": "no reduced cell could be found",
    "disordered": "partly occupied sites",
    "wrong-composition": "atoms are not the declared formula",
    "multiplicity": "site multiplicities do not add up",
    "short-contact": "atoms too close",
    "volume": "volume per atom impossible",
    "space-group": "not the declared space group",
    "cell-metric": "cell does not fit its lattice system",
    "duplicate": "same as another candidate",
    "known": "already known",
    "above-hull": "too far above the hull",
    "element-outside-reference": "element missing from the reference",
    "exploded": "flew apart while relaxing",
    "collapsed": "collapsed while relaxing",
    "not-finite": "energy or forces were not finite",
    "not-converged": "relaxation did not settle",
    "off-target": "not near the target",
    "no-estimate": "no estimate",
    "outside-training": "outside what the model knows",
    "not-selected": "not selected: only the best are calculated",
    "above-control": "too far above a known crystal",
    "scf-not-converged": "the SCF did not settle",
    "steps-used-up": "relaxation used up its steps",
    "no-paw-set": "no PAW data for an element",
    "pseudopotential-missing": "no pseudopotential for an element",
    "atoms-too-close": "atoms too close",
    "bad-structure": "no structure that can be calculated",
    "engine-error": "the DFT program broke off",
    "walltime": "time ran out",
}

BAND_GAP = Quantity("band_gap", "Band gap", "eV", 2)
DENSITY = Quantity("density", "Density", "g/cm³", 2)
VOLUME = Quantity("volume_per_atom", "Volume per atom", "Å³", 2)
HULL = Quantity("energy_above_hull", "Energy above the hull", "eV/atom", 3)
QUANTITIES = {q.name: q for q in (BAND_GAP, DENSITY, VOLUME, HULL)}

MINUS = "−"


def stage_words(name: str) -> StageWords:
    """Return the words for a stage; a stage without an entry speaks with its own name."""
    plain = name.replace("-", " ").replace("_", " ")
    return STAGES.get(name, StageWords(plain.capitalize(), "", plain))


def reason_words(slug: str) -> str:
    """Return a reason in plain words; an unlisted slug is shown with its hyphens as spaces."""
    return REASONS.get(slug, slug.replace("-", " ").replace("_", " ") or "no reason given")


def quantity(name: str) -> Quantity:
    """Return how to show a quantity; an unlisted one is shown by name, with three digits."""
    return QUANTITIES.get(name, Quantity(name, name.replace("_", " ").capitalize(), "", 3))


def number(value: float, digits: int) -> str:
    """Return a number for people: fixed digits, thousands apart, a true minus sign, no -0."""
    text = f"{abs(value):,.{digits}f}".replace(",", "\u202f")
    return MINUS + text if value < 0 and round(value, digits) != 0 else text


def with_unit(value: float, what: Quantity) -> str:
    """Return a number with its unit, kept on one line."""
    text = number(value, what.digits)
    return f"{text} {what.unit}" if what.unit else text


def count(n: int, one: str, many: str | None = None) -> str:
    """Return "1 candidate", "12 000 candidates"."""
    word = one if n == 1 else (many or one + "s")
    return f"{number(n, 0)} {word}"


def duration(seconds: float) -> str:
    """Return a duration for people: "0.42 s", "12 s", "4 min 10 s", "3 h 05 min"."""
    if seconds < 0.001:
        return "under 1 ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def joined(parts: list[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    if len(parts) < 2:
        return "".join(parts)
    return ", ".join(parts[:-1]) + " and " + parts[-1]


# Stored keys carry their unit; of two suffixes that fit, the longer one stands first.
UNIT_SUFFIXES = {
    "_eV_per_atom": "eV/atom",
    "_eV_per_A": "eV/Å",
    "_A3_per_atom": "Å³/atom",
    "_g_cm3": "g/cm³",
    "_A3": "Å³",
    "_GPa": "GPa",
    "_eV": "eV",
    "_A": "Å",
    "_deg": "°",
    "_mb": "MiB",
    "_gb": "GiB",
    "_s": "s",
    "_K": "K",
}


def label(key: str) -> str:
    """Return a stored key for people: "peak_memory_mb" becomes "peak memory (MiB)"."""
    for suffix, unit in UNIT_SUFFIXES.items():
        if key.endswith(suffix):
            return f"{key.removesuffix(suffix).replace('_', ' ')} ({unit})"
    return key.replace("_", " ")
