"""The question a comparison asks, and the sentence that answers it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rsae_evals.comparison.verdicts import L0_TOLERANCE, matched
from rsae_evals.metrics import METRICS
from rsae_evals.report.numbers import NARROW, number, percent
from rsae_evals.report.tables import Change
from rsae_evals.results import Comparison, Difference, Verdict

_LABELS = {
    "teacher": "teacher",
    "control": "fine-tuned teacher",
    "threshold_only": "threshold-only baseline",
    "rational": "trained rational",
    "rsae_init": "RSAE at initialisation",
    "rsae": "RSAE",
}


_STEPS = {
    "refined": "its activations refined on the features that fire; no weight changed",
    "pursued": "its active features chosen once more, each as often as before, and their "
    "activations refined; no weight changed",
}

_MEANINGS = {
    "teacher": "the SAE as it was trained.",
    "control": "the teacher, trained on with its own loss and the same tokens.",
    "threshold_only": "the teacher with its weights and thresholds trained on, without a rational; "
    "the gain beyond it is that of the rational.",
    "rational": "the teacher with a trained rational activation.",
    "rsae_init": "the RSAE before training, which computes what the teacher does.",
    "rsae": "the result.",
}


def variant_meaning(name: str) -> str:
    """What a variant of an upgrade or a refinement is, for the reader of a table; "" for others.

    >>> variant_meaning("control_refined")
    'the fine-tuned teacher, its activations refined on the features that fire; no weight changed.'
    >>> variant_meaning("mine")
    ''
    """
    base, _, step = name.rpartition("_")
    if step in _STEPS and (base or "teacher") in _LABELS:
        return f"the {_LABELS[base or 'teacher']}, {_STEPS[step]}."
    return _MEANINGS.get(name, "")


def variant_label(name: str) -> str:
    """The label of a variant in the report; variants of an upgrade have descriptive ones.

    >>> variant_label("control_refined"), variant_label("pursued"), variant_label("mine")
    ('fine-tuned teacher, refined', 'teacher, pursued', 'mine')
    """
    base, _, step = name.rpartition("_")
    if step in _STEPS and (base or "teacher") in _LABELS:
        return f"{_LABELS[base or 'teacher']}, {step}"
    return _LABELS.get(name, name)


def readable(comparison: Comparison, text: str, capital: bool = True) -> str:
    """A sentence with the names of an upgrade's variants spelled out, and a capital.

    A name that the user gave stays as it is, at the start too.
    """
    names = [
        variant.name
        for variant in comparison.variants
        if variant_label(variant.name) != variant.name
    ]
    given = tuple(
        f"{variant.name}:" for variant in comparison.variants if variant.name not in names
    )
    capital = capital and not text.startswith(given)
    if names:
        pattern = rf"\b({'|'.join(names)})\b"
        text = re.sub(pattern, lambda found: variant_label(found[0]), text)
    return text[:1].upper() + text[1:] if capital else text


@dataclass(frozen=True)
class Question:
    """Is ``subject`` better than ``baseline``?

    ``baseline`` is None where there is a single variant. ``shown`` are the variants that every
    plot draws.
    """

    subject: str
    baseline: str | None
    shown: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """The verdict (None where nothing was compared), the sentence that says it, and its figures."""

    verdict: Verdict | None
    sentence: str
    evidence: str


def question(comparison: Comparison) -> Question:
    """The last variant against the baseline that the comparison names.

    Where it names none, against the fine-tuned teacher, or the first variant if there is none.
    """
    *earlier, subject = (variant.name for variant in comparison.variants)
    if not earlier:
        return Question(subject, None, (subject,))
    baseline = comparison.baseline or ("control" if "control" in earlier else earlier[0])
    return Question(subject, baseline, tuple(dict.fromkeys((earlier[0], baseline, subject))))


def answer(comparison: Comparison) -> Answer:
    """The comparison in a sentence, and the figures that sentence rests on."""
    asked = question(comparison)
    if asked.baseline is None:
        return _description(comparison)
    overall = comparison.difference("overall", asked.subject, asked.baseline)
    subject, baseline = _the(asked.subject), _the(asked.baseline)
    reason = readable(comparison, overall.reason.rstrip("."), capital=False)
    sparser = _sparser(comparison, asked)
    sentence = {
        Verdict.BETTER: f"Yes: {subject} is better and sparser than {baseline}."
        if sparser
        else f"Yes: {subject} is better than {baseline} at the same sparsity.",
        Verdict.WORSE: f"No: {subject} is worse than {baseline}.",
        Verdict.TRADE_OFF: f"Yes and no: against {baseline}, {subject} is {reason}.",
        Verdict.EQUAL: f"These data show no difference at all: {subject} equals {baseline}.",
        Verdict.NOT_COMPARABLE: f"No verdict: {subject} and {baseline} are not comparable, for "
        f"{reason}.",
    }.get(overall.verdict, f"These data cannot tell {subject} from {baseline}.")
    return Answer(overall.verdict, sentence, _evidence(comparison, asked, overall))


def _sparser(comparison: Comparison, asked: Question) -> bool:
    """Whether the subject's strict L0 is lower beyond what counts as matched."""
    assert asked.baseline is not None
    after, before = (
        comparison.variant(n).metrics.get("l0") for n in (asked.subject, asked.baseline)
    )
    return after is not None and before is not None and after < (1 - L0_TOLERANCE) * before


def _description(comparison: Comparison) -> Answer:
    """The answer for a single variant."""
    (variant,) = comparison.variants
    explained, cost = variant.metrics.get("explained_variance"), variant.metrics.get("delta_ce")
    share = "an undefined share" if explained is None else percent(explained, 3).lstrip("+")
    sentence = (
        f"{variant_label(variant.name)} explains {share} of the variance with "
        f"{number(variant.metrics.get('l0'), 3)} features per token."
    )
    evidence = f"Measured on {held_out(comparison)}."
    if cost is not None:
        evidence += f" Spliced into the language model it costs {number(cost, 3)} nats per token."
    return Answer(None, sentence, evidence)


def _evidence(comparison: Comparison, asked: Question, overall: Difference) -> str:
    reason = readable(comparison, overall.reason.rstrip("."))
    unmatched = overall.verdict is Verdict.NOT_COMPARABLE
    told = unmatched or overall.verdict is Verdict.TRADE_OFF  # in the sentence itself
    parts = [f"{reason}."] * bool(reason and not told)
    for metric in ("mse", "delta_ce"):
        parts += [
            _figures(comparison, found)
            for found in comparison.differences
            if (found.metric, found.variant, found.baseline)
            == (metric, asked.subject, asked.baseline)
            and found.value is not None
        ]
    parts.append(f"{_sparsity(comparison, asked, unmatched)} {held_out(comparison)}.")
    more = (_made_of, _features, _beside, _weak)
    return " ".join(parts + [said for say in more for said in say(comparison, asked)])


def _sparsity(comparison: Comparison, asked: Question, told: bool) -> str:
    """Both strict L0s, unless the sentence has told them, and where they were measured."""
    assert asked.baseline is not None
    if told:
        return "Measured on"
    after, before = (
        comparison.variant(n).metrics.get("l0") for n in (asked.subject, asked.baseline)
    )
    matched = " (matched)" if _is_matched(after, before) else ""
    return f"Strict L0 {number(after)} against {number(before)}{matched}, on"


def _is_matched(after: float | None, before: float | None) -> bool:
    return after is not None and before is not None and matched(after, before)


def _made_of(comparison: Comparison, asked: Question) -> list[str]:
    """The shares of training, thresholds, the rational and refinement in the gain."""
    said = []
    first = _the(comparison.variants[0].name)
    for metric in dict.fromkeys(part.metric for part in comparison.gain):
        shares = ", ".join(
            f"{part.part} {percent(part.share).lstrip('+')}"
            for part in comparison.gain
            if part.metric == metric
        )
        said.append(f"The gain in {METRICS[metric].label} over {first} is made of: {shares}.")
    return said


def _features(comparison: Comparison, asked: Question) -> list[str]:
    """Whether the features are still the ones of the SAE that the subject was made from."""
    identity = comparison.variant(asked.subject).identity
    if identity is None or identity.matched_by != "index":
        return []
    jaccard = identity.figures["firing_jaccard"]
    assert asked.baseline is not None
    overall = comparison.difference("overall", asked.subject, asked.baseline)
    if jaccard.median is None or "firing Jaccard" in overall.reason:  # told in the sentence
        return []
    return [
        f"Its features and those of {_the(identity.reference)} have a median firing Jaccard of "
        f"{number(jaccard.median, 2)}; {percent(jaccard.share_above_half).lstrip('+')} are above ½."
    ]


def _beside(comparison: Comparison, asked: Question) -> list[str]:
    """The verdict against trained thresholds alone, which shows the gain of the rational itself."""
    other = "threshold_only"
    if asked.baseline == other or other not in (
        variant.name for variant in comparison.variants[:-1]
    ):
        return []
    overall = comparison.difference("overall", asked.subject, other)
    after, before = (comparison.variant(n).metrics.get("mse") for n in (asked.subject, other))
    share = "" if after is None or not before else f" (MSE {percent(after / before - 1)})"
    return [f"Against {_the(other)}: {overall.verdict.value}{share}."]


def _weak(comparison: Comparison, asked: Question) -> list[str]:
    """Whether fine-tuning made the baseline worse than the teacher, which biases the comparison."""
    first = comparison.variants[0].name
    if asked.baseline != "control" or first == "control":
        return []
    after, before = (comparison.variant(name).metrics.get("mse") for name in ("control", first))
    if after is None or not before or after <= before:
        return []
    raised = percent(after / before - 1).lstrip("+")
    return [
        f"This baseline is weak and biases the comparison: fine-tuning raised its MSE by {raised}."
    ]


def scope(comparison: Comparison) -> str:
    """What the intervals cover."""
    seeds = max(
        len(values) for variant in comparison.variants for values in variant.per_seed.values()
    )
    documents = comparison.tokens.get("n_documents")
    if "units" in comparison.tokens:
        units = str(comparison.tokens["units"])
    elif documents is None:
        units = "sequences, since no document is known"
    else:
        units = f"{documents} document{'s' * (documents != 1)}"
    if seeds == 1:
        return f"Intervals are over {units}; one training seed says nothing of another."
    return f"Intervals are over {units}, crossed with {seeds} training seeds."


def _figures(comparison: Comparison, found: Difference) -> str:
    """Both values of one metric, their relative difference, and its interval."""
    after = comparison.variant(found.variant).metrics[found.metric]
    before = comparison.variant(found.baseline).metrics[found.metric]
    text = f"{METRICS[found.metric].label} {number(after)} against {number(before)}"
    if found.value is not None and before:
        text += f", {percent(found.value / before)}"
    interval = Change(found.value, found.low, found.high).interval
    if interval:
        text += f" (difference {interval} at {100 * comparison.level:g}{NARROW}%)"
    return f"{text}."


def _the(name: str) -> str:
    """The variant in a sentence: "the refined teacher" where a column says "teacher, refined"."""
    label, _, step = variant_label(name).partition(", ")
    if name in _LABELS or variant_label(name) != name:
        return f"the {step} {label}" if step else f"the {label}"
    return name


def held_out(comparison: Comparison) -> str:
    """How many tokens it was measured on, in words."""
    count = comparison.tokens.get("n_tokens")
    if count is None:
        return "an unstated number of tokens"
    sample = comparison.tokens.get("sample", "held-out tokens")
    return f"{count:,} {sample}".replace(",", NARROW)


def predicted(comparison: Comparison) -> str:
    """How many predictions the metrics of the language model were measured on, in words."""
    count = comparison.tokens.get("n_tokens_downstream")
    if count is None:
        return ""
    sequences = comparison.tokens.get("n_sequences_downstream")
    of = f" of {sequences} sequences" if sequences else ""
    return f"{count:,} predicted tokens{of}".replace(",", NARROW)
