-- How many test webhooks of a broker wait, without reading its other ones.
CREATE INDEX webhook_deliveries_pending_tests ON webhook_deliveries (broker_id)
    WHERE kind = 'test' AND status = 'pending';
