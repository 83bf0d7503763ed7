-- Records and rows that cannot be processed: passed over, and listed here for an operator.
-- source: a topic or a table. item: partition@offset of a record, or the key of a row.
CREATE TABLE quarantine (
    source     text NOT NULL,
    item       text NOT NULL,
    reason     text NOT NULL,
    noticed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, item)
);
-- Listed newest first.
CREATE INDEX quarantine_noticed ON quarantine (noticed_at);

-- A page of a broker's delivered webhooks must not read through its pending ones.
CREATE INDEX webhook_deliveries_delivered ON webhook_deliveries (broker_id, event_id, kind)
    WHERE status = 'delivered';
