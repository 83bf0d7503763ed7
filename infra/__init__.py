"""The servers an exchange stands on, started on this machine: Apache Kafka and PostgreSQL.

    servers.py    LocalServers: both at once, one lock, ordered stop
      broker.py     LocalKafka: one KRaft node     jars.py: its jars, by Maven, once
      postgres.py   LocalPostgres: one cluster     unprivileged.py: how it runs for root
        process.py    ChildProcess: log, stop, kill, pause; parent_death.py: no orphans
    compose.py    the containers of compose.yaml, by whichever Compose there is; Dockerfile: ours
    doctor.py     what this machine lacks; bootstrap.sh installs it
    docker.sh     a Docker engine, used or installed; images/ builds what no registry gives

Knows nothing of orders, topics or services, and reads no setting: everything is an argument.
"""
