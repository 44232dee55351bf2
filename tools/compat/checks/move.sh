# A data directory moves from Highwater to Apache Kafka and back: topics, ids, settings and records are there each time.

check apache_kafka_starts_on_our_directory_and_we_on_its_again 180 '"$here/checks/there_and_back"'
