-- The number of own events of each broker on each partition, moved in the transaction that moves the
-- position. Live feeds number events by it, alike on every gateway.
CREATE TABLE broker_events (
    partition integer NOT NULL,
    broker_id uuid NOT NULL,
    events    bigint NOT NULL,
    PRIMARY KEY (partition, broker_id)
) WITH (fillfactor = 50); -- Nearly every batch changes the rows of the active brokers.

-- events_from: the first command that broker_events counts; 0: all of them. Refused orders are not
-- stored, so only the log has the number of earlier events: the sink counts them at its next start.
ALTER TABLE log_positions ADD COLUMN events_from bigint NOT NULL DEFAULT 0;
UPDATE log_positions SET events_from = next_command;
