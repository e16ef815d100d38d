"""The contribution of each step to the gain of the last variant over the first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from rsae_evals.results import GainPart

__all__ = ["gain_parts"]

#: Variants of an upgrade in the order in which each adds one step to the one before.
STEPS = (("control", "training"), ("threshold_only", "thresholds"), ("rsae", "the rational"))

#: The ending of a variant's name for a refinement, and the name of that step.
ADDED = (("refined", "refinement"), ("pursued", "pursuit"))

_METRICS = ("mse", "delta_ce")


def gain_parts(
    values: Mapping[str, Mapping[str, float | None]],
    made_of: Sequence[tuple[str, str]] | None = None,
) -> tuple[GainPart, ...]:
    """Attribute the change from the first variant to the last to the steps between them.

    The variants of an upgrade are a chain: teacher, control (training), threshold_only
        (thresholds),
    rsae (the rational), each followed by its refined and pursued copies (``control_refined``, …).
    A step whose variant was not compared is counted with the next.

    Args:
        values: Variant → metric → value, in the order of the comparison.
        made_of: Pairs (what was added, variant) from the first variant to the last; None infers
            them from the names.

    Returns:
        One part per metric and step; none where there are fewer than two steps or no gain.
    """
    steps = _chain(list(values)) if made_of is None else [("", next(iter(values))), *made_of]
    return tuple(part for metric in _METRICS for part in _parts(metric, steps, values))


def _chain(names: Sequence[str]) -> list[tuple[str, str]]:
    """(what was added, variant) from first to last, the first variant's part being empty."""
    first, last = names[0], names[-1]
    base = _base(last) or first
    order = [name for name, _ in STEPS]
    wanted = STEPS[: order.index(base) + 1] if base in order else ()
    found, waiting = [("", first)], []
    for name, part in wanted:
        waiting.append(part)
        if name in names and name != first:
            found.append((_and(waiting), name))
            waiting = []
    for ending, part in ADDED:
        found += [(part, n) for n in names if n.endswith(ending) and (_base(n) or first) == base]
    if last not in (name for _, name in found):
        return []
    return found[: [name for _, name in found].index(last) + 1]


def _base(name: str) -> str:
    endings = "|".join(ending for ending, _ in ADDED)
    return re.sub(rf"[\s_+-]*({endings})$", "", name)


def _parts(
    metric: str,
    steps: Sequence[tuple[str, str]],
    values: Mapping[str, Mapping[str, float | None]],
) -> Iterable[GainPart]:
    known = [(part, name, values[name].get(metric)) for part, name in steps]
    if len(known) < 3 or any(value is None for *_, value in known):
        return
    chain = [(part, name, float(value)) for part, name, value in known if value is not None]
    whole = chain[-1][2] - chain[0][2]
    if whole >= 0:  # both metrics are better where they are lower: there is no gain to share out
        return
    for (_, before, old), (part, name, new) in pairwise(chain):
        yield GainPart(metric, part, before, name, new - old, (new - old) / whole)


def _and(parts: Sequence[str]) -> str:
    return " and ".join(parts)
