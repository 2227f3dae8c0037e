"""README and docs → whether every link leads somewhere, and every page is on the map."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.pages import PAGES, ROOT, anchors, links, name_of, prose


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme == "https", link
            assert "." in parts.netloc, link
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page

        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if parts.fragment:
            assert parts.fragment in anchors(target), link


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        seen.add(page)
        for link in links(page):
            target = (page.parent / urlsplit(link).path).resolve()
            if target.suffix == ".md" and target not in seen and not urlsplit(link).scheme:
                ahead.append(target)

    assert set() == set(PAGES) - seen


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_sentence_has_a_line_of_its_own(page: Path) -> None:
    for line in re.sub(r"`[^`]*`", "x", prose(page)).splitlines():
        if not line.startswith("|"):
            assert not re.search(r"[a-z)][.?!] (?=[A-Z`*])", line), line
