-- Iceberg orders. `display_quantity`: the size of the next slice; 0: all; NULL: no iceberg order.
-- `displayed_quantity`: what the book shows of it; NULL once it is closed.
ALTER TABLE orders
    ADD COLUMN display_quantity bigint CHECK (display_quantity >= 0),
    ADD COLUMN displayed_quantity bigint CHECK (displayed_quantity > 0);
