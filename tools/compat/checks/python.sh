# kafka-python, confluent-kafka (librdkafka) and aiokafka.

for client in kafka_python confluent aio; do
  check "python_$client" 90 '"$python" "$here/checks/'$client'.py" "$bootstrap" "$topic-'$client'"'
done
