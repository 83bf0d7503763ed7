"""Settings: an invalid or unknown one is reported in one line that names it."""

from pathlib import Path

import pytest

from services.runtime.errors import SettingsError
from services.runtime.setting_texts import accepted_values
from services.runtime.settings import Settings, parse_partitions, read_settings, require, variable


def test_settings_not_given_have_defaults_and_other_variables_are_ignored() -> None:
    assert read_settings({"PATH": "/bin", "EXCHANGE_KAFKA": ""}) == Settings()


def test_given_settings_are_converted() -> None:
    settings = read_settings(
        {
            "EXCHANGE_KAFKA": "a:1,b:2",
            "EXCHANGE_PORT": "9000",
            "EXCHANGE_DATA_DIR": "/x/y",
            "EXCHANGE_DURABILITY": "process",
            "EXCHANGE_TOPIC_PREFIX": "t-1.",
        }
    )
    assert (settings.kafka, settings.port, settings.data_dir) == ("a:1,b:2", 9000, Path("/x/y"))
    assert (settings.durability, settings.topic_prefix) == ("process", "t-1.")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("EXCHANGE_PORT", "http"),
        ("EXCHANGE_PORT", "65536"),
        ("EXCHANGE_PORT", "-1"),
        ("EXCHANGE_PORT", "80.5"),
        ("EXCHANGE_PARTITIONS", "0"),
        ("EXCHANGE_DURABILITY", "maybe"),
        ("EXCHANGE_TOPIC_PREFIX", "UPPER"),
        ("EXCHANGE_TOPIC_PREFIX", "a\n"),
        ("EXCHANGE_LOG_LEVEL", "debug"),
        ("EXCHANGE_IN_FLIGHT_MAX", "0"),
        ("EXCHANGE_OUTCOME_WAIT_MS", "1e9"),
    ],
)
def test_invalid_setting_is_reported_with_name_and_value(name: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({"EXCHANGE_KAFKA": "a:1", name: text})
    assert str(caught.value).startswith(f"{name}={text}: ")
    assert caught.value.exit_code == 2


def test_invalid_key_is_not_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({"EXCHANGE_ADMIN_KEY": "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert "EXCHANGE_ADMIN_KEY" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "accepted"),
    [
        ("EXCHANGE_PORT", "http", "a whole number from 0 to 65535"),
        ("EXCHANGE_METRICS_PORT", "65536", "a whole number from 0 to 65535"),
        ("EXCHANGE_DURABILITY", "maybe", "fsync or process or replicated"),
        ("EXCHANGE_METRICS_ON_API", "yes", "true or false"),
        ("EXCHANGE_GATEWAY", "g" * 65, "a text of 0 to 64 characters"),
        (
            "EXCHANGE_TOPIC_PREFIX",
            "UPPER",
            "a text of up to 40 lower-case letters, digits, dots and hyphens",
        ),
    ],
)
def test_invalid_setting_is_reported_with_the_values_it_accepts(
    name: str, text: str, accepted: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({name: text})
    assert str(caught.value) == f"{name}={text}: must be {accepted}"


@pytest.mark.parametrize("field", Settings.__struct_fields__)
def test_every_setting_has_its_accepted_values_in_words(field: str) -> None:
    assert accepted_values(Settings, field)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("EXCHANGE_PROT", " (did you mean EXCHANGE_PORT?)"),
        ("EXCHANGE_RATE_ORDER", " (did you mean EXCHANGE_RATE_ORDERS?)"),
        ("EXCHANGE_XYZZYX", ""),
    ],
)
def test_unknown_setting_is_reported_with_the_most_similar_one(name: str, hint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({name: "1"})
    expected = f"unknown setting {name}{hint}; docs/operating.md lists all settings"
    assert str(caught.value) == expected


def test_missing_setting_is_reported_by_name() -> None:
    assert require("x", "kafka") == "x"
    for missing in (None, ""):
        with pytest.raises(SettingsError, match="EXCHANGE_DATABASE_URL is needed"):
            require(missing, "database_url")


def test_every_setting_has_a_variable() -> None:
    names = [variable(field) for field in Settings.__struct_fields__]
    assert len(set(names)) == len(names)
    assert "EXCHANGE_OUTCOME_WAIT_MS" in names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", [0, 1, 2, 3]),
        ("0", [0]),
        ("0-3", [0, 1, 2, 3]),
        ("2,0", [0, 2]),
        ("0-1,1-2", [0, 1, 2]),
    ],
)
def test_partitions_are_parsed(text: str, expected: list[int]) -> None:
    assert parse_partitions(text, 4) == expected


@pytest.mark.parametrize("text", ["", "4", "0-4", "x", "1-", "-1", "0,", "2-1", "0-x", "1 2"])
def test_invalid_partitions_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="partitions"):
        parse_partitions(text, 4)


@pytest.mark.parametrize(
    ("field", "secret"),
    [("admin_key", "0123456789abcdef"), ("database_url", "postgresql://u:secret@h/d")],
)
def test_secret_is_read_from_the_file_that_is_named(
    tmp_path: Path, field: str, secret: str
) -> None:
    file = tmp_path / "secret"
    file.write_text(secret + "\n")
    named = {variable(f"{field}_file"): str(file)}
    settings = read_settings(named)
    assert getattr(settings, field) == secret
    assert getattr(settings, f"{field}_file") is None
    other = secret.replace("0", "9").replace("secret", "other")
    assert getattr(read_settings(named | {variable(field): other}), field) == other


@pytest.mark.parametrize("content", [None, b"", b"\xff\xff", b"short"])
def test_secret_file_that_has_no_usable_secret_is_one_line_without_its_content(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        read_settings({"EXCHANGE_ADMIN_KEY_FILE": str(file)})
    assert str(caught.value).startswith("EXCHANGE_ADMIN_KEY")
    assert "short:" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_setting_that_is_not_utf8_is_reported_with_its_name() -> None:
    with pytest.raises(SettingsError, match="EXCHANGE_DATA_DIR is not UTF-8"):
        read_settings({"EXCHANGE_DATA_DIR": "data-\udce1"})
