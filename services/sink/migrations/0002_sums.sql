-- What a starting reader needs beside open orders and trades, so that it need not read the whole
-- log: sums over all outcomes so far, moved in the transaction that moves the position.

-- By partition too: a foreign program may write a symbol to the wrong one.
-- book_sequence: of the last event that told one.
CREATE TABLE symbols (
    partition     integer NOT NULL,
    symbol        text NOT NULL,
    book_sequence bigint NOT NULL,
    PRIMARY KEY (partition, symbol)
) WITH (fillfactor = 50); -- Nearly every batch changes nearly every row: leave room beside it.

-- Of every broker that ever traded the symbol, also when it is back at zero.
-- quantity: bought - sold. value: sales - purchases, in cents.
CREATE TABLE balances (
    broker_id uuid NOT NULL,
    symbol    text NOT NULL,
    quantity  bigint NOT NULL,
    value     numeric NOT NULL,
    PRIMARY KEY (broker_id, symbol)
) WITH (fillfactor = 50);

-- clock: the time of the partition's last outcome.
-- summed_from: the first command that symbols and balances count. What was stored before there were
-- such tables is not in them, so only 0 makes them whole.
ALTER TABLE log_positions
    ADD COLUMN clock timestamptz,
    ADD COLUMN summed_from bigint NOT NULL DEFAULT 0;
UPDATE log_positions SET summed_from = next_command;

-- Open orders in log order, found without looking at the closed ones, which only grow.
CREATE INDEX orders_open ON orders (partition, command_offset) WHERE closed_reason IS NULL;
