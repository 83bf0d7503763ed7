-- `self_trade_prevention` NULL: none. NOT VALID: older rows are of a shorter list, so that no scan
-- of them holds the lock.
ALTER TABLE orders
    ADD COLUMN self_trade_prevention text
        CHECK (self_trade_prevention IN ('cancel_taker', 'cancel_maker', 'cancel_both')),
    DROP CONSTRAINT orders_closed_reason_check,
    ADD CONSTRAINT orders_closed_reason_check CHECK (closed_reason IN (
        'filled', 'cancelled', 'expired', 'no_liquidity', 'self_trade', 'price_band'
    )) NOT VALID;
-- Dynamic bands. `band_ppm` NULL: none.
ALTER TABLE instruments
    ADD COLUMN band_ppm bigint CHECK (band_ppm > 0),
    ADD COLUMN band_action text NOT NULL DEFAULT 'cancel' CHECK (band_action = 'cancel');
