"""The scenarios of phases and day orders, in the language of `conformance.scenarios`."""

from typing import Final

from conformance.scenarios import Scenario

HALTS: Final = (
    Scenario(
        "H1",
        "An order is refused in a halt.",
        "rules ref50; phase halted; b1 B 5@50",
        "-",
        "- / -",
        "b1 market_halted",
    ),
    Scenario(
        "H2",
        "An order is cancelled in a halt.",
        "rules ref50; a1 S 5@50; phase halted; x a1",
        "-",
        "- / -",
        "a1 cancelled 5",
    ),
    Scenario(
        "H3",
        "A replacement is refused in a halt, and the order stays as it was.",
        "rules ref50; a1 S 5@50; phase halted; a1 => 3@",
        "-",
        "- / 5@50",
        "a1 open 5; a1=> market_halted",
    ),
    Scenario(
        "H4",
        "Orders keep their places through a halt.",
        "rules ref50; a1 S 5@50; c1 S 5@50; phase halted; phase continuous; b1 B 6@50",
        "b1*a1 5@50, b1*c1 1@50",
        "- / 4@50",
        "a1 filled; c1 open 4; b1 filled",
    ),
    Scenario(
        "H9",
        "A market order is refused in a closed market.",
        "rules ref50; a1 S 5@50; phase closed; b1 B 5@mkt",
        "-",
        "- / 5@50",
        "a1 open 5; b1 market_closed",
    ),
    Scenario(
        "M6",
        "All orders of a broker are cancelled in a halt.",
        "rules ref50; a1 S 5@52; phase halted; X a",
        "-",
        "- / -",
        "a1 cancelled 5",
    ),
)
STOPS: Final = (
    Scenario(
        "S12",
        "A stop price that the reference price has reached in a halt elects on the return.",
        "rules ref50; a1 S 5@60; b1 B 3@mkt stop55; phase halted; rules ref56; phase continuous",
        "b1*a1 3@60",
        "- / 2@60",
        "a1 open 2; b1 filled",
    ),
    Scenario(
        "S13",
        "A stop price that the reference price has not reached does not elect on the return.",
        "rules ref50; a1 S 5@60; b1 B 3@mkt stop55; phase halted; rules ref54; phase continuous",
        "-",
        "- / 5@60",
        "a1 open 5; b1 open 3",
    ),
)
DAY_ORDERS: Final = (
    Scenario(
        "H7",
        "A close ends the day orders alone.",
        "rules ref50; a1 S 5@52 day; a2 S 5@53; phase closed; b1 B 5@50",
        "-",
        "- / 5@53",
        "a1 expired 5; a2 open 5; b1 market_closed",
    ),
    Scenario(
        "H10",
        "A halt does not end a day order, which trades like any other.",
        "rules ref50; a1 S 5@52 day; phase halted; phase continuous; b1 B 3@52",
        "b1*a1 3@52",
        "- / 2@52",
        "a1 open 2; b1 filled",
    ),
    Scenario(
        "H11",
        "A replaced day order is still one.",
        "rules ref50; a1 S 5@52 day; a1 => 6@53; phase closed",
        "-",
        "- / -",
        "a1 expired 6",
    ),
    Scenario(
        "H12",
        "A day order of the day after is not ended by the close before it.",
        "rules ref50; phase closed; phase continuous; a1 S 5@52 day",
        "-",
        "- / 5@52",
        "a1 open 5",
    ),
    Scenario(
        "L9",
        "A close ends a stop order for the day that waits.",
        "rules ref50; b1 B 5@60 stop55 day; phase closed",
        "-",
        "- / -",
        "b1 expired 5",
    ),
    Scenario(
        "H13",
        "A day order needs an instrument.",
        "b1 B 5@50 day",
        "-",
        "- / -",
        "b1 needs_instrument",
    ),
)
SCENARIOS: Final = (*HALTS, *STOPS, *DAY_ORDERS)
