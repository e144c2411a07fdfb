"""Use the web UI as a person does, in a real Chromium, and keep a screenshot of each page.

Run by the interpreter of `.venv-tools`, which knows playwright and nothing of the product:
`python browser_visit.py URL FOLDER < facts.json`. Ends with 0, or with the first thing that is not
as it should be.
"""

import json
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Request, Response, ViewportSize, expect, sync_playwright

QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
SIZE: ViewportSize = {"width": 1600, "height": 1000}
PATIENCE = 120_000.0
"""Milliseconds that a page may take: the machine may be busy."""


class Visit:
    """One person's visit, and all that went wrong on the way."""

    def __init__(self, page: Page, url: str, folder: Path) -> None:
        self.page, self._url, self._folder = page, url, folder
        self.faults: list[str] = []
        page.on("console", lambda said: self._fault(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self._fault(str(error)))
        page.on("request", self._judge)
        page.on("response", self._hear)

    def open(self, path: str) -> None:
        self.page.goto(f"{self._url}{path}")

    def sees(self, text: str) -> None:
        expect(self.page.get_by_text(text).first).to_be_visible()

    def keeps(self, name: str) -> None:
        self.page.wait_for_timeout(1500)  # until what slides or fades has come to rest
        self.page.screenshot(path=self._folder / f"{name}.png")

    def _fault(self, said: str) -> None:
        self.faults.append(f"{self.page.url}: {said}")

    def _judge(self, request: Request) -> None:
        if not request.url.startswith((self._url, "data:", "blob:")):
            self._fault(f"something is fetched from elsewhere: {request.url}")

    def _hear(self, response: Response) -> None:
        if response.status >= 400:
            self._fault(f"{response.status} for {response.url}")


def logs_in(visit: Visit, name: str, password: str) -> None:
    visit.open("/")
    visit.page.get_by_label("I am").select_option(name)
    visit.page.get_by_label("Password").fill(password)
    visit.page.get_by_role("button", name="Log in").click()
    visit.sees("Lineage")


def sees_the_graph(visit: Visit, groups: list[str], assets: list[str]) -> None:
    """Every group, and with all of them expanded every asset."""
    visit.page.set_viewport_size({"width": 2300, "height": 1500})
    visit.open("/asset-groups")
    for group in groups:
        visit.sees(group)
    visit.page.wait_for_timeout(2000)  # until it is laid out
    visit.page.keyboard.press("Alt+e")
    graph = visit.page.locator("svg")
    for asset in assets:
        expect(graph.get_by_text(asset, exact=True).first).to_be_attached()
    visit.keeps("asset-graph")
    visit.page.set_viewport_size(SIZE)


def sees_an_asset(visit: Visit, session: str) -> None:
    """What a session's value says of itself."""
    visit.open(f"/assets/pnl?partition={session}")
    for text in ("valued_session", "per_symbol", "accounting"):
        visit.sees(text)
    visit.keeps("asset")


def sees_checks(visit: Visit) -> None:
    visit.open("/assets/clean_bars?view=checks")
    visit.sees("coverage")
    visit.sees("Passed")
    visit.keeps("checks")


def sees_a_run(visit: Visit, run_id: str) -> None:
    visit.open(f"/runs/{run_id}")
    visit.sees("Success")
    visit.sees("target_weights")
    visit.keeps("run")


def launches_a_backfill(visit: Visit, first: str, last: str) -> None:
    """By the button and the dialog, then on its own page until it has ended well."""
    visit.open("/assets/raw_bars")
    visit.page.get_by_role("button", name="Materialize…").click()
    dialog = visit.page.get_by_role("dialog")
    dialog.get_by_text("Show all partitions").click()
    chosen = dialog.get_by_placeholder("ex: ")
    chosen.fill(f"[{first}...{last}]")
    chosen.press("Enter")
    expect(dialog.get_by_text("5 partitions")).to_be_visible()
    visit.keeps("backfill-dialog")
    dialog.get_by_role("button", name="Launch backfill").click()
    said = visit.page.get_by_text("Created backfill").first.inner_text()
    visit.open(f"/runs/b/{said.split()[2]}")
    visit.sees("100% completed")
    visit.keeps("backfill")


def may_only_look(visit: Visit, password: str) -> None:
    """Somebody else's visit: the same pages, and no button that starts anything."""
    visit.open("/logout")
    visit.page.get_by_role("button", name="Log out").click()
    visit.page.wait_for_url("**/login")
    logs_in(visit, "viewer", password)
    visit.open("/assets/raw_bars")
    expect(visit.page.get_by_role("button", name="Materialize…")).to_be_disabled()
    visit.keeps("viewer")


def main() -> None:
    url, folder, facts = sys.argv[1], Path(sys.argv[2]), json.load(sys.stdin)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=facts["chromium"], args=QUIET)
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        visit = Visit(page, url, folder)
        _all(visit, facts)
        browser.close()
    if visit.faults:
        sys.exit("\n".join(visit.faults))


def _all(visit: Visit, facts: dict[str, Any]) -> None:
    logs_in(visit, "operator", facts["operator"])
    sees_the_graph(visit, facts["groups"], facts["assets"])
    sees_an_asset(visit, facts["session"])
    sees_checks(visit)
    sees_a_run(visit, facts["run_id"])
    launches_a_backfill(visit, *facts["range"])
    may_only_look(visit, facts["viewer"])


if __name__ == "__main__":
    main()
