"""The Prefer header of RFC 7240."""

import pytest

from services.ingest.prefer import Preferences, applied, parse_prefer


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", Preferences()),
        ("respond-async", Preferences(respond_async=True)),
        ("Respond-Async", Preferences(respond_async=True)),
        ("wait=5", Preferences(wait_s=5)),
        ("wait=0", Preferences(wait_s=0)),
        ("wait=10", Preferences(wait_s=10)),
        ('wait="7"', Preferences(wait_s=7)),
        ("wait = 3", Preferences(wait_s=3)),
        ("wait=3; x=y", Preferences(wait_s=3)),
        ("wait=1, wait=2", Preferences(wait_s=1)),
        ("respond-async, wait=2", Preferences(respond_async=True, wait_s=2)),
        ("return=representation", Preferences(representation=True)),
        ("return=minimal", Preferences()),
        ("wait=11", Preferences()),
        ("wait=-1", Preferences()),
        ("wait=1.5", Preferences()),
        ("wait=", Preferences()),
        ("wait=²", Preferences()),
        ("wait=" + "9" * 5000, Preferences()),
        ("respond-async=no", Preferences()),
        ("handling=lenient, ,;,=", Preferences()),
    ],
)
def test_prefer_header_is_parsed_and_unknown_preferences_are_ignored(
    header: str, expected: Preferences
) -> None:
    assert parse_prefer(header) == expected


def test_wait_is_the_default_of_the_exchange_unless_preferred() -> None:
    assert parse_prefer("").wait_ms(1000) == 1000
    assert parse_prefer("respond-async").wait_ms(1000) == 0
    assert parse_prefer("wait=3").wait_ms(1000) == 3000
    assert parse_prefer("respond-async, wait=2").wait_ms(1000) == 2000


def test_preference_applied_lists_the_honoured_preferences() -> None:
    both = parse_prefer("respond-async, wait=2, return=representation")
    assert applied(both, pending=True) == (("Preference-Applied", "respond-async, wait=2"),)
    assert applied(both, pending=False, represented=True) == (
        ("Preference-Applied", "wait=2, return=representation"),
    )
    assert applied(Preferences(respond_async=True), pending=False) == ()
