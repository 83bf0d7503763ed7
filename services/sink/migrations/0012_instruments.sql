-- Rules of a symbol's market as of the sink's position. `reference_price` counts until the trade
-- after `trade_sequence`, from then on the price of the last trade. NULL: no bound.
CREATE TABLE instruments (
    partition       integer NOT NULL,
    symbol          text NOT NULL,
    phase           text NOT NULL CHECK (phase IN ('continuous', 'halted', 'closed')),
    reference_price bigint NOT NULL CHECK (reference_price > 0),
    trade_sequence  bigint NOT NULL,
    tick_size       bigint NOT NULL CHECK (tick_size > 0),
    lot_size        bigint NOT NULL CHECK (lot_size > 0),
    quantity_max    bigint,
    value_max       bigint,
    price_min       bigint,
    price_max       bigint,
    PRIMARY KEY (partition, symbol)
);
