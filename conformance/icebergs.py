"""The scenarios of iceberg orders, in the language of `conformance.scenarios`."""

from typing import Final

from conformance.scenarios import Scenario

SLICES: Final = (
    Scenario(
        "C1",
        "The book shows one slice of an iceberg order.",
        "a1 S 30@50 show10",
        "-",
        "- / 10@50",
        "a1 open 30",
    ),
    Scenario(
        "C2",
        "A slice that is filled in part is not topped up.",
        "a1 S 30@50 show10; b1 B 4@50",
        "b1*a1 4@50",
        "- / 6@50",
        "a1 open 26",
    ),
    Scenario(
        "C3",
        "The next slice is behind the other orders at its price.",
        "a1 S 30@50 show10; c1 S 5@50; b1 B 12@50",
        "b1*a1 10@50, b1*c1 2@50",
        "- / 13@50",
        "a1 open 20; c1 open 3",
    ),
    Scenario(
        "C4",
        "An order that takes more than the book shows trades with slice after slice, each in turn.",
        "a1 S 30@50 show10; c1 S 5@50; b1 B 32@50",
        "b1*a1 10@50, b1*c1 5@50, b1*a1 10@50, b1*a1 7@50",
        "- / 3@50",
        "a1 open 3",
    ),
    Scenario(
        "C5",
        "Hidden shares of a price trade before shares at the next price.",
        "a1 S 20@50 show10; c1 S 5@51; b1 B 22@51",
        "b1*a1 10@50, b1*a1 10@50, b1*c1 2@51",
        "- / 3@51",
        "a1 filled",
    ),
    Scenario(
        "C6",
        "An iceberg order that arrives trades all it can, and what rests shows a full slice.",
        "a1 S 25@50; b1 B 40@50 show10",
        "b1*a1 25@50",
        "10@50 / -",
        "b1 open 15",
    ),
    Scenario(
        "C7",
        "The last slice is what is left.",
        "a1 S 25@50 show10; b1 B 20@50",
        "b1*a1 10@50, b1*a1 10@50",
        "- / 5@50",
        "a1 open 5",
    ),
    Scenario(
        "C11",
        "Slices of two iceberg orders at one price take turns.",
        "a1 S 9@50 show3; c1 S 4@50 show2; b1 B 11@50",
        "b1*a1 3@50, b1*c1 2@50, b1*a1 3@50, b1*c1 2@50, b1*a1 1@50",
        "- / 2@50",
        "a1 open 2; c1 filled",
    ),
    Scenario(
        "C12",
        "A bid may hide a part as well, and a cancelled order leaves with all of it.",
        "b1 B 30@50 show10; a1 S 12@50; x b1; a2 S 5@50",
        "b1*a1 10@50, b1*a1 2@50",
        "- / 5@50",
        "b1 cancelled 18; a2 open 5",
    ),
)
WITH_CONDITIONS: Final = (
    Scenario(
        "I5",
        "An immediate-or-cancel order trades with hidden shares.",
        "a1 S 30@50 show10; b1 B 25@50 ioc",
        "b1*a1 10@50, b1*a1 10@50, b1*a1 5@50",
        "- / 5@50",
        "a1 open 5; b1 filled",
    ),
    Scenario(
        "F7",
        "A fill-or-kill order counts hidden shares.",
        "a1 S 30@50 show10; b1 B 30@50 fok",
        "b1*a1 10@50, b1*a1 10@50, b1*a1 10@50",
        "- / -",
        "b1 filled",
    ),
    Scenario(
        "F11",
        "A fill-or-kill order of more than shown and hidden shares changes nothing.",
        "a1 S 30@50 show10; b1 B 31@50 fok; b2 B 31@50 ioc min31",
        "-",
        "- / 10@50",
        "a1 open 30; b1 no_liquidity 31; b2 no_liquidity 31",
    ),
    Scenario(
        "P7",
        "A post-only order may hide a part.",
        "b1 B 30@50 po show10",
        "-",
        "10@50 / -",
        "b1 open 30",
    ),
)
REPLACE: Final = (
    Scenario(
        "C8",
        "A smaller quantity takes the hidden shares first.",
        "a1 S 30@50 show10; a1 => 15@",
        "-",
        "- / 10@50",
        "a1 open 15",
    ),
    Scenario(
        "C13",
        "A cut that leaves less than a slice shows what is left, and keeps the place in the book.",
        "a1 S 30@50 show10; c1 S 5@50; a1 => 4@; b1 B 5@50",
        "b1*a1 4@50, b1*c1 1@50",
        "- / 4@50",
        "a1 filled; c1 open 4",
    ),
    Scenario(
        "C14",
        "Another display quantity holds from the next slice on, and keeps the place in the book.",
        "a1 S 30@50 show10; c1 S 5@50; a1 => show4; b1 B 9@50; b2 B 6@50",
        "b1*a1 9@50, b2*a1 1@50, b2*c1 5@50",
        "- / 4@50",
        "a1 open 20; c1 filled",
    ),
    Scenario(
        "C15",
        "A display quantity of 0 shows all that is left, from the next slice on.",
        "a1 S 30@50 show10; a1 => show0; b1 B 9@50; b2 B 2@50",
        "b1*a1 9@50, b2*a1 1@50, b2*a1 1@50",
        "- / 19@50",
        "a1 open 19",
    ),
    Scenario(
        "C16",
        "An iceberg order that is moved to another price shows a full slice there.",
        "a1 S 30@50 show10; b1 B 4@50; a1 => @51",
        "b1*a1 4@50",
        "- / 10@51",
        "a1 open 26",
    ),
    Scenario(
        "C17",
        "An order that shows all cannot hide a part later.",
        "a1 S 30@50; a1 => show10",
        "-",
        "- / 30@50",
        "a1 open 30; a1=> not_amendable",
    ),
    Scenario(
        "C18",
        "A new quantity at or below what is filled closes an iceberg order.",
        "a1 S 30@50 show10; b1 B 12@50; a1 => 12@ show5",
        "b1*a1 10@50, b1*a1 2@50",
        "- / -",
        "a1 cancelled 18",
    ),
)
INCREMENTS: Final = (
    Scenario(
        "C9",
        "A display quantity must be a multiple of the symbol's lot.",
        "rules ref50 lot10; a1 S 30@50 show5",
        "-",
        "- / -",
        "a1 off_lot",
    ),
)
SCENARIOS: Final = (*SLICES, *WITH_CONDITIONS, *REPLACE)
