"""Users and rights on both servers: Kafka ACLs, PostgreSQL grants, and the passwords' files."""
