-- Stop orders. `stop_price` NULL: no stop order. `triggered_at`: when a trade elected it.
ALTER TABLE orders
    ADD COLUMN stop_price bigint CHECK (stop_price > 0),
    ADD COLUMN triggered_at timestamptz;
