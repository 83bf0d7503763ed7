-- Trades summed by interval of the market's time, moved in the transaction that moves the position.
-- start: a multiple of the interval since 1970 in UTC. value: sum of price times quantity, in cents.
CREATE TABLE candles (
    partition      integer NOT NULL,
    symbol         text NOT NULL,
    interval       text NOT NULL CHECK (interval IN ('1m', '5m', '1h', '1d')),
    start          timestamptz NOT NULL,
    open           bigint NOT NULL,
    high           bigint NOT NULL,
    low            bigint NOT NULL,
    close          bigint NOT NULL,
    volume         bigint NOT NULL,
    value          numeric NOT NULL,
    trades         bigint NOT NULL,
    first_sequence bigint NOT NULL,
    last_sequence  bigint NOT NULL,
    PRIMARY KEY (partition, symbol, interval, start)
) WITH (fillfactor = 70); -- The newest candle of each symbol changes with nearly every batch.

-- The trades stored so far, symbol by symbol: memory is bounded by the candles of one symbol.
DO $$
DECLARE
    one record;
    width record;
BEGIN
    FOR one IN SELECT DISTINCT partition, symbol FROM trades LOOP
        INSERT INTO candles
        SELECT one.partition, one.symbol, '1m', m.start, f.price, m.high, m.low, l.price, m.volume,
            m.value, m.trades, m.first_sequence, m.last_sequence
        FROM (
            SELECT date_bin('1 minute', executed_at, 'epoch') AS start, max(price) AS high,
                min(price) AS low, sum(quantity)::bigint AS volume,
                sum(price::numeric * quantity) AS value, count(*) AS trades,
                min(sequence) AS first_sequence, max(sequence) AS last_sequence
            FROM trades WHERE partition = one.partition AND symbol = one.symbol GROUP BY 1
        ) AS m
        JOIN trades AS f ON (f.partition, f.symbol, f.sequence)
            = (one.partition, one.symbol, m.first_sequence)
        JOIN trades AS l ON (l.partition, l.symbol, l.sequence)
            = (one.partition, one.symbol, m.last_sequence);
        FOR width IN
            SELECT * FROM (VALUES ('5m', '5 minutes'::interval), ('1h', '1 hour'), ('1d', '1 day'))
                AS widths (name, length)
        LOOP
            INSERT INTO candles
            SELECT one.partition, one.symbol, width.name, w.start, f.open, w.high, w.low, l.close,
                w.volume, w.value, w.trades, f.first_sequence, l.last_sequence
            FROM (
                SELECT date_bin(width.length, start, 'epoch') AS start, max(high) AS high,
                    min(low) AS low, sum(volume)::bigint AS volume, sum(value) AS value,
                    sum(trades)::bigint AS trades, min(start) AS first_start,
                    max(start) AS last_start
                FROM candles
                WHERE partition = one.partition AND symbol = one.symbol AND interval = '1m'
                GROUP BY 1
            ) AS w
            JOIN candles AS f ON (f.partition, f.symbol, f.interval, f.start)
                = (one.partition, one.symbol, '1m', w.first_start)
            JOIN candles AS l ON (l.partition, l.symbol, l.interval, l.start)
                = (one.partition, one.symbol, '1m', w.last_start);
        END LOOP;
    END LOOP;
END $$;
