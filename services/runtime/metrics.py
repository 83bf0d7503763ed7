"""Every metric in one typed list. Base units, bounded labels, no symbol, broker or order label."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

HTTP_SECONDS: Final = Histogram(
    "exchange_http_request_duration_seconds",
    "From the request's head to the last byte of the answer.",
    ["route", "method", "status"],
    buckets=_SECONDS,
)
LIMITED: Final = Counter(
    "exchange_rate_limited_total",
    "Requests answered 429, by the spent budget: orders, cancels, reads, webhooks, secrets, "
    "failed_keys, keyless.",
    ["budget"],
)
CONNECTIONS: Final = Gauge("exchange_http_connections", "Open connections to the HTTP API.")
CONNECTIONS_CUT: Final = Counter(
    "exchange_http_connections_cut_total",
    "Connections ended because the client was too slow, too large or one too many.",
    ["reason"],
)
STREAMS: Final = Gauge(
    "exchange_stream_connections",
    "Open live connections, by transport: websocket, events.",
    ["transport"],
)
STREAMS_MAX: Final = Gauge(
    "exchange_stream_connections_max", "Live connections that this process admits at once."
)
STREAM_RESUMES: Final = Counter(
    "exchange_stream_resumes_total",
    "Subscriptions of a symbol's trades or of own events that began with the last message that "
    "the client had, by channel and result: complete, incomplete.",
    ["channel", "result"],
)
STREAM_SUBSCRIPTIONS: Final = Gauge(
    "exchange_stream_subscriptions", "Subscriptions of live connections, by channel.", ["channel"]
)
STREAM_BYTES: Final = Counter("exchange_stream_bytes_total", "Bytes written to subscribers.")
STREAM_CONFLATED: Final = Counter(
    "exchange_stream_conflated_total",
    "Whole messages in place of changes that a slow client did not get, by channel.",
    ["channel"],
)
SESSION_REQUESTS: Final = Counter(
    "exchange_session_requests_total",
    "Operations of live connections, by the status of their response.",
    ["op", "status"],
)
LEFT_ORDERS_CANCELLED: Final = Counter(
    "exchange_left_orders_cancelled_total",
    "Cancels of orders that sessions of ended gateways left, by cancel on disconnect.",
)
STREAM_MESSAGES: Final = Counter(
    "exchange_stream_messages_total", "Messages to subscribers, by channel.", ["channel"]
)
STREAMS_CUT: Final = Counter(
    "exchange_streams_cut_total", "Live connections that the exchange ended.", ["reason"]
)
STREAM_FLUSH_SECONDS: Final = Histogram(
    "exchange_stream_flush_seconds",
    "Work of a flush before other requests had their turn.",
    buckets=sorted({*_SECONDS, 0.005}),
)
BATCH_ITEMS: Final = Counter(
    "exchange_batch_items_total",
    "Items of POST /orders/batch, by kind and the status of their results.",
    ["kind", "status"],
)
IN_FLIGHT: Final = Gauge("exchange_in_flight_requests", "Requests waiting for the log.")
COMMANDS: Final = Counter(
    "exchange_commands_total", "Commands matched, by the kind of their outcome.", ["event"]
)
REFUSALS: Final = Counter(
    "exchange_commands_refused_total", "Commands that matchers refused, by the reason.", ["code"]
)
LAG_RECORDS: Final = Gauge(
    "exchange_lag_records", "Records between this process and the end of its log.", ["partition"]
)
LOG_CLOCK_AHEAD_SECONDS: Final = Gauge(
    "exchange_log_clock_ahead_seconds",
    "Time of the command log, by Kafka's clock, minus this machine's; 0 while it is not ahead.",
)
OPEN_ORDERS: Final = Gauge("exchange_open_orders", "Orders in the books of this process.")
SNAPSHOT_PAUSE_SECONDS: Final = Histogram(
    "exchange_snapshot_pause_seconds",
    "How long matching stood still for a snapshot.",
    buckets=_SECONDS,
)
SNAPSHOT_BYTES: Final = Gauge(
    "exchange_snapshot_bytes", "Size of the newest snapshot of a partition.", ["partition"]
)
ORDERS_IN_MEMORY: Final = Gauge(
    "exchange_orders_in_memory",
    "Orders the reader holds, open ones and closed ones not yet stored.",
)
NEXT_COMMAND: Final = Gauge(
    "exchange_next_command",
    "First command whose outcome is not in the views of this process yet.",
    ["partition"],
)
SINK_ROWS: Final = Counter("exchange_sink_rows_total", "Rows written.", ["table"])
WEBHOOKS: Final = Counter(
    "exchange_webhooks_total", "Attempts to deliver a webhook, by what came of them.", ["result"]
)
WEBHOOK_SECONDS: Final = Histogram(
    "exchange_webhook_attempt_seconds",
    "From the request of an attempt to the end of its answer.",
    buckets=(*_SECONDS, 10.0),
)
WEBHOOK_AGE_SECONDS: Final = Histogram(
    "exchange_webhook_age_seconds",
    "From a trade to its webhook's delivery.",
    buckets=(*_SECONDS, 10.0, 60.0, 600.0, 3600.0),
)
WEBHOOKS_PENDING: Final = Gauge("exchange_webhooks_pending", "Queued and not delivered yet.")
WEBHOOKS_PARKED: Final = Counter(
    "exchange_webhooks_parked_unsent_total",
    "Parked without an attempt: the receiver is gone, has failed too long, or has too many.",
)
WEBHOOK_RECEIVERS_DUE: Final = Gauge(
    "exchange_webhook_receivers_due",
    "Receivers with a webhook due that no sender has claimed, at the last sweep.",
)
QUARANTINED: Final = Counter(
    "exchange_quarantined_total",
    "Records and rows that could not be processed and were passed over, by topic or table.",
    ["source"],
)
SINK_BEHIND_SECONDS: Final = Gauge(
    "exchange_sink_behind_seconds", "Age of the newest outcome that PostgreSQL has, when stored."
)
DISK_BYTES: Final = Gauge(
    "exchange_disk_bytes", "Size of the disk of a folder of EXCHANGE_DISKS.", ["folder"]
)
DISK_USED_BYTES: Final = Gauge(
    "exchange_disk_used_bytes", "Used part of the disk of a folder of EXCHANGE_DISKS.", ["folder"]
)
