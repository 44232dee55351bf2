# Logs that our crates write, without a broker: read by Kafka's own tools, and cleaned beside Kafka's own cleaner.

check kafkas_tools_find_nothing_wrong_with_our_files 300 "cd \$top && KAFKA_LIBS=\$libs cargo test -q -p highwater-log --test kafka -- --ignored"
check kafkas_cleaner_leaves_what_ours_leaves 300 "cd \$top && KAFKA_LIBS=\$libs cargo test -q -p highwater-partition --test kafka_cleaner -- --ignored"
