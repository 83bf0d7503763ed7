-- Matching inside of PostgreSQL. The row of a symbol is the lock of its market: whoever changes an
-- order of the symbol holds it until the commit, and nobody ever holds one and waits for another.

CREATE UNIQUE INDEX retries ON orders (broker_id, symbol, client_order_id)
    WHERE client_order_id IS NOT NULL;
CREATE INDEX due ON orders (valid_until)
    WHERE closed_reason IS NULL AND valid_until IS NOT NULL;

-- `verdict`: placed, repeated (the order of the first time), reused (for another order before).
CREATE FUNCTION place_order(wanted orders, OUT verdict text, OUT resource text)
LANGUAGE plpgsql AS $$
DECLARE
    market symbols;
    known orders;
    maker orders;
    makers refcursor;
    made trades[] := '{}';
    one trades;
    moment bigint;
BEGIN
    -- 1. The lock.
    SELECT * INTO market FROM symbols WHERE symbol = wanted.symbol FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO symbols VALUES (wanted.symbol, 0, 0) ON CONFLICT DO NOTHING;
        SELECT * INTO market FROM symbols WHERE symbol = wanted.symbol FOR UPDATE;
    END IF;
    moment := now_ms();

    -- 2. A retry.
    IF wanted.client_order_id IS NOT NULL THEN
        SELECT * INTO known FROM orders
        WHERE broker_id = wanted.broker_id AND symbol = wanted.symbol
            AND client_order_id = wanted.client_order_id;
        IF FOUND THEN
            verdict := CASE WHEN
                (known.document_number, known.side, known.order_type,
                 known.quantity, known.price, known.valid_until)
                IS NOT DISTINCT FROM
                (wanted.document_number, wanted.side, wanted.order_type,
                 wanted.quantity, wanted.price, wanted.valid_until)
                THEN 'repeated' ELSE 'reused' END;
            resource := order_resource(known.order_id, known.broker_id);
            RETURN;
        END IF;
    END IF;

    -- 3. Trades with the best price, the oldest order there, until the limit or the quantity.
    IF wanted.side = 'bid' THEN
        OPEN makers FOR SELECT * FROM orders
            WHERE symbol = wanted.symbol AND side = 'ask' AND closed_reason IS NULL
                AND price <= coalesce(wanted.price, 1000000000)
                AND (valid_until IS NULL OR valid_until > moment)
            ORDER BY price, arrival;
    ELSE
        OPEN makers FOR SELECT * FROM orders
            WHERE symbol = wanted.symbol AND side = 'bid' AND closed_reason IS NULL
                AND price >= coalesce(wanted.price, 1)
                AND (valid_until IS NULL OR valid_until > moment)
            ORDER BY price DESC, arrival;
    END IF;
    wanted.filled_value := 0;
    wanted.remaining_quantity := wanted.quantity;
    WHILE wanted.remaining_quantity > 0 LOOP
        FETCH makers INTO maker;
        EXIT WHEN NOT FOUND;
        market.trade_sequence := market.trade_sequence + 1;
        one := (
            wanted.symbol, market.trade_sequence, gen_random_uuid(), maker.price,
            least(wanted.remaining_quantity, maker.remaining_quantity),
            maker.order_id, maker.broker_id, wanted.order_id, wanted.broker_id, wanted.side, moment
        );
        made := made || one;
        wanted.remaining_quantity := wanted.remaining_quantity - one.quantity;
        wanted.filled_value := wanted.filled_value + one.price * one.quantity;
        UPDATE orders SET
            remaining_quantity = remaining_quantity - one.quantity,
            filled_value = filled_value + one.price * one.quantity,
            closed_reason = CASE remaining_quantity WHEN one.quantity THEN 'filled' END,
            updated_at = moment
        WHERE order_id = maker.order_id;
    END LOOP;
    CLOSE makers;

    -- 4. The order as it stands, and all that follows from the trades.
    wanted.closed_reason := CASE
        WHEN wanted.remaining_quantity = 0 THEN 'filled'
        WHEN wanted.order_type = 'market' THEN 'no_liquidity'
    END;
    wanted.created_at := moment;
    wanted.updated_at := moment;
    wanted.arrival := nextval('orders_arrival_seq');
    INSERT INTO orders SELECT (wanted).*;
    IF cardinality(made) > 0 THEN
        INSERT INTO trades SELECT * FROM unnest(made);
        PERFORM add_positions(made);
    END IF;
    IF cardinality(made) > 0 OR wanted.closed_reason IS NULL THEN
        UPDATE symbols
        SET book_sequence = book_sequence + 1, trade_sequence = market.trade_sequence
        WHERE symbol = wanted.symbol;
    END IF;
    verdict := 'placed';
    resource := order_resource(wanted.order_id, wanted.broker_id);
END $$;

-- `reason`: why the order has left the market, now or before; null when there is no such order.
CREATE FUNCTION cancel_order(wanted uuid, owner uuid, OUT reason text, OUT resource text)
LANGUAGE plpgsql AS $$
DECLARE
    o orders;
BEGIN
    SELECT * INTO o FROM orders WHERE order_id = wanted AND broker_id = owner;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF o.closed_reason IS NULL THEN
        PERFORM FROM symbols WHERE symbol = o.symbol FOR UPDATE;
        UPDATE orders SET
            closed_reason = CASE WHEN valid_until <= now_ms() THEN 'expired' ELSE 'cancelled' END,
            updated_at = least(valid_until, now_ms())
        WHERE order_id = wanted AND closed_reason IS NULL;
        IF FOUND THEN
            UPDATE symbols SET book_sequence = book_sequence + 1 WHERE symbol = o.symbol;
        END IF;
        SELECT * INTO o FROM orders WHERE order_id = wanted;
    END IF;
    reason := o.closed_reason;
    resource := order_resource(wanted, owner);
END $$;

-- Writes down what has expired, in markets that nobody trades just now.
CREATE FUNCTION expire_due() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    moment bigint := now_ms();
    locked text;
BEGIN
    FOR locked IN
        SELECT symbol FROM symbols
        WHERE symbol IN (
            SELECT symbol FROM orders WHERE closed_reason IS NULL AND valid_until <= moment
        )
        FOR UPDATE SKIP LOCKED
    LOOP
        UPDATE orders SET closed_reason = 'expired', updated_at = valid_until
        WHERE symbol = locked AND closed_reason IS NULL AND valid_until <= moment;
        UPDATE symbols SET book_sequence = book_sequence + 1 WHERE symbol = locked;
    END LOOP;
END $$;
