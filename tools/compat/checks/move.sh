# A data directory moves from Highwater to Apache Kafka and back: topics, ids, settings and records are there each time.

check apache_kafka_starts_on_our_directory_and_we_on_its_again 180 '"$here/checks/there_and_back"'
check groups_live_on_while_kafka_is_replaced_by_us_and_we_by_kafka 240 'KAFKA_LIBS=$libs TMPDIR=$scratch "$python" "$here/group/taken_over.py"'
