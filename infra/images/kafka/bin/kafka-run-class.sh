#!/bin/bash
# Runs a class of Kafka's jars with the JVM's settings from the environment.
exec java ${KAFKA_HEAP_OPTS:--Xmx256m} ${KAFKA_JVM_PERFORMANCE_OPTS-} ${KAFKA_OPTS-} \
    -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true -Dlog4j2.disable.jmx=true \
    "-Dlog4j2.configurationFile=${LOG4J_FILE:-/etc/kafka/docker/tools-log4j2.yaml}" \
    -cp '/opt/kafka/libs/*' "$@"
