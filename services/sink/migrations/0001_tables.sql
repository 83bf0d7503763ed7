-- Everything here is derived from the log and can be rebuilt from it.
-- (partition, command_offset) is the command that brought the row. Prices are cents.

CREATE TABLE brokers (
    id           uuid PRIMARY KEY,
    name         text NOT NULL,
    api_key_hash text NOT NULL,
    webhook_url  text,
    created_at   timestamptz NOT NULL
);

-- No foreign key to brokers: they arrive on another topic, perhaps later.
CREATE TABLE orders (
    id                 uuid PRIMARY KEY,
    broker_id          uuid NOT NULL,
    document_number    text NOT NULL,
    client_order_id    text,
    symbol             text NOT NULL,
    side               text NOT NULL CHECK (side IN ('bid', 'ask')),
    order_type         text NOT NULL CHECK (order_type IN ('limit', 'market')),
    price              bigint CHECK (price > 0),
    quantity           bigint NOT NULL,
    remaining_quantity bigint NOT NULL,
    filled_value       numeric NOT NULL,
    valid_until        timestamptz,
    status             text NOT NULL GENERATED ALWAYS AS
                       (CASE WHEN closed_reason IS NULL THEN 'open' ELSE 'closed' END) STORED,
    closed_reason      text
                       CHECK (closed_reason IN ('filled', 'cancelled', 'expired', 'no_liquidity')),
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    partition          integer NOT NULL,
    command_offset     bigint NOT NULL,
    CHECK ((price IS NULL) = (order_type = 'market')),
    CHECK (remaining_quantity BETWEEN 0 AND quantity),
    CHECK ((remaining_quantity = 0) = (closed_reason IS NOT DISTINCT FROM 'filled'))
) WITH (fillfactor = 85); -- Room for an order's later states beside its first one.

CREATE TABLE trades (
    id             uuid PRIMARY KEY,
    buy_order_id   uuid NOT NULL,
    sell_order_id  uuid NOT NULL,
    buy_broker_id  uuid NOT NULL,
    sell_broker_id uuid NOT NULL,
    symbol         text NOT NULL,
    price          bigint NOT NULL CHECK (price > 0),
    quantity       bigint NOT NULL CHECK (quantity > 0),
    aggressor_side text NOT NULL CHECK (aggressor_side IN ('bid', 'ask')),
    sequence       bigint NOT NULL,
    executed_at    timestamptz NOT NULL,
    partition      integer NOT NULL,
    command_offset bigint NOT NULL,
    index          integer NOT NULL,
    -- The second guard beside the fence: a trade stored twice is an error, whatever its id.
    -- By partition too: a foreign program may write a symbol to the wrong one.
    UNIQUE (partition, symbol, sequence)
);

-- An order's trades, from either side.
CREATE INDEX trades_buy_order ON trades (buy_order_id);
CREATE INDEX trades_sell_order ON trades (sell_order_id);

-- Where the sink stands; moves in the transaction that writes the rows.
-- next_command: first command whose outcome is not stored yet; next_record, epoch: how to read on.
CREATE TABLE log_positions (
    partition    integer PRIMARY KEY,
    next_command bigint NOT NULL,
    next_record  bigint NOT NULL,
    epoch        bigint NOT NULL
);

-- Which log this database was filled from: one row, written by the first sink.
CREATE TABLE log_identity (
    singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    cluster_id text NOT NULL,
    topic      text NOT NULL,
    topic_id   text NOT NULL
);
