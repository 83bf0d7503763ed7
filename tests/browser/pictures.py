"""Pictures of the page in both themes and three widths, with nothing cut off."""

from pathlib import Path

from playwright.sync_api import Page

WIDTHS = (1440, 900, 390)
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# No text of a row or a field may be wider than its place, be it cut off there or over the next one.
CLIPPED = """() => [...document.querySelectorAll("td, th, label, button, p, summary, .quote > *")]
  .filter((each) => {
    const shown = each.offsetParent && !each.closest(".hidden") && each.clientWidth;
    const meant = getComputedStyle(each).textOverflow === "ellipsis";
    return shown && !meant && each.scrollWidth > each.clientWidth + 1;
  })
  .map((each) => `${each.className} ${each.textContent}`.slice(0, 80))"""
# Tables that have to be scrolled sideways: only a narrow screen has too little room for one.
SCROLLED = """() => [...document.querySelectorAll(".scroll")]
  .filter((each) => each.scrollWidth > each.clientWidth + 1)
  .map((each) => each.textContent.slice(0, 80))"""
SCROLLED_BELOW = 900


def pictures(page: Page, folder: Path, name: str) -> None:
    """The state in both themes and all widths."""
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(250)
            assert page.evaluate(OVERFLOW) == 0, (name, theme, width)
            wrong = page.evaluate(CLIPPED)
            if width >= SCROLLED_BELOW:
                wrong += page.evaluate(SCROLLED)
            assert wrong == [], (name, theme, width, wrong)
            page.screenshot(path=folder / f"{name}-{theme}-{width}.png", full_page=True)
