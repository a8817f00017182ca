"""The site that `make docs-test` has just built: no dead link, and nothing from elsewhere."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

SITE = Path(__file__).parents[2] / "docs" / "_build" / "html"
PAGES = {
    page: page.read_text()
    for page in sorted(SITE.glob("**/*.html"))
    # Not the theme's templates, nor the page that trains, which has tests of its own.
    if page.relative_to(SITE).parts[0] not in ("_static", "playground")
}

pytestmark = pytest.mark.skipif(not PAGES, reason="make docs-test builds the site")


class Page(HTMLParser):
    """What a page loads, what it links to, and what can be linked to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "href" and tag == "a":
                self.links.append(value or "")
            elif name in ("href", "src", "srcset", "poster", "data"):
                self.loaded.append(value or "")
            elif name == "id":
                self.anchors.add(value or "")


@pytest.fixture(scope="module")
def parsed() -> dict[Path, Page]:
    return {path: Page(text) for path, text in PAGES.items()}


def elsewhere(address: str) -> bool:
    return bool(urlsplit(address).netloc)


def test_no_page_loads_anything_from_elsewhere(parsed: dict[Path, Page]) -> None:
    for path, page in parsed.items():
        assert [address for address in page.loaded if elsewhere(address)] == [], path
    for style in SITE.glob("**/*.css"):
        loaded = r"(?:@import\s*|url\(\s*)[\"']?(?:\w+:)?//[^\"')]*"
        assert re.findall(loaded, style.read_text()) == [], style


def test_no_link_within_the_site_is_dead(parsed: dict[Path, Page]) -> None:
    for path, page in parsed.items():
        for link in page.links + page.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link == "#":
                continue
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            assert target.exists(), (path, link)
            if parts.fragment and target in parsed:
                assert unquote(parts.fragment) in parsed[target].anchors, (path, link)


def test_every_page_that_is_executed_offers_its_notebook(parsed: dict[Path, Page]) -> None:
    for path, text in PAGES.items():
        if "cell_input" in text:
            assert any(link.endswith(f"/{path.stem}.ipynb") for link in parsed[path].links), path
