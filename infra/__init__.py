"""Apache Kafka and PostgreSQL on this machine, as an exchange needs them.

    servers.py    LocalServers: both at once, one lock, ordered stop
      broker.py     LocalKafka: one KRaft node     kafka_jars.py: its jars, by Maven
        java.py       the Java that runs both      aot_cache.py: what makes it start fast
        aot_training.py  makes that cache            aot_workload.py: under this load
      postgres.py   LocalPostgres: one cluster     unprivileged.py: running it as root
        process.py    ChildProcess: log, stop, kill, pause; parent_death.py: no orphans
    compose.py    the containers of compose.yaml, through the installed Docker Compose
    doctor.py     reports missing programs; bootstrap.sh installs them
    docker.sh     uses or installs a Docker engine; images/ builds images without a registry

Independent of orders, topics and services, and of settings: everything is an argument.
"""
