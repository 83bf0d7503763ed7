"""Plausible symbols of a market, the most traded first. Pure."""

from typing import Final

TICKERS: Final = (
    "PETR4", "VALE3", "ITUB4", "BBDC4", "B3SA3", "PETR3", "BBAS3", "ABEV3", "ITSA4", "MGLU3",
    "WEGE3", "ELET3", "SUZB3", "RENT3", "GGBR4", "PRIO3", "JBSS3", "LREN3", "RADL3", "EQTL3",
    "HAPV3", "RDOR3", "CSAN3", "BBSE3", "CMIG4", "SBSP3", "VIVT3", "CSNA3", "USIM5", "BRFS3",
    "EMBR3", "CPLE6", "RAIL3", "TIMS3", "UGPA3", "KLBN11", "SANB11", "BPAC11", "ENGI11",
    "TAEE11", "TOTS3", "ASAI3", "CCRO3", "CYRE3", "MRFG3", "GOAU4", "BRAP4", "CRFB3", "COGN3",
    "AZUL4",
)  # fmt: skip

# Roughly the range of share prices at B3.
PRICE_CENTS_MIN = 400
PRICE_CENTS_MAX = 9_000
# Of the instruments of flows that need some: the first trade of a symbol replaces it.
REFERENCE_PRICE_CENTS = 3_000


def tickers(count: int) -> tuple[str, ...]:
    """`count` distinct symbols; made-up ones follow at the end of the list."""
    made_up = (f"SYN{number}3" for number in range(count - len(TICKERS)))
    return (*TICKERS[:count], *made_up)


def zipf_weights(count: int, exponent_percent: int) -> tuple[int, ...]:
    """Share of volume by rank in parts per million: 1 / rank ** exponent, scaled to a sum."""
    raw = [(rank + 1) ** (-exponent_percent / 100) for rank in range(count)]
    total = sum(raw)
    return tuple(max(1, int(weight / total * 1_000_000)) for weight in raw)
