"""The scenarios of stop orders, in the language of `conformance.scenarios`."""

from typing import Final

from conformance.scenarios import Scenario

STOP: Final = (
    Scenario(
        "S1",
        "A stop order is elected by a trade at its price and takes as a market order.",
        "rules ref50; a1 S 5@55; a2 S 5@56; b1 B 3@mkt stop55; c1 B 5@55",
        "c1*a1 5@55, b1*a2 3@56",
        "- / 2@56",
        "b1 filled",
    ),
    Scenario(
        "S2",
        "A trade short of the stop price elects nothing.",
        "rules ref50; a1 S 5@54; b1 B 3@mkt stop55; c1 B 5@54",
        "c1*a1 5@54",
        "- / -",
        "b1 open 3",
    ),
    Scenario(
        "S3",
        "An ask's stop is elected by a trade at its price or below.",
        "rules ref50; a1 B 5@44; a2 B 5@43; b1 S 3@mkt stop45; c1 S 5@44",
        "a1*c1 5@44, a2*b1 3@43",
        "2@43 / -",
        "b1 filled",
    ),
    Scenario(
        "S4",
        "A stop order whose price the last trade has reached is refused.",
        "rules ref50; b1 B 5@mkt stop50",
        "-",
        "- / -",
        "b1 stop_would_trigger",
    ),
    Scenario(
        "S5",
        "An order is finished before the stops that its trades elect: its rest trades with none.",
        "rules ref50; a1 S 5@55; a2 S 5@57; b1 B 3@mkt stop55; c1 B 8@55",
        "c1*a1 5@55, b1*a2 3@57",
        "3@55 / 2@57",
        "c1 open 3",
    ),
    Scenario(
        "S6",
        "Of the stops that one trade reaches, the one farthest from it takes first.",
        "rules ref50; a1 S 5@55; a2 S 3@57; a3 S 3@58; b1 B 3@mkt stop54; "
        "c1 B 3@mkt stop52; d1 B 5@55",
        "d1*a1 5@55, c1*a2 3@57, b1*a3 3@58",
        "- / -",
        "b1 filled",
    ),
    Scenario(
        "S7",
        "Stops at the same distance take in the order of their arrival.",
        "rules ref50; a1 S 5@55; a2 S 3@57; a3 S 3@58; b1 B 3@mkt stop54; "
        "c1 B 3@mkt stop54; d1 B 5@55",
        "d1*a1 5@55, b1*a2 3@57, c1*a3 3@58",
        "- / -",
        "c1 filled",
    ),
    Scenario(
        "S8",
        "The trades of an elected stop elect further ones.",
        "rules ref50; a1 S 1@55; a2 S 1@57; a3 S 1@60; b1 B 1@mkt stop55; "
        "c1 B 1@mkt stop57; d1 B 1@55",
        "d1*a1 1@55, b1*a2 1@57, c1*a3 1@60",
        "- / -",
        "c1 filled",
    ),
    Scenario(
        "S9",
        "What an elected stop cannot trade is closed, as of any market order.",
        "rules ref50; a1 S 5@55; b1 B 3@mkt stop55; c1 B 5@55",
        "c1*a1 5@55",
        "- / -",
        "b1 no_liquidity 3",
    ),
    Scenario(
        "S10",
        "A stop order that waits can be cancelled, and is not elected after that.",
        "rules ref50; b1 B 5@mkt stop55; x b1; a1 S 1@56; c1 B 1@56",
        "c1*a1 1@56",
        "- / -",
        "b1 cancelled 5",
    ),
    Scenario(
        "S12",
        "A stop order needs a symbol with an instrument.",
        "b1 B 5@mkt stop50",
        "-",
        "- / -",
        "b1 needs_instrument",
    ),
    Scenario(
        "S13",
        "A quote at the stop price elects nothing: only trades do.",
        "rules ref50; b1 B 3@mkt stop55; a1 S 5@55; c1 B 5@54; d1 S 1@54",
        "c1*d1 1@54",
        "4@54 / 5@55",
        "b1 open 3",
    ),
    Scenario(
        "S14",
        "Bids and asks that one order's trades reach are elected together, the farthest first.",
        "rules ref55; a1 S 1@52; a2 S 1@58; a3 S 1@59; c1 B 1@50; b1 B 1@mkt stop57; "
        "e1 S 1@mkt stop54; d1 B 2@58",
        "d1*a1 1@52, d1*a2 1@58, c1*e1 1@50, b1*a3 1@59",
        "- / -",
        "b1 filled; e1 filled",
    ),
)
STOP_LIMIT: Final = (
    Scenario(
        "L1",
        "An elected stop-limit order takes within its limit, and the rest enters the book.",
        "rules ref50; a1 S 5@55; a2 S 2@56; a3 S 5@58; b1 B 6@57 stop55; c1 B 5@55",
        "c1*a1 5@55, b1*a2 2@56",
        "4@57 / 5@58",
        "b1 open 4",
    ),
    Scenario(
        "L2",
        "An elected stop-limit order that crosses nothing rests.",
        "rules ref50; a1 S 5@55; b1 B 6@57 stop55; c1 B 5@55",
        "c1*a1 5@55",
        "6@57 / -",
        "b1 open 6",
    ),
    Scenario(
        "L3",
        "An ask's stop-limit order takes down to its limit.",
        "rules ref50; a1 B 5@45; a2 B 5@42; b1 S 6@43 stop45; c1 S 5@45",
        "a1*c1 5@45",
        "5@42 / 6@43",
        "b1 open 6",
    ),
    Scenario(
        "L4",
        "An elected stop-limit order rests behind orders that were at its price before.",
        "rules ref50; a1 B 5@45; b1 S 6@44 stop45; c1 S 9@44; d1 B 7@44",
        "a1*c1 5@45, d1*c1 4@44, d1*b1 3@44",
        "- / 3@44",
        "b1 open 3",
    ),
    Scenario(
        "L8",
        "Stop-limit orders elect each other as stops do.",
        "rules ref50; a1 S 1@55; a2 S 1@58; a3 S 1@61; b1 B 1@58 stop55; "
        "c1 B 1@61 stop57; d1 B 1@55",
        "d1*a1 1@55, b1*a2 1@58, c1*a3 1@61",
        "- / -",
        "c1 filled",
    ),
    Scenario(
        "L10",
        "A stop price may be the limit itself.",
        "rules ref50; a1 S 2@55; b1 B 1@55 stop55; c1 B 1@55",
        "c1*a1 1@55, b1*a1 1@55",
        "- / -",
        "b1 filled",
    ),
)
REPLACE: Final = (
    Scenario(
        "L5",
        "A stop order that waits may get another stop price.",
        "rules ref50; b1 B 5@60 stop55; b1 => stop57; a1 S 5@56; c1 B 5@56",
        "c1*a1 5@56",
        "- / -",
        "b1 open 5",
    ),
    Scenario(
        "L6",
        "A new stop price that the last trade has reached is refused.",
        "rules ref50; b1 B 5@60 stop55; b1 => stop50",
        "-",
        "- / -",
        "b1 open 5; b1=> stop_would_trigger",
    ),
    Scenario(
        "L11",
        "A replaced stop-limit order takes with its new quantity within its new limit.",
        "rules ref50; b1 B 5@56 stop55; b1 => 3@58; a1 S 1@55; a2 S 5@58; c1 B 1@55",
        "c1*a1 1@55, b1*a2 3@58",
        "- / 2@58",
        "b1 filled",
    ),
    Scenario(
        "S17",
        "A stop order with a larger quantity is elected behind others with its stop price.",
        "rules ref50; a1 S 1@55; a2 S 3@57; a3 S 3@58; b1 B 2@mkt stop55; c1 B 3@mkt stop55; "
        "b1 => 3@; d1 B 1@55",
        "d1*a1 1@55, c1*a2 3@57, b1*a3 3@58",
        "- / -",
        "b1 filled; c1 filled",
    ),
    Scenario(
        "S18",
        "A stop order with a smaller quantity keeps its place among the others.",
        "rules ref50; a1 S 1@55; a2 S 3@57; a3 S 3@58; b1 B 4@mkt stop55; c1 B 3@mkt stop55; "
        "b1 => 3@; d1 B 1@55",
        "d1*a1 1@55, b1*a2 3@57, c1*a3 3@58",
        "- / -",
        "b1 filled; c1 filled",
    ),
    Scenario(
        "S19",
        "A stop order that takes as a market order cannot get a limit.",
        "rules ref50; b1 B 5@mkt stop55; b1 => @60",
        "-",
        "- / -",
        "b1 open 5; b1=> not_amendable",
    ),
    Scenario(
        "S20",
        "An order without a stop price, or one that was elected, cannot get one.",
        "rules ref50; a1 S 1@55; b1 B 5@57 stop55; c1 B 1@55; b1 => stop60; "
        "d1 B 1@40; d1 => stop60",
        "c1*a1 1@55",
        "5@57 1@40 / -",
        "b1 open 5; b1=> not_amendable; d1 open 1; d1=> not_amendable",
    ),
)
SCENARIOS: Final = (*STOP, *STOP_LIMIT, *REPLACE)
