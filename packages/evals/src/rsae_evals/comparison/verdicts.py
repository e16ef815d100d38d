"""From intervals to words: better, worse, cannot tell, not comparable."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

from rsae_evals.metrics.catalogue import METRICS
from rsae_evals.results import Comparison, Difference, FeatureIdentity, Interval, Verdict

__all__ = ["L0_TOLERANCE", "conclude", "identity_loss", "judge", "known_loss", "matched"]

#: Strict L0 of two variants within this share of each other counts as equal.
L0_TOLERANCE = 0.01

#: What an overall conclusion rests on, where measured.
HEADLINES = ("mse", "delta_ce", "sae_top_5_test_accuracy", "f1", "mcc")

#: Features count as kept where the median firing Jaccard is at least this, …
KEPT_MEDIAN = 0.9

#: … and nine of ten features have at least this: most of their firings are where they were.
KEPT_TENTH = 0.5


def matched(l0: float, baseline_l0: float) -> bool:
    """Whether two strict L0s are within 1 % of the baseline's."""
    return abs(l0 - baseline_l0) <= L0_TOLERANCE * abs(baseline_l0)


def judge(
    metric: str,
    pair: tuple[str, str],
    difference: Interval,
    values: tuple[float, float],
    l0: tuple[float, float],
    distance: Interval | None = None,
) -> Difference:
    """The verdict on one metric of ``pair = (baseline, variant)``, by its interval.

    More active features alone improve reconstruction. So where strict L0 differs by more than 1 %,
    the verdict can be "better" only for the sparser variant and "worse" only for the denser one;
    otherwise it is "not comparable".

    Args:
        metric: A name of `METRICS`.
        pair: Names of baseline and variant.
        difference: The value of the variant less that of the baseline.
        values: The metric of baseline and variant.
        l0: Strict L0 of baseline and variant.
        distance: For metrics that should be 1, the interval of the difference of |value - 1|.
    """
    verdict, reason = _by_interval(metric, distance or difference, values)
    if metric == "l0":
        if matched(l0[1], l0[0]):
            verdict, reason = Verdict.MATCHED, "within 1 %"
    elif not matched(l0[1], l0[0]) and METRICS[metric].better != "none":
        denser = l0[1] > l0[0]
        dominated = {Verdict.WORSE: denser, Verdict.BETTER: not denser}.get(verdict, False)
        if not dominated:
            verdict = Verdict.NOT_COMPARABLE
            reason = f"strict L0 is {l0[1]:.4g} against {l0[0]:.4g}"
    baseline, variant = pair
    low, high = _finite(difference.low), _finite(difference.high)
    return Difference(
        metric, baseline, variant, _finite(difference.estimate), low, high, verdict, reason
    )


def _by_interval(
    metric: str, interval: Interval, values: tuple[float, float]
) -> tuple[Verdict, str]:
    better = METRICS[metric].better
    if interval.estimate == 0 and not interval.low < interval.high:
        return Verdict.EQUAL, ""
    if better == "none":
        return Verdict.CANNOT_TELL, "neither direction of it is better"
    if math.isfinite(values[0]) and not math.isfinite(values[1]):
        return Verdict.WORSE, "undefined for this variant, defined for the baseline"
    if not math.isfinite(interval.low):
        return Verdict.CANNOT_TELL, "no interval"
    if interval.low <= 0 <= interval.high:
        return Verdict.CANNOT_TELL, ""
    up = interval.low > 0
    return (Verdict.BETTER if up == (better == "higher") else Verdict.WORSE), ""


def conclude(
    pair: tuple[str, str], differences: Sequence[Difference], losses: Sequence[str] = ()
) -> Difference:
    """One verdict for a pair from its headline metrics: mse, ΔCE, probing with five features, F1.

    Better (worse) needs one of them better (worse) and none worse (better); some of each is a
    trade-off, and so is better with a loss.

    Args:
        pair: names of baseline and variant.
        differences: The differences of all pairs.
        losses: What the variant lost beside the headline metrics, as clauses (see
            `identity_loss` and `known_loss`).
    """
    of_pair = {d.metric: d for d in differences if (d.baseline, d.variant) == pair}
    headlines = [of_pair[name] for name in HEADLINES if name in of_pair]
    by_verdict: dict[Verdict, list[str]] = {verdict: [] for verdict in Verdict}
    for found in headlines:
        by_verdict[found.verdict].append(METRICS[found.metric].label)
    better, worse = by_verdict[Verdict.BETTER], by_verdict[Verdict.WORSE]
    refused = [d for d in headlines if d.verdict is Verdict.NOT_COMPARABLE]
    if worse and not better:
        verdict, reason = Verdict.WORSE, f"worse in {_and(worse)}"
    elif refused:
        verdict, reason = Verdict.NOT_COMPARABLE, refused[0].reason
    elif better and (worse or losses):
        against = [f"worse in {_and(worse)}"] if worse else []
        verdict = Verdict.TRADE_OFF
        reason = f"{_gain(better, of_pair)}, but {_and([*against, *losses])}"
    elif better:
        verdict, reason = Verdict.BETTER, _gain(better, of_pair)
    elif headlines and len(by_verdict[Verdict.EQUAL]) == len(headlines):
        verdict, reason = Verdict.EQUAL, f"equal in {_and(by_verdict[Verdict.EQUAL])}"
    else:
        verdict, reason = Verdict.CANNOT_TELL, "no headline metric differs beyond its interval"
    return Difference("overall", pair[0], pair[1], None, None, None, verdict, reason)


def _gain(better: Sequence[str], of_pair: Mapping[str, Difference]) -> str:
    l0 = of_pair.get("l0")
    sparser = l0 is not None and l0.verdict is Verdict.BETTER
    return f"{'sparser and ' * sparser}better in {_and(better)}"


def identity_loss(identity: FeatureIdentity | None) -> list[str]:
    """A clause where a variant no longer has the features of the SAE it was made from.

    Features are kept where the median firing Jaccard is at least 0.9 and its 10th percentile at
    least 1/2. Nothing is said of SAEs that were not made from one another.
    """
    if identity is None or identity.matched_by != "index":
        return []
    jaccard = identity.figures["firing_jaccard"]
    if jaccard.median is None or jaccard.tenth_percentile is None:
        return []
    if jaccard.median >= KEPT_MEDIAN and jaccard.tenth_percentile >= KEPT_TENTH:
        return []
    return [
        f"its features fire on other tokens than those of the SAE {identity.reference} "
        f"(firing Jaccard: median {jaccard.median:.2f}, "
        f"10th percentile {jaccard.tenth_percentile:.2f})"
    ]


def known_loss(pair: tuple[str, str], known: Comparison | None) -> list[str]:
    """A clause where a variant recovers known features worse than its baseline."""
    if known is None:
        return []
    worse = [
        METRICS[d.metric].label
        for d in known.differences
        if (d.baseline, d.variant) == pair
        and d.metric in ("f1", "mcc")
        and d.value is not None
        and d.value < 0
        and (d.verdict is Verdict.WORSE or (d.high is not None and d.high < 0))
    ]
    return [f"worse in {_and(worse)} of known features"] if worse else []


def l0_warnings(l0: Mapping[str, float]) -> list[str]:
    """One sentence where strict L0s of variants differ by more than 1 %.

    It names those that differ from the first, or else the two that differ most.
    """
    if all(matched(b, a) for a, b in combinations(sorted(l0.values()), 2)):
        return []
    reference = next(iter(l0))
    others = [name for name, value in l0.items() if not matched(value, l0[reference])]
    if not others:
        reference, others = min(l0, key=l0.__getitem__), [max(l0, key=l0.__getitem__)]
    said = _and([f"{name} ({l0[name]:.4g})" for name in others])
    return [
        f"strict L0 of {said} differs by more than 1 % from that of {reference} "
        f"({l0[reference]:.4g}), so differences between them may come from sparsity; match them "
        "or compare whole Pareto curves"
    ]


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
