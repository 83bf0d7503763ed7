"""The scenarios of market controls, in the language of `conformance.scenarios`."""

from typing import Final

from conformance.scenarios import Scenario

INCREMENTS: Final = (
    Scenario(
        "N1",
        "A price must be a multiple of the symbol's tick.",
        "rules ref50 tick5; b1 B 5@52; b2 B 5@55",
        "-",
        "5@55 / -",
        "b1 off_tick; b2 open 5",
    ),
    Scenario(
        "N2",
        "A quantity must be a multiple of the symbol's lot, a minimum quantity too.",
        "rules ref50 lot10; b1 B 15@50; b2 B 20@50 min5; b3 B 20@50; b4 S 5@mkt",
        "-",
        "20@50 / -",
        "b1 off_lot; b2 off_lot; b3 open 20; b4 off_lot",
    ),
    Scenario(
        "N3",
        "An order from before a new tick stays and trades at its price.",
        "rules ref50; a1 S 5@52; rules tick5; b1 B 5@55",
        "b1*a1 5@52",
        "- / -",
        "a1 filled; b1 filled",
    ),
)
BOUNDS: Final = (
    Scenario(
        "B1",
        "A bid above the price band is refused.",
        "rules ref50 min45 max55; b1 B 5@56",
        "-",
        "- / -",
        "b1 outside_price_band",
    ),
    Scenario(
        "B2",
        "A bid at the end of the price band is accepted, and so is an ask above it.",
        "rules ref50 min45 max55; b1 B 5@55; a1 S 5@56",
        "-",
        "5@55 / 5@56",
        "b1 open 5; a1 open 5",
    ),
    Scenario(
        "B3",
        "An ask below the price band is refused, a bid there is not.",
        "rules ref50 min45 max55; a1 S 5@44; b1 B 5@44",
        "-",
        "5@44 / -",
        "a1 outside_price_band; b1 open 5",
    ),
    Scenario(
        "B12",
        "An order of more than the largest quantity or value is refused.",
        "rules ref50 maxq100 maxv6000; b1 B 101@50; b2 B 100@61; b3 B 100@60",
        "-",
        "100@60 / -",
        "b1 over_max_quantity; b2 over_max_value; b3 open 100",
    ),
    Scenario(
        "B13",
        "The value of a market order is that at the last trade's price.",
        "rules ref50 maxv500; a1 S 5@60; b1 B 5@60; a2 S 9@50; b2 B 9@mkt; b3 B 8@mkt",
        "b1*a1 5@60, b3*a2 8@50",
        "- / 1@50",
        "b2 over_max_value; a2 open 1; b3 filled",
    ),
)
SCENARIOS: Final = (*INCREMENTS, *BOUNDS)
