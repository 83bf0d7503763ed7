#!/bin/bash
# Runs a class of Kafka's jars with the JVM's settings from the environment.
# The jars in a fixed order: an AOT cache fits only the class path that it was made with.
class_path="$(printf '%s:' /opt/kafka/libs/*.jar)"
exec java ${KAFKA_HEAP_OPTS:--Xmx256m} ${KAFKA_JVM_PERFORMANCE_OPTS-} ${KAFKA_OPTS-} \
    -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true -Dlog4j2.disable.jmx=true \
    --sun-misc-unsafe-memory-access=allow \
    "-Dlog4j2.configurationFile=${LOG4J_FILE:-/etc/kafka/docker/tools-log4j2.yaml}" \
    -cp "${class_path%:}" "$@"
