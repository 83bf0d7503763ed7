-- Day orders. NOT VALID: older rows are of a shorter list, so that no scan of them holds the lock.
ALTER TABLE orders
    DROP CONSTRAINT orders_time_in_force_check,
    ADD CONSTRAINT orders_time_in_force_check
        CHECK (time_in_force IN ('gtc', 'day', 'ioc', 'fok')) NOT VALID;
