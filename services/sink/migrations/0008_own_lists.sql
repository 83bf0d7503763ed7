-- A broker's orders and fills in pages: an id begins with the time, so its order is that of time.
CREATE INDEX orders_broker ON orders (broker_id, id);
CREATE INDEX orders_broker_client_id ON orders (broker_id, client_order_id, id)
    WHERE client_order_id IS NOT NULL;
CREATE INDEX trades_buyer ON trades (buy_broker_id, id);
CREATE INDEX trades_seller ON trades (sell_broker_id, id);
