-- The number of an order's trades, which lists of orders contain. NULL, of an order from before this
-- column: its trades are counted, all of which are stored as long as it is. So no scan of the table
-- holds the lock.
ALTER TABLE orders ADD COLUMN trades_count bigint CHECK (trades_count >= 0);
