"""The scenarios of cancels of all orders, in the language of `conformance.scenarios`."""

from typing import Final

from conformance.scenarios import Scenario

SCENARIOS: Final = (
    Scenario(
        "M1",
        "A cancel of all orders closes every open order of its broker and no other.",
        "a1 S 5@52; a2 B 5@50; b1 B 5@49; X a",
        "-",
        "5@49 / -",
        "a1 cancelled 5; a2 cancelled 5; b1 open 5",
    ),
    Scenario(
        "M2",
        "A cancel of all orders may be limited to one side.",
        "a1 S 5@52; a2 B 5@50; b1 B 5@49; X a B",
        "-",
        "5@49 / 5@52",
        "a1 open 5; a2 cancelled 5; b1 open 5",
    ),
    Scenario(
        "M3",
        "A cancel of all orders keeps what was traded before it.",
        "a1 S 5@50; b1 B 2@50; X a",
        "b1*a1 2@50",
        "- / -",
        "a1 cancelled 3; b1 filled",
    ),
    Scenario(
        "M4",
        "A cancel of all orders closes waiting stop orders, and the hidden part of icebergs.",
        "rules ref50; a1 B 5@mkt stop55; a2 S 30@60 show10; X a",
        "-",
        "- / -",
        "a1 cancelled 5; a2 cancelled 30",
    ),
    Scenario(
        "M5",
        "A cancel of all orders does not concern those that come after it.",
        "a1 S 5@50; X a; a2 S 4@50; b1 B 9@50",
        "b1*a2 4@50",
        "5@50 / -",
        "a1 cancelled 5; a2 filled; b1 open 5",
    ),
    Scenario(
        "M6",
        "A cancel of all orders works on a halted symbol too.",
        "rules ref50; a1 S 5@52; phase halted; X a",
        "-",
        "- / -",
        "a1 cancelled 5",
    ),
)
