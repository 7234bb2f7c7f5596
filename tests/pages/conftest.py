"""The browser in which pages are opened."""

from collections.abc import Iterator
from typing import Any

import pytest
import sites


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; who asks for it has seen that it and Playwright are there."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        found = started.chromium.launch(executable_path=sites.CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()
