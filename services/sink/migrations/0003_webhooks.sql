-- The webhook outbox. The sink queues, services/webhooks delivers; both sides of a trade are
-- queued in the transaction that stores the trade.

-- Where a broker's webhooks go, written by the sink; and what the senders know of the receiver.
-- secrets: newest first, as in the broker's record.
-- failures: attempts in a row that failed. paused_until: nothing is sent before.
-- disabled_at: the receiver said 410 Gone.
-- lease_...: the PostgreSQL session of the sender that works on it; void when that is over, or gone.
CREATE TABLE webhook_endpoints (
    broker_id     uuid PRIMARY KEY,
    url           text NOT NULL,
    secrets       jsonb NOT NULL,
    failures      integer NOT NULL DEFAULT 0,
    paused_until  timestamptz NOT NULL DEFAULT '-infinity',
    disabled_at   timestamptz,
    lease_pid     integer,
    lease_started timestamptz,
    leased_until  timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);

-- kind: the side of the trade event_id, or a test that the broker asked for.
-- (event_id, kind) is the webhook-id. Ids begin with the time, so they are in order per broker;
-- the key is what makes each side's webhook one, whatever the sink does.
-- queued_at: when it came, or was asked for again.
CREATE TABLE webhook_deliveries (
    broker_id                uuid NOT NULL,
    event_id                 uuid NOT NULL,
    kind                     text NOT NULL CHECK (kind IN ('bid', 'ask', 'test')),
    order_remaining_quantity bigint CHECK ((order_remaining_quantity IS NULL) = (kind = 'test')),
    status                   text NOT NULL DEFAULT 'pending'
                             CHECK (status IN ('pending', 'delivered', 'parked')),
    attempts                 integer NOT NULL DEFAULT 0,
    queued_at                timestamptz NOT NULL DEFAULT now(),
    next_attempt_at          timestamptz NOT NULL DEFAULT now(),
    finished_at              timestamptz CHECK ((finished_at IS NULL) = (status = 'pending')),
    last_status              integer,
    last_error               text,
    PRIMARY KEY (broker_id, event_id, kind)
) WITH (fillfactor = 85); -- Room for the result beside what was queued.

-- What a sender looks for, and what a broker does; neither should wade through what is delivered.
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (broker_id, event_id, kind)
    WHERE status = 'pending';
CREATE INDEX webhook_deliveries_parked ON webhook_deliveries (broker_id, event_id, kind)
    WHERE status = 'parked';

-- Wakes the senders, whoever queues: the sink with a COPY, the API with a test.
CREATE FUNCTION webhook_queued() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY exchange_webhooks;
    RETURN NULL;
END $$;
CREATE TRIGGER webhook_queued AFTER INSERT ON webhook_deliveries
    FOR EACH STATEMENT EXECUTE FUNCTION webhook_queued();

-- queued_from: the first command whose trades were queued as they were stored.
ALTER TABLE log_positions ADD COLUMN queued_from bigint NOT NULL DEFAULT 0;
UPDATE log_positions SET queued_from = next_command;
