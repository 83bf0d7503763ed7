"""Patterns of prose that CONTRIBUTING forbids, as far as a regular expression can find them.

A letter in brackets keeps this file from containing the words.
"""

import re
from typing import Final

RIDDLE: Final = re.compile(
    r"(Who|What|How|Who[e]ver|Whose|Where|When|Which|Why|No[b]ody|Whatever|Whether)\b", re.ASCII
)
PERSON: Final = re.compile(r"\b(h[e]|h[i]s|h[i]m|no[b]ody|some[b]ody|who[e]ver|any[b]ody)\b", re.I)
INVENTED: Final = re.compile(
    r"\b((is|are|was|were|been) t[o]ld(?! apart)|t[e]lls|t[e]lling|in v[a]in|comes? ab[o]ut"
    r"|way o[u]t)\b",
    re.I,
)
