"""Pictures of the page in both themes and three widths, with nothing cut off."""

from pathlib import Path

from playwright.sync_api import Page

WIDTHS = (1440, 900, 390)
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# No element of a row or a field may be wider than its place.
CLIPPED = """() => [...document.querySelectorAll("td, th, label, button, .sentence, .summary")]
  .filter((each) => {
    const style = getComputedStyle(each);
    const shown = each.offsetParent && !each.closest(".hidden");
    const cut = style.overflow === "hidden" && style.textOverflow !== "ellipsis";
    return shown && cut && each.scrollWidth > each.clientWidth + 1;
  })
  .map((each) => `${each.className} ${each.textContent}`.slice(0, 80))"""


def pictures(page: Page, folder: Path, name: str) -> None:
    """The state in both themes and all widths."""
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(250)
            assert page.evaluate(OVERFLOW) == 0, (name, theme, width)
            assert page.evaluate(CLIPPED) == [], (name, theme, width)
            page.screenshot(path=folder / f"{name}-{theme}-{width}.png", full_page=True)
