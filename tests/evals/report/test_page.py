"""The HTML page, Markdown and JSON as text: complete, escaped, and sufficient to themselves."""

import base64
import contextlib
import hashlib
import io
import json
import re
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rsae.errors import CorruptFileError, RsaeError
from rsae.terminal import Console
from rsae_evals.report import html, markdown, read, show, show_probing, write
from rsae_evals.results import Verdict

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><script>alert(2)</script>",
    "</svg><iframe src=//evil.example>",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "]]>",
    "&lt;b&gt;",
    "javascript:alert(3)",
    "\u202eright-to-left",
    "a|b`c*d_e",
    "\n\n# heading",
    "\x00",
]
VOID = {"meta", "link", "br", "hr", "img", "input", "path", "use", "rect"}


class Outline(HTMLParser):
    """Elements in document order, their attributes, and whether they nest."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.misnested: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.misnested.append(tag)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page(comparison) -> str:
    return html(comparison)


@pytest.fixture(scope="module")
def outline(page) -> Outline:
    return Outline(page)


def test_elements_nest_and_ids_are_unique(outline):
    assert not outline.misnested
    assert not outline.open
    ids = [a["id"] for _, a in outline.elements if "id" in a]
    assert len(ids) == len(set(ids))


def test_links_and_labels_point_at_something(outline):
    ids = {a["id"] for _, a in outline.elements if "id" in a}
    targets = [a["href"][1:] for a in outline.named("a")]
    labels = [n for _, a in outline.elements for n in (a.get("aria-labelledby") or "").split()]
    assert ids.issuperset(targets)
    assert ids.issuperset(labels)


def test_nothing_is_fetched(page, outline):
    for _, attributes in outline.elements:
        for name in ("src", "srcset", "data", "action", "poster"):
            assert name not in attributes
        for name in ("href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:,"))
    assert not re.search(r"@import|url\((?!#)|fetch\(|XMLHttpRequest|WebSocket", page)


def test_the_policy_allows_the_one_script_and_no_request(page, outline):
    (policy,) = [m["content"] for m in outline.named("meta") if "http-equiv" in m]
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_tables_have_captions_and_headings_have_a_scope(outline, page):
    assert len(outline.named("table")) == page.count("<caption>") > 5
    assert all(a.get("scope") in ("col", "row") for a in outline.named("th"))


def test_drawings_are_named_and_described_and_coloured_by_the_page(page):
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(drawings) == 7
    for drawing in drawings:
        assert 'role="img"' in drawing
        assert "<title" in drawing
        assert "<desc" in drawing
        assert "var(--" in drawing
        assert not re.search(r"#[0-9a-fA-F]{6}\b", drawing)


def test_landmarks(outline):
    tags = [tag for tag, _ in outline.elements]
    assert tags.count("main") == tags.count("h1") == tags.count("header") == 1
    assert "nav" in tags
    assert outline.named("html")[0]["lang"] == "en"


def test_every_variant_metric_and_fact_is_on_the_page(page, comparison):
    assert "−1.55 to −1.27" in page
    assert comparison.tokens["sha256"] in page
    assert "rsae upgrade demo:relu --out runs/relu --seed 0" in page


def test_the_same_comparison_makes_the_same_page(comparison, page):
    assert html(comparison) == page


@pytest.fixture
def undrawn():
    """Leave out the drawings, half a second each page, where they say nothing of the test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rsae_evals.report.page.plots", lambda *_: [])
        yield


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("verdict", list(Verdict))
def test_each_verdict_is_said_in_words(make_comparison, verdict):
    assert f"</span> {verdict.value}</span>" in html(make_comparison(verdict=verdict))


def test_hostile_text_stays_text(make_comparison):
    made = make_comparison(
        names=("teacher", '<img src=x onerror="alert(4)">'),
        words=HOSTILE + ["calm"] * 6,
        warnings=tuple(HOSTILE),
        undefined={text: text for text in HOSTILE},
        provenance={"host": HOSTILE[0], "hook_name": HOSTILE[1], "notes": dict(enumerate(HOSTILE))},
    )
    outline = Outline(html(made))
    assert len(outline.named("script")) == 1
    assert not outline.named("img")
    assert not outline.named("iframe")
    assert not any(name.startswith("on") for _, a in outline.elements for name in a)
    assert not outline.misnested


@pytest.mark.usefixtures("undrawn")  # no word of a passage stands in a drawing
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=20), min_size=6, max_size=10))
def test_any_text_leaves_the_page_whole(make_comparison, words):
    made = make_comparison(names=("teacher", "rsae"), words=words, warnings=tuple(words))
    page = Outline(html(made))
    assert not page.misnested
    assert len(page.named("script")) == 1
    assert "\n" not in markdown(made).splitlines()[0]


def test_markdown_tables_keep_their_columns(make_comparison):
    lines = markdown(make_comparison(("a|b", "c`d"), warnings=("x | y\n# z",))).splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert rows
    bare = [re.sub(r"\\.", "", row) for row in rows]
    assert len({row.count("|") for row in bare[:3]}) == 1
    assert not [line for line in lines if line.startswith("# z")]


def test_a_long_page_stays_under_three_megabytes(make_comparison):
    page = html(make_comparison(words=["word", "und", "слово", "字"] * 16))
    assert len(page.encode()) < 3_000_000


def test_a_report_reads_back_equal(comparison, tmp_path):
    folder = write(comparison, tmp_path / "new" / "report")
    assert sorted(p.name for p in folder.iterdir()) == ["report.html", "report.json", "report.md"]
    assert read(folder).to_dict() == comparison.to_dict()
    assert html(read(folder / "report.json")) == (folder / "report.html").read_text()


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"schema": 99}', '{"schema": 1}', "null"])
def test_a_damaged_report_is_one_line(tmp_path, content):
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(CorruptFileError) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_report_is_one_line(tmp_path):
    with pytest.raises(RsaeError, match=r"report\.json"):
        read(tmp_path)


def test_json_is_standard(comparison, tmp_path):
    text = (write(comparison, tmp_path) / "report.json").read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


NAMES = [
    *HOSTILE,
    "\x1b[2J",
    "\x1b]0;title\x07",
    "x" * 5000,
    "cost$x^2$",
    "$\\frac{$",
    "[/x]",
    "",
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:12]))
@pytest.mark.filterwarnings("error")
def test_a_variant_of_any_name_is_shown(make_comparison, tmp_path, name):
    """Its name is text in every medium: no formula, no markup, nothing that a terminal obeys."""
    made = make_comparison((name, "b"), warnings=(name,), words=[name, "calm"] * 6)
    screen = Console(file=io.StringIO(), width=100)
    show(made, screen)
    pages = [(write(made, tmp_path) / f"report.{kind}").read_text() for kind in ("html", "md")]
    for text in (*pages, screen.file.getvalue()):
        obeyed = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs")} - {"\n"}
        assert not obeyed
        assert len(text) < 5e6
    assert not Outline(pages[0]).misnested
    assert read(tmp_path).to_dict() == made.to_dict()


def places(content):
    """Every owner and key of a JSON value."""
    items = content.items() if isinstance(content, dict) else enumerate(content[:2])
    for key, value in list(items):
        yield content, key
        if isinstance(value, dict | list):
            yield from places(value)


@pytest.mark.parametrize("value", [None, 1e999, [], "\x1b[2J"], ids=repr)
def test_a_changed_report_is_shown_or_refused(make_comparison, tmp_path, value):
    """One value after another; what the terminal shows is checked as the pages are."""
    write(make_comparison(names=("teacher", "rsae")), tmp_path)
    sound = json.loads((tmp_path / "report.json").read_text())
    screen = Console(file=io.StringIO(), width=100)
    for owner, key in list(places(sound))[::3]:
        before, owner[key] = owner[key], value
        (tmp_path / "report.json").write_text(json.dumps(sound))
        owner[key] = before
        with contextlib.suppress(RsaeError):
            found = read(tmp_path)
            show(found, screen)
            show_probing(found, screen)
    assert "\x1b" not in screen.file.getvalue()
