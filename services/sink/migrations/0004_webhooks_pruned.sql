-- What the senders have deleted of webhook_deliveries, moved in the transaction that deletes: so
-- many sides of trades of this broker, each with an id below `before`. Tests are not counted.
-- A table of its own: a receiver's row is locked while it is claimed.
CREATE TABLE webhook_pruned (
    broker_id uuid PRIMARY KEY,
    before    uuid NOT NULL,
    sides     bigint NOT NULL
);
