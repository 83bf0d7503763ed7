-- The answers to the four reads, made where the data is. Functions in PL/pgSQL keep their plans.

CREATE INDEX open_bids ON orders (symbol, price DESC, arrival)
    WHERE side = 'bid' AND closed_reason IS NULL;
CREATE INDEX open_asks ON orders (symbol, price, arrival)
    WHERE side = 'ask' AND closed_reason IS NULL;
CREATE INDEX trades_of_maker ON trades (maker_order_id);
CREATE INDEX trades_of_taker ON trades (taker_order_id);

CREATE FUNCTION now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
$$;

CREATE FUNCTION instant(ms bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT to_char(
        timestamp '1970-01-01' + ms * interval '1 millisecond', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'
    )
$$;

-- Null when there is no such order of this broker. An order whose time is over shows as expired,
-- whether or not somebody has written that down yet.
CREATE FUNCTION order_resource(wanted uuid, owner uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    o orders;
    made json;
    filled bigint;
BEGIN
    SELECT * INTO o FROM orders WHERE order_id = wanted AND broker_id = owner;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF o.closed_reason IS NULL AND o.valid_until <= now_ms() THEN
        o.closed_reason := 'expired';
        o.updated_at := o.valid_until;
    END IF;
    filled := o.quantity - o.remaining_quantity;
    IF filled > 0 THEN
        SELECT json_agg(json_build_object(
            'trade_id', trade_id,
            'price', price,
            'quantity', quantity,
            'counterparty_broker',
            CASE maker_order_id WHEN wanted THEN taker_broker_id ELSE maker_broker_id END,
            'executed_at', instant(executed_at)
        ) ORDER BY sequence) INTO made
        FROM (
            -- Two looks into an index each; an OR would be a look at every trade.
            SELECT * FROM trades WHERE maker_order_id = wanted
            UNION ALL
            SELECT * FROM trades WHERE taker_order_id = wanted
        ) AS its_trades;
    END IF;
    RETURN json_build_object(
        'order_id', o.order_id,
        'id', o.order_id,
        'client_order_id', o.client_order_id,
        'symbol', o.symbol,
        'side', o.side,
        'order_type', o.order_type,
        'price', o.price,
        'quantity', o.quantity,
        'remaining_quantity', o.remaining_quantity,
        'filled_quantity', filled,
        'average_price', (2 * o.filled_value + filled) / nullif(2 * filled, 0),
        'status', CASE WHEN o.closed_reason IS NULL THEN 'open' ELSE 'closed' END,
        'closed_reason', o.closed_reason,
        'valid_until', instant(o.valid_until),
        'created_at', instant(o.created_at),
        'updated_at', instant(o.updated_at),
        'trades', coalesce(made, '[]'),
        'trades_total', coalesce(json_array_length(made), 0)
    );
END $$;

CREATE FUNCTION price_resource(of_symbol text, counted bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    resource text;
BEGIN
    SELECT json_build_object(
        'symbol', of_symbol,
        'last_price', (array_agg(price ORDER BY sequence DESC))[1],
        'average_price', div(2 * sum(price) + count(*), 2 * count(*)),
        'trades_in_average', count(*),
        'sequence', max(sequence),
        'as_of', instant(now_ms())
    ) INTO resource
    FROM (
        SELECT price, sequence FROM trades
        WHERE symbol = of_symbol ORDER BY sequence DESC LIMIT counted
    ) AS newest
    HAVING count(*) > 0;
    RETURN resource;
END $$;

CREATE FUNCTION book_resource(of_symbol text, levels bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    moment bigint := now_ms();
BEGIN
    RETURN json_build_object(
        'symbol', of_symbol,
        'depth', levels,
        'bids', coalesce((
            SELECT json_agg(level) FROM (
                SELECT price, sum(remaining_quantity) AS total_quantity, count(*) AS order_count
                FROM orders
                WHERE symbol = of_symbol AND side = 'bid' AND closed_reason IS NULL
                    AND (valid_until IS NULL OR valid_until > moment)
                GROUP BY price ORDER BY price DESC LIMIT levels
            ) AS level
        ), '[]'),
        'asks', coalesce((
            SELECT json_agg(level) FROM (
                SELECT price, sum(remaining_quantity) AS total_quantity, count(*) AS order_count
                FROM orders
                WHERE symbol = of_symbol AND side = 'ask' AND closed_reason IS NULL
                    AND (valid_until IS NULL OR valid_until > moment)
                GROUP BY price ORDER BY price LIMIT levels
            ) AS level
        ), '[]'),
        'sequence',
        coalesce((SELECT book_sequence FROM symbols WHERE symbol = of_symbol), 0),
        'as_of', instant(moment)
    );
END $$;

CREATE FUNCTION balance_resource(owner uuid, owner_name text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (
        SELECT json_build_object(
            'broker_id', owner,
            'broker_name', owner_name,
            'balance', coalesce(sum(cash), 0),
            'positions', coalesce(
                json_agg(json_build_object('symbol', symbol, 'quantity', quantity) ORDER BY symbol)
                    FILTER (WHERE quantity <> 0),
                '[]'
            )
        )
        FROM positions WHERE broker_id = owner
    );
END $$;
