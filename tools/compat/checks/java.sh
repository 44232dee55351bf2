# Apache Kafka's own console and performance tools.

tool='java -Xmx256m -XX:TieredStopAtLevel=1 -cp "$libs/*"'
tools="$tool org.apache.kafka.tools"
check java_reads_the_api_versions 30 "$tools.BrokerApiVersionsCommand --bootstrap-server \$bootstrap | grep -q 'ApiVersions(18)'"
check java_creates_describes_and_lists_topics 60 "$tools.TopicCommand --bootstrap-server \$bootstrap --create --topic \$topic-j --partitions 2 --config retention.ms=1000000 &&
  $tools.TopicCommand --bootstrap-server \$bootstrap --describe --topic \$topic-j > \$scratch/described && grep -q 'PartitionCount: 2' \$scratch/described &&
  $tools.TopicCommand --bootstrap-server \$bootstrap --list | grep -qx \$topic-j"
check java_adds_partitions 30 "$tools.TopicCommand --bootstrap-server \$bootstrap --alter --topic \$topic-j --partitions 3 &&
  $tools.TopicCommand --bootstrap-server \$bootstrap --describe --topic \$topic-j | grep -q 'PartitionCount: 3'"
check java_alters_and_describes_configs 60 "$tool kafka.admin.ConfigCommand --bootstrap-server \$bootstrap --entity-type topics --entity-name \$topic-j --alter --add-config retention.ms=9999 &&
  $tool kafka.admin.ConfigCommand --bootstrap-server \$bootstrap --entity-type topics --entity-name \$topic-j --describe | grep -q 'retention.ms=9999'"
check java_refuses_an_unknown_config 30 "! $tool kafka.admin.ConfigCommand --bootstrap-server \$bootstrap --entity-type topics --entity-name \$topic-j --alter --add-config retention.mss=1"
check java_describes_the_broker_config 30 "$tool kafka.admin.ConfigCommand --bootstrap-server \$bootstrap --entity-type brokers --entity-name \$(kcat -b \$bootstrap -L | awk '/^  broker/{print \$2; exit}') --describe --all | grep -q 'log.segment.bytes='"
check java_verifiable_producer_acks_all 60 "$tools.VerifiableProducer --bootstrap-server \$bootstrap --topic \$topic-j --max-messages 100 --acks -1 | grep -q '\"acked\":100'"
check java_console_consumer_reads_one_partition 60 "seq 1 20 | $tools.ConsoleProducer --bootstrap-server \$bootstrap --topic \$topic-c --sync &&
  $tools.GetOffsetShell --bootstrap-server \$bootstrap --topic \$topic-c | awk -F: '{s+=\$3} END {exit s!=20}'"
check java_get_offsets 30 "$tools.GetOffsetShell --bootstrap-server \$bootstrap --topic \$topic-j | awk -F: '{s+=\$3} END {exit s!=100}'"
for codec in none gzip snappy lz4 zstd; do
  check "java_performance_producer_$codec" 60 "$tools.ProducerPerformance --topic \$topic-p-$codec --num-records 5000 --record-size 200 --throughput -1 --producer-props bootstrap.servers=\$bootstrap compression.type=$codec |
    grep -q '5000 records sent'"
done
check java_deletes_records 60 "printf '{\"partitions\":[{\"topic\":\"%s\",\"partition\":0,\"offset\":5}],\"version\":1}' \$topic-c > \$scratch/delete.json &&
  seq 1 20 | kcat -b \$bootstrap -P -t \$topic-c -p 0 &&
  $tools.DeleteRecordsCommand --bootstrap-server \$bootstrap --offset-json-file \$scratch/delete.json | grep -q 'low_watermark: 5'"
check java_describes_log_dirs 30 "$tools.LogDirsCommand --bootstrap-server \$bootstrap --describe --topic-list \$topic-j | grep -q '\"error\":null'"
check java_describes_the_cluster 30 "$tools.ClusterTool cluster-id --bootstrap-server \$bootstrap | grep -q 'Cluster ID: '"
check java_deletes_a_topic 60 "$tools.TopicCommand --bootstrap-server \$bootstrap --delete --topic \$topic-j && ! $tools.TopicCommand --bootstrap-server \$bootstrap --list | grep -qx \$topic-j"
