"""Live market data over WebSocket: `/ws` of the gateway.

`market` collects what each command changed, `hub` sends it to the subscribers ten times a second,
`session` carries out a client's operations, `connection` is one WebSocket. Nothing here takes part
in placing orders: a slow or stalled client costs itself its connection, and nothing else.
"""
