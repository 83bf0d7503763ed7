-- The newest trades of an order, and pages of older ones, without reading all of them: an id begins
-- with the time and the position in the log, so its order is that of execution.
CREATE INDEX trades_buy_order_newest ON trades (buy_order_id, id);
CREATE INDEX trades_sell_order_newest ON trades (sell_order_id, id);
DROP INDEX trades_buy_order;
DROP INDEX trades_sell_order;
