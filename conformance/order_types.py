"""The scenarios of order conditions, in the language of `conformance.scenarios`."""

from typing import Final

from conformance.scenarios import Scenario

IMMEDIATE_OR_CANCEL: Final = (
    Scenario(
        "I1",
        "The rest of an immediate-or-cancel order is closed and never rests.",
        "a1 S 5@50; b1 B 8@50 ioc",
        "b1*a1 5@50",
        "- / -",
        "b1 no_liquidity 3",
    ),
    Scenario(
        "I2",
        "An immediate-or-cancel order that crosses nothing is closed without a trade.",
        "a1 S 5@51; b1 B 5@50 ioc",
        "-",
        "- / 5@51",
        "b1 no_liquidity 5",
    ),
    Scenario(
        "I3",
        "An immediate-or-cancel order trades at each price within its limit, and no further.",
        "a1 S 5@50; a2 S 5@51; a3 S 5@52; b1 B 20@51 ioc",
        "b1*a1 5@50, b1*a2 5@51",
        "- / 5@52",
        "b1 no_liquidity 10",
    ),
    Scenario(
        "I4",
        "An immediate-or-cancel order trades at the makers' price, the oldest first.",
        "b1 B 5@50; b2 B 5@50; a1 S 7@49 ioc",
        "b1*a1 5@50, b2*a1 2@50",
        "3@50 / -",
        "a1 filled; b2 open 3",
    ),
)
MINIMUM_QUANTITY: Final = (
    Scenario(
        "I6",
        "Where less than the minimum would trade at once, nothing does.",
        "a1 S 5@50; b1 B 20@50 ioc min6",
        "-",
        "- / 5@50",
        "b1 no_liquidity 20",
    ),
    Scenario(
        "I7",
        "An order that reaches its minimum trades all it can, with several makers.",
        "a1 S 5@50; a2 S 2@50; b1 B 20@50 ioc min6",
        "b1*a1 5@50, b1*a2 2@50",
        "- / -",
        "b1 no_liquidity 13",
    ),
    Scenario(
        "I9",
        "An order that may rest does so once its minimum has traded.",
        "a1 S 5@50; b1 B 20@50 min5",
        "b1*a1 5@50",
        "15@50 / -",
        "a1 filled; b1 open 15",
    ),
    Scenario(
        "I10",
        "An order that may rest is closed where its minimum does not trade.",
        "a1 S 5@51; b1 B 20@50 min5",
        "-",
        "- / 5@51",
        "b1 no_liquidity 20; a1 open 5",
    ),
    Scenario(
        "I11",
        "A market order may have a minimum.",
        "a1 S 5@50; b1 B 9@mkt min6; b2 B 9@mkt min5",
        "b2*a1 5@50",
        "- / -",
        "b1 no_liquidity 9; b2 no_liquidity 4",
    ),
)
FILL_OR_KILL: Final = (
    Scenario(
        "F1",
        "A fill-or-kill order that cannot be filled changes nothing.",
        "a1 S 5@50; b1 B 6@50 fok",
        "-",
        "- / 5@50",
        "b1 no_liquidity 6; a1 open 5",
    ),
    Scenario(
        "F2",
        "A fill-or-kill order may be filled at several prices.",
        "a1 S 5@50; a2 S 5@51; b1 B 8@51 fok",
        "b1*a1 5@50, b1*a2 3@51",
        "- / 2@51",
        "b1 filled",
    ),
    Scenario(
        "F3",
        "A fill-or-kill order counts no shares beyond its limit.",
        "a1 S 5@50; a2 S 5@52; b1 B 8@51 fok",
        "-",
        "- / 5@50 5@52",
        "b1 no_liquidity 8",
    ),
    Scenario(
        "F8",
        "A market order may be fill-or-kill.",
        "a1 S 5@50; a2 S 5@90; b1 B 10@mkt fok",
        "b1*a1 5@50, b1*a2 5@90",
        "- / -",
        "b1 filled",
    ),
    Scenario(
        "F10",
        "A fill-or-kill order in an empty book is closed, and so is one of more than there is.",
        "b1 B 5@mkt fok; b2 B 5@50 fok; a1 S 4@50; b3 B 5@mkt fok",
        "-",
        "- / 4@50",
        "b1 no_liquidity 5; b2 no_liquidity 5; b3 no_liquidity 5",
    ),
)
POST_ONLY: Final = (
    Scenario(
        "P1",
        "A post-only order that crosses nothing rests.",
        "a1 S 5@51; b1 B 5@50 po",
        "-",
        "5@50 / 5@51",
        "b1 open 5",
    ),
    Scenario(
        "P2",
        "A post-only order at the best opposite price is refused.",
        "a1 S 5@50; b1 B 5@50 po",
        "-",
        "- / 5@50",
        "b1 post_only_would_trade",
    ),
    Scenario(
        "P3",
        "A post-only order through the best opposite price is refused, not repriced.",
        "a1 S 5@50; b1 B 5@51 po",
        "-",
        "- / 5@50",
        "b1 post_only_would_trade",
    ),
    Scenario(
        "P4",
        "A resting post-only order trades like any other.",
        "b1 B 5@50 po; a1 S 3@49",
        "b1*a1 3@50",
        "2@50 / -",
        "b1 open 2",
    ),
    Scenario(
        "P9",
        "A post-only order is accepted once the order that it crossed is gone.",
        "a1 S 5@50; b1 B 5@50 po; x a1; b2 B 5@50 po",
        "-",
        "5@50 / -",
        "a1 cancelled 5; b1 post_only_would_trade; b2 open 5",
    ),
)
SCENARIOS: Final = (*IMMEDIATE_OR_CANCEL, *MINIMUM_QUANTITY, *FILL_OR_KILL, *POST_ONLY)
