"""The page in a real browser, by mouse and by keyboard."""

import re

import pytest

from rsae_evals.report import write

pytestmark = pytest.mark.browser

SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SWITCHES += ["--disable-component-update", "--disable-sync", "--no-first-run"]
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def browser(chromium):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=chromium, args=SWITCHES)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def address(comparison, tmp_path_factory):
    return (write(comparison, tmp_path_factory.mktemp("report")) / "report.html").as_uri()


@pytest.fixture
def opened(browser, address):
    """Open the page with some settings; at the end nothing was logged and nothing requested."""
    contexts, said, asked = [], [], []

    def open_page(collapsed=False, **settings):
        context = browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce"} | settings)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        if not collapsed and settings.get("java_script_enabled", True):
            page.evaluate("document.querySelectorAll('.part').forEach((part) => part.open = true)")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert {url for url in asked if not url.startswith("data:")} == {address}


def column(page, table, index):
    return page.locator(f"{table} tbody tr > *:nth-child({index})").all_inner_texts()


def overflow(page):
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


def background(page, selector="body"):
    colour = page.evaluate(
        f"getComputedStyle(document.querySelector('{selector}')).backgroundColor"
    )
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def test_the_first_screen_answers(opened):
    page = opened()
    assert "better than the fine" in page.locator("h1").inner_text()
    assert page.locator("h1").bounding_box()["y"] < 300
    row = page.locator("#answer tbody tr").first
    assert row.bounding_box()["y"] + row.bounding_box()["height"] < WIDE["height"]
    assert page.locator("#answer .verdict").first.inner_text() == "▲ better"


def test_every_drawing_is_visible(opened):
    page = opened()
    boxes = [drawing.bounding_box() for drawing in page.locator("svg").all()]
    assert len(boxes) == 7
    assert all(box["width"] > 300 and box["height"] > 150 for box in boxes)


def test_a_heading_sorts_by_mouse_both_ways(opened):
    page = opened()
    heading = page.locator("#group-1 th", has_text="decoder cosine")
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    rising = list(map(float, column(page, "#group-1", 3)))
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    falling = list(map(float, column(page, "#group-1", 3)))
    assert rising == sorted(rising) == falling[::-1]
    assert page.locator("#group-1 th[aria-sort=none]").count() == 7


def test_a_heading_sorts_by_keyboard_and_keeps_the_focus(opened):
    page = opened()
    button = page.locator("#pair-1 th", has_text="verdict").locator("button")
    button.focus()
    page.keyboard.press("Enter")
    verdicts = [cell.split(maxsplit=1)[1] for cell in column(page, "#pair-1", 5)]
    assert verdicts == sorted(verdicts)
    assert button.evaluate("e => e === document.activeElement")


def test_a_cell_without_a_value_sorts_last_either_way(opened):
    page = opened()
    page.locator("#features [role=tab]", has_text="Now alive").click()
    for _ in range(2):
        page.locator("#group-2 th", has_text="firing Jaccard").locator("button").click()
        assert column(page, "#group-2", 4)[-1] == "–"


def test_tabs_follow_the_mouse(opened):
    page = opened()
    tabs = page.locator("#differences [role=tab]")
    assert tabs.count() == 4
    tabs.nth(2).click()
    assert page.locator("#differences .panel:visible").count() == 1
    assert tabs.nth(2).get_attribute("aria-selected") == "true"
    assert page.locator("#pair-3").is_visible()


def test_tabs_follow_the_keyboard(opened):
    page = opened()
    tabs = page.locator("#features [role=tab]")
    tabs.first.focus()
    for key, chosen in [("ArrowRight", 1), ("End", 2), ("ArrowRight", 0), ("ArrowLeft", 2),
                        ("Home", 0)]:  # fmt: skip
        page.keyboard.press(key)
        states = [tab.get_attribute("aria-selected") == "true" for tab in tabs.all()]
        assert states.index(True) == chosen
        assert sum(states) == 1
        assert tabs.nth(chosen).evaluate("e => e === document.activeElement")
        assert tabs.nth(chosen).get_attribute("tabindex") == "0"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "tabpanel"


def test_the_first_stop_of_the_keyboard_skips_to_the_answer(opened):
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["y"] >= 0


def test_a_link_opens_the_panel_that_it_points_into(opened, address):
    page = opened()
    hidden = page.locator("#group-3 .card").first.get_attribute("id")
    page.evaluate(f"location.hash = '{hidden}'")
    page.locator(f"#{hidden}").wait_for(state="visible")


def test_parts_beyond_the_answer_are_closed_until_they_are_wanted(opened):
    for viewport, most in ((WIDE, 3000), ({"width": 390, "height": 844}, 4000)):
        page = opened(collapsed=True, viewport=viewport)
        assert page.evaluate("document.documentElement.scrollHeight") < most
        assert page.locator("#plots svg:visible").count() == 2
        assert not page.locator("#metrics table").first.is_visible()
        page.locator("nav a", has_text="All metrics").click()
        page.locator("#metrics table").first.wait_for(state="visible")
        page.locator("#provenance summary").press("Enter")
        assert page.locator("#provenance table").is_visible()


def test_a_link_to_a_card_opens_all_that_it_is_in(opened):
    page = opened(collapsed=True)
    card = page.locator("#group-2 .card").first.get_attribute("id")
    page.evaluate(f"location.hash = '{card}'")
    page.locator(f"#{card} .contexts").first.wait_for(state="visible")


def test_a_search_leaves_the_features_with_the_words_and_opens_them(opened):
    page = opened()
    every = page.locator(".card").count()
    assert page.locator(".card details[open]").count() == 0
    page.locator(".find input").fill("HARBOUR")
    assert page.locator(".card details[open]").count() == every
    page.locator(".find input").fill("no such words")
    assert page.locator(".card[hidden]").count() == every
    assert page.locator(".find [role=status]").inner_text() == "0 features on all tabs"
    page.locator(".find input").fill("")
    assert page.locator(".card[hidden], .card details[open]").count() == 0


def test_a_narrow_screen_shows_the_subject_and_its_verdict_first(opened):
    page = opened(viewport={"width": 390, "height": 844})
    for cell in page.locator("#answer tbody tr").first.locator("td").all()[:2]:
        box = cell.bounding_box()
        assert box["x"] + box["width"] <= 390


def test_no_sideways_scrolling_on_a_narrow_screen(opened):
    page = opened(viewport=NARROW)
    assert overflow(page) <= 0
    for tab in page.locator("[role=tab]").all():
        tab.click()
        assert overflow(page) <= 0
    for summary in page.locator("details:not(.part) > summary:visible").all():
        summary.click()
    assert overflow(page) <= 0


def test_dark_and_light(opened):
    light, dark = opened(color_scheme="light"), opened(color_scheme="dark")
    assert background(light) > 230
    assert background(dark) < 40
    ink = "getComputedStyle(document.querySelector('svg text')).fill"
    assert light.evaluate(ink) != dark.evaluate(ink)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(opened, scheme):
    """Contrast at least 4.5, the least of WCAG 2.2 (1.4.3) for text of usual size."""
    page = opened(color_scheme=scheme)
    poor = page.evaluate(
        """() => {
          const part = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
          const luminance = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
          const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
          const ground = (e) => {
            for (; e; e = e.parentElement) {
              const c = rgb(getComputedStyle(e).backgroundColor);
              if (c.length < 4 || c[3] === 1) return c;
            }
            return [255, 255, 255];
          };
          const found = [];
          const text = "p, td, th, a, h1, h2, dt, dd, .verdict, [role=tab]";
          for (const e of document.querySelectorAll(text)) {
            const a = luminance(rgb(getComputedStyle(e).color)), b = luminance(ground(e));
            const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            if (contrast < 4.5) found.push([e.tagName, e.className, contrast]);
          }
          return found;
        }"""
    )
    assert poor == []


def test_print_shows_every_panel_on_white(opened):
    page = opened(collapsed=True, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert background(page) == 255
    assert page.locator(".panel:visible").count() == page.locator(".panel").count() == 7
    assert page.locator("nav:visible, [role=tablist]:visible").count() == 0


def test_the_first_table_fits_its_column_however_many_variants(browser, make_comparison, tmp_path):
    names = ("teacher", "teacher_refined", "teacher_pursued", "control", "control_refined",
             "threshold_only", "rational", "rational_refined", "rsae")  # fmt: skip
    for count in (2, 5, 9):
        folder = write(make_comparison((*names[: count - 1], names[-1])), tmp_path / str(count))
        page = browser.new_page(viewport=WIDE)
        page.goto((folder / "report.html").as_uri())
        assert (
            page.evaluate(
                "(e => e.scrollWidth - e.clientWidth)(document.querySelector('#answer .scroll'))"
            )
            <= 0
        ), count
        beyond = """[...document.querySelectorAll('svg text')].filter((text) => {
          const [a, b] = [text, text.closest('svg')].map((e) => e.getBoundingClientRect());
          return a.right > b.right + 1 && a.width;
        }).map((text) => text.textContent)"""
        assert page.evaluate(beyond) == [], count
        page.close()


def test_without_scripts_everything_is_there(opened):
    page = opened(java_script_enabled=False)
    assert page.locator(".panel:visible").count() == 7


def test_controls_have_names_and_drawings_descriptions(opened):
    page = opened()
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, a, summary, [role=region]")]
          .filter((e) => !(e.textContent.trim() || e.getAttribute("aria-label"))).length"""
    )
    assert unnamed == 0
    for drawing in page.locator("svg[role=img]").all():
        names = drawing.get_attribute("aria-labelledby").split()
        assert all(page.locator(f"#{name}").text_content().strip() for name in names)
