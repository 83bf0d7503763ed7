-- Conditions of orders. `time_in_force` NULL: gtc for a limit order, ioc for a market order.
-- Columns with a constant default are added without rewriting the table.
ALTER TABLE orders
    ADD COLUMN time_in_force text CHECK (time_in_force IN ('gtc', 'ioc', 'fok')),
    ADD COLUMN post_only boolean NOT NULL DEFAULT false,
    ADD COLUMN minimum_quantity bigint CHECK (minimum_quantity > 0);
