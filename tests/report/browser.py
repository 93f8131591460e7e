"""Chromium for the tests and for the screenshots in docs: it is started offline, and everything that it reports is collected."""

from __future__ import annotations

import importlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources

import attrs
import pytest

HOW = "apt-get install --no-install-recommends chromium"
NAMES = ("chromium", "chromium-browser", "google-chrome")


@attrs.define
class Visit:
    """A page that is open in the browser, and what it has done."""

    page: object
    requests: list[str] = attrs.field(factory=list)
    """Addresses that were requested, that of the page itself included."""
    messages: list[str] = attrs.field(factory=list)
    """Messages on the console, and errors."""


def find_chromium():
    """Return the path of Chromium; None if it is not on this machine."""
    return next((path for name in NAMES if (path := shutil.which(name)) is not None), None)


def require_chromium():
    """Return the path of Chromium; skip the test with a sentence, but not where every program must be there."""
    path = find_chromium()
    if path is None:
        end = pytest.fail if os.environ.get("PACELINE_LIVE") else pytest.skip
        end(f"Chromium is not on this machine: {HOW}")
    return path


@contextmanager
def chromium(path) -> Iterator[object]:
    """Start Chromium without a window."""
    if not os.environ.get("PACELINE_LIVE"):
        pytest.importorskip("playwright.sync_api")
    playwright = importlib.import_module("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            browser.close()


def visit(browser, file, *, width=1100, scheme="light", offline=True) -> Visit:
    """Open a file in a context of its own, which has no network unless it is to be tempted."""
    context = browser.new_context(offline=offline, viewport={"width": width, "height": 900}, color_scheme=scheme)
    found = Visit(context.new_page())
    found.page.on("request", lambda request: found.requests.append(request.url))
    found.page.on("console", lambda message: found.messages.append(message.text))
    found.page.on("pageerror", lambda error: found.messages.append(str(error)))
    found.page.goto(file.resolve().as_uri())
    return found


def violations(page) -> list[str]:
    """Return what axe-core finds in a page, a line for each kind of violation.

    The page forbids scripts, so axe runs in a world of its own, as an extension of the browser does.
    """
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
    client = page.context.new_cdp_session(page)
    frame = client.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
    world = client.send("Page.createIsolatedWorld", {"frameId": frame, "worldName": "axe"})["executionContextId"]
    client.send("Runtime.evaluate", {"expression": axe, "contextId": world})
    call = "axe.run({resultTypes: ['violations']}).then(found => JSON.stringify(found.violations.map(v => v.id + ': ' + v.help + ' ' + v.nodes[0].html.slice(0, 200))))"
    answer = client.send(
        "Runtime.evaluate", {"expression": call, "contextId": world, "awaitPromise": True, "returnByValue": True}
    )
    return json.loads(answer["result"]["value"])
