"""The report on a suite in a real browser: nothing is loaded, axe-core finds nothing, and it fits screens and paper."""

from __future__ import annotations

import pytest

from paceline.suites import write_report

from ..report.browser import chromium, require_chromium, violations, visit
from ..report.test_svg import HOSTILE
from .results import write_result


@pytest.fixture(scope="module")
def browser():
    with chromium(require_chromium()) as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Write pages on one result, on three, and on two with hostile texts; return their folder."""
    folder = tmp_path_factory.mktemp("pages")
    results = [
        write_result(
            folder / name,
            {f"question {n}": [float(n % share > 0), 1.0] for n in range(40)},
            model=f"{name}-model-with-a-rather-long-name-{share}",
            samples=2,
        )
        for name, share in (("large", 7), ("small", 3), ("tiny", 2))
    ]
    text = " ".join(HOSTILE).encode("utf-8", "backslashreplace").decode()
    hostile = [
        write_result(
            folder / f"hostile {n}",
            {f"{text}{k}": [float(k % (n + 2))] for k in range(2)},
            suite=text,
            model=f"{text}{n}",
            text=text,
        )
        for n in range(2)
    ]
    write_report(results[0], output=str(folder / "one.html"))
    write_report(*results, output=str(folder / "three.html"))
    write_report(*hostile, output=str(folder / "hostile.html"))
    return folder


@pytest.mark.parametrize("name", ["one", "three", "hostile"])
def test_no_request_leaves_the_file_and_the_console_stays_empty(browser, pages, name):
    file = pages / f"{name}.html"
    found = visit(browser, file)
    assert found.requests == [file.resolve().as_uri()]
    assert found.messages == []


@pytest.mark.parametrize(("name", "scheme"), [("one", "light"), ("three", "dark"), ("hostile", "light")])
def test_axe_finds_nothing(browser, pages, name, scheme):
    found = visit(browser, pages / f"{name}.html", scheme=scheme)
    for details in found.page.locator("details:not([open])").all()[::-1]:
        details.locator("summary").first.click()
    assert violations(found.page) == []


@pytest.mark.parametrize(("name", "width"), [("three", 390), ("three", 1600), ("hostile", 320)])
def test_the_page_never_scrolls_sideways(browser, pages, name, width):
    page = visit(browser, pages / f"{name}.html", width=width).page
    for details in page.locator("details:not([open])").all()[::-1]:
        details.locator("summary").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_intervals_and_values_are_seen_and_printed(browser, pages):
    page = visit(browser, pages / "three.html").page
    assert page.locator("rect.dot").count() == 5  # three accuracies and two differences
    assert page.locator("line.whisker").first.bounding_box()["width"] > 10
    assert page.pdf(format="A4", print_background=True).startswith(b"%PDF")
