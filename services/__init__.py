"""The pipeline, one process a stage; arrows are Kafka topics unless said otherwise.

    brokers --REST--> ingest --> exchange.commands.v1 --> matcher (one consumer per partition)
                        ^                                   |-> exchange.executions.v1
                        |                                   |-> market.trades.v1, market.book.v1
                        +--------- outcome <----------------+
    brokers <--REST-- reader (views in memory) <------------+
    brokers <--HTTP-- webhooks <-- PostgreSQL <-- sink <----+

`gateway` mounts ingest's, reader's and webhooks' routes on one port; `cli` is the operator's
`exchange` command; `runtime` has settings, Kafka, PostgreSQL, health and lifecycle for all of
them. Services do not import each other (gateway and cli do).
"""
