#!/bin/bash
# Makes /opt/kafka/cache/broker.aot while the image is built: a broker under load records its classes
# and the profiles of its methods, then a second JVM turns the record into the cache.
set -euo pipefail

RUN=/opt/kafka/bin/kafka-run-class.sh
CACHE=/opt/kafka/cache/broker.aot
READY_LIMIT_S=120
RECORDS=40000

work="$(mktemp -d)"
broker=""
cleanup() {
    [ -z "$broker" ] || kill -KILL "$broker" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

# A build may share the network of its machine: on the loopback interface, and not on Kafka's own port.
port=$((20000 + RANDOM % 10000))
server="127.0.0.1:$port"
cat /etc/kafka/docker/server.properties - >"$work/server.properties" <<END
listeners=PLAINTEXT://$server,CONTROLLER://127.0.0.1:$((port + 10000))
advertised.listeners=PLAINTEXT://$server
controller.quorum.voters=1@127.0.0.1:$((port + 10000))
log.dirs=$work/data
END
export KAFKA_HEAP_OPTS=-Xmx256m
"$RUN" kafka.tools.StorageTool format --cluster-id "$(/opt/kafka/bin/kafka-storage.sh random-uuid)" \
    --config "$work/server.properties"

flags="-XX:AOTConfiguration=$work/recorded"
export LOG4J_FILE=/etc/kafka/docker/log4j2.yaml
KAFKA_HEAP_OPTS="-Xms512m -Xmx512m" KAFKA_OPTS="-XX:AOTMode=record $flags" \
    "$RUN" kafka.Kafka "$work/server.properties" >"$work/broker.log" 2>&1 &
broker=$!
unset LOG4J_FILE
until { : >"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null; do
    if [ "$SECONDS" -gt "$READY_LIMIT_S" ] || ! kill -0 "$broker"; then
        tail -n 20 "$work/broker.log" >&2
        exit 1
    fi
    sleep 0.5
done

for topic in log public; do
    /opt/kafka/bin/kafka-topics.sh --bootstrap-server "$server" --create --topic "$topic" --partitions 2
done
# Small batches, then transactions, and a reader of both.
produce() {
    local topic="$1"
    shift
    "$RUN" org.apache.kafka.tools.ProducerPerformance --bootstrap-server "$server" --topic "$topic" \
        --num-records "$RECORDS" --record-size 250 --throughput 4000 "$@" | tail -n 1
}
produce log --command-property acks=all linger.ms=0 max.in.flight.requests.per.connection=1 &
producer=$!
produce public --command-property linger.ms=0 max.in.flight.requests.per.connection=1 \
    --transaction-duration-ms 50
wait "$producer"
for topic in log public; do
    "$RUN" org.apache.kafka.tools.ConsumerPerformance --bootstrap-server "$server" --topic "$topic" \
        --num-records "$RECORDS" | tail -n 1
done

kill -TERM "$broker"
wait "$broker" || true
broker=""
KAFKA_HEAP_OPTS="-Xms512m -Xmx512m" KAFKA_OPTS="-XX:AOTMode=create $flags -XX:AOTCache=$CACHE" \
    "$RUN" kafka.Kafka
ls -l "$CACHE"
