"""PostgreSQL clients: a connection pool, authentication errors, a watchdog for silent servers."""
