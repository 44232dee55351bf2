# What the broker left behind, read by Apache Kafka's own tools and by ours.

dump='java -Xmx256m -XX:TieredStopAtLevel=1 -cp "$libs/*" kafka.tools.DumpLogSegments'
check kafka_reads_every_segment 120 "find \$data -name '*.log' -path '*/compat-*' | sort > \$scratch/logs; [ -s \$scratch/logs ] &&
  $dump --deep-iteration --files \$(paste -sd, \$scratch/logs) > \$scratch/dump && ! grep -qiE 'isvalid: false|error|mismatch|non-consecutive' \$scratch/dump"
check kafka_finds_the_indexes_sane 120 "find \$data \\( -name '*.index' -o -name '*.timeindex' \\) -size +0 -path '*/compat-*' | sort > \$scratch/indexes; [ -s \$scratch/indexes ] &&
  $dump --index-sanity-check --files \$(paste -sd, \$scratch/indexes) > \$scratch/dump && ! grep -qiE 'mismatch|corrupt|non-monotonic' \$scratch/dump"
check kafka_verifies_the_indexes_entry_by_entry 120 "$dump --verify-index-only --files \$(paste -sd, \$scratch/indexes) > \$scratch/dump && ! grep -qiE 'mismatch|corrupt' \$scratch/dump"
check kafka_reads_the_metadata_log 60 "$dump --cluster-metadata-decoder --files \$(find \$data/__cluster_metadata-0 -name '*.log' | sort | paste -sd,) > \$scratch/dump &&
  grep -q TOPIC_RECORD \$scratch/dump && grep -q PARTITION_RECORD \$scratch/dump"
if wants groups; then
  check kafka_reads_the_offsets_of_groups 60 "$dump --offsets-decoder --files \$(find \$data -name '*.log' -path '*/__consumer_offsets-*' -size +0 | sort | paste -sd,) > \$scratch/dump &&
    for type in 1 2 3 8; do grep -q \"\\\"type\\\":\\\"\$type\\\"\" \$scratch/dump || exit 1; done && ! grep -qiE 'isvalid: false|fail|could not' \$scratch/dump"
fi
check kafka_reads_the_producer_snapshots 60 "files=\$(find \$data -name '*.snapshot' -path '*/compat-*' | paste -sd,); [ -n \"\$files\" ] && $dump --files \$files > \$scratch/dump && grep -q producerId \$scratch/dump"
check highwater_verifies_the_directory 60 '"$HIGHWATER_BIN" log verify "$data"'
# A bit of the first batch's first record: there is one in whatever log it is.
check highwater_names_a_flipped_bit 30 'cp -r "$data" "$scratch/flipped" && file=$(find "$scratch/flipped" -name "*.log" -path "*/compat-*" -size +8k | sort | head -1) &&
  byte=$(od -An -tu1 -j62 -N1 "$file") && printf "\\$(printf %o $((byte ^ 1)))" | dd of="$file" bs=1 seek=62 conv=notrunc 2> /dev/null &&
  ! "$HIGHWATER_BIN" log verify "$scratch/flipped" > "$scratch/verified" && grep -F "$file" "$scratch/verified"'
