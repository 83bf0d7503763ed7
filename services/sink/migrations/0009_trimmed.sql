-- What `exchange trim database` has deleted, moved in the transaction that deletes: so many rows of
-- this table, each with an id below `before`.
CREATE TABLE trimmed (
    table_name text PRIMARY KEY,
    before     uuid NOT NULL,
    rows       bigint NOT NULL
);
