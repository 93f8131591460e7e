"""The page in a real browser: nothing is loaded, nothing goes wrong, axe-core finds nothing, and it fits screens and paper."""

from __future__ import annotations

import select
import socket
import sqlite3
from contextlib import closing

import pytest

from paceline.runs import ReportOptions, write_report

from .browser import chromium, require_chromium, violations, visit
from .journals import BEGAN, Call, Result, make_journal
from .test_page import hostile_journal
from .test_svg import HOSTILE

LANES = [("lane", "lite"), ("a lane with a long name/of a model that has a long name too", "top")]


@pytest.fixture(scope="module")
def browser():
    with chromium(require_chromium()) as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Write a page with every section and one with hostile texts; return their folder."""
    folder = tmp_path_factory.mktemp("pages")
    calls, results, pace = [], [], []
    for item in range(1, 400):
        quota, model = LANES[item % 7 == 0]
        kind = "invalid" if item % 11 == 0 else None
        calls.append(
            Call(
                item=item,
                started=item / 10,
                seconds=0.5 + item % 9 / 3,
                quota=quota,
                model=model,
                cost=0.001,
                kind=kind,
            )
        )
        results.append(
            Result(
                item=item, settled=BEGAN + item / 10 + 2, kind=kind, message=kind and "no JSON", refusals=item % 20 == 0
            )
        )
    for number in range(30):
        quota = LANES[number % 2][0]
        pace += [
            (
                1,
                number * 1.4,
                quota,
                "calls a second",
                8.0,
                9.0 + number % 3,
                "refused with 9 in flight: presumably a limit on the rate",
            ),
            (1, number * 1.4, quota, "workers", 20.0, 21.0, "all workers are busy, and no call is refused"),
        ]
    pace.append((1, 20.0, "lane", "gate", 0.0, 3.0, "every call was refused for 2 s"))
    journal = make_journal(
        folder / "full.journal",
        items=(f"item {n}" for n in range(400)),
        runs=[(BEGAN, BEGAN + 44.0), (BEGAN + 100.0, BEGAN + 110.0)],
        calls=calls,
        results=results,
        pace=pace,
    )
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute('UPDATE strategies SET identity = \'{"steps": [{"model": "lite"}, {"model": "top"}]}\'')
    write_report(journal, ReportOptions(output=str(folder / "full.html"), with_text=True))
    text = " ".join(HOSTILE).encode("utf-8", "backslashreplace").decode()
    hostile = hostile_journal(folder / "hostile.journal", text)
    write_report(hostile, ReportOptions(output=str(folder / "hostile.html"), with_text=True))
    return folder


@pytest.mark.parametrize("name", ["full", "hostile"])
def test_no_request_leaves_the_file_and_the_console_stays_empty(browser, pages, name):
    file = pages / f"{name}.html"
    found = visit(browser, file)
    found.page.mouse.wheel(0, 5000)
    found.page.wait_for_timeout(50)
    assert found.requests == [file.resolve().as_uri()]
    assert found.messages == []


def test_the_policy_stops_a_script_an_image_and_a_style(browser, pages):
    text = (pages / "full.html").read_text("utf-8")
    spoilt = pages / "spoilt.html"
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x.png"
        attack = f'<script>document.title = "ran"</script><img src="{address}"><style>body{{display:none}}</style>'
        spoilt.write_text(text.replace("<main>", f"<main>{attack}"), "utf-8")
        found = visit(browser, spoilt, offline=False)
        assert select.select([server], (), (), 0) == ([], [], [])  # no connection was opened
    assert found.page.title().startswith("Report on")
    assert found.page.locator("h1").is_visible()
    assert sum("Content Security Policy" in message for message in found.messages) >= 3


@pytest.mark.parametrize(("name", "scheme"), [("full", "light"), ("full", "dark"), ("hostile", "light")])
def test_axe_finds_nothing(browser, pages, name, scheme):
    found = visit(browser, pages / f"{name}.html", scheme=scheme)
    for details in found.page.locator("details:not([open])").all()[::-1]:
        details.locator("summary").first.click()
    assert violations(found.page) == []


@pytest.mark.parametrize(("name", "width"), [("full", 390), ("full", 1600), ("hostile", 320)])
def test_the_page_never_scrolls_sideways(browser, pages, name, width):
    page = visit(browser, pages / f"{name}.html", width=width).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_dark_and_light_differ(browser, pages):
    colours = {
        scheme: visit(browser, pages / "full.html", scheme=scheme).page.evaluate(
            "getComputedStyle(document.body).backgroundColor"
        )
        for scheme in ("light", "dark")
    }
    assert colours == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}


def test_printed_it_has_plots_and_tables_on_few_pages(browser, pages):
    page = visit(browser, pages / "full.html").page
    paper = page.pdf(format="A4", print_background=True)
    assert paper.startswith(b"%PDF")
    assert 2 <= paper.count(b"/Type /Page\n") <= 12
    page.emulate_media(media="print")
    assert page.locator("svg[role=img]").first.is_visible()
    assert not page.locator("details:not([open])").first.is_visible()


def test_marks_bands_and_lines_are_seen(browser, pages):
    """Something is drawn: each kind of shape covers some area of the screen."""
    page = visit(browser, pages / "full.html").page
    for shape in ("path.area", "polyline.line", "path.mark", "rect.band", "rect.bar"):
        box = page.locator(shape).first.bounding_box()
        assert box["width"] > 1, shape
        assert box["height"] > 1, shape
