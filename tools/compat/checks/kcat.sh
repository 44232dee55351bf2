# kcat, and librdkafka under it.

check kcat_lists_the_broker 10 'kcat -b $bootstrap -L -m 5 | grep -q "1 brokers"'
check kcat_produces_to_a_topic_that_its_first_record_creates 10 'seq 1 100 | kcat -b $bootstrap -P -t $topic -p 0'
check kcat_consumes_all_of_it_in_order 10 'diff <(seq 1 100) <(kcat -b $bootstrap -C -t $topic -p 0 -o beginning -e -q)'
check kcat_consumes_the_last_five 10 'diff <(seq 96 100) <(kcat -b $bootstrap -C -t $topic -p 0 -o -5 -e -q)'
check kcat_consumes_from_an_offset 10 'diff <(seq 51 100) <(kcat -b $bootstrap -C -t $topic -p 0 -o 50 -e -q)'
check kcat_keeps_keys_and_headers 10 'echo "k:v" | kcat -b $bootstrap -P -t $topic-h -p 0 -K: -H a=1 -H b=2 &&
  [ "$(kcat -b $bootstrap -C -t $topic-h -p 0 -o beginning -e -q -f "%k=%s;%h")" = "k=v;a=1,b=2" ]'
check kcat_keeps_null_values 10 'echo "k:" | kcat -b $bootstrap -P -t $topic-n -p 0 -K: -Z &&
  [ "$(kcat -b $bootstrap -C -t $topic-n -p 0 -o beginning -e -q -f "%k %S")" = "k -1" ]'
for codec in none gzip snappy lz4 zstd; do
  check "kcat_gives_back_a_file_byte_for_byte_with_$codec" 60 'seq 1 20000 | sed "s/$/ the quick brown fox jumps over the lazy dog/" > $scratch/lines;
    kcat -b $bootstrap -P -t $topic-'$codec' -p 0 -z '$codec' < $scratch/lines &&
    kcat -b $bootstrap -C -t $topic-'$codec' -p 0 -o beginning -e -q | cmp - $scratch/lines'
done
check kcat_finds_an_offset_by_timestamp 10 'kcat -b $bootstrap -Q -t $topic:0:1 | grep -q "offset 0"'
check kcat_idempotent_producer 15 'seq 101 150 | kcat -b $bootstrap -P -t $topic -p 0 -X enable.idempotence=true &&
  diff <(seq 1 150) <(kcat -b $bootstrap -C -t $topic -p 0 -o beginning -e -q)'
check kcat_with_acks_0_and_1 15 'seq 1 50 | kcat -b $bootstrap -P -t $topic-a -p 0 -X acks=1 && seq 51 100 | kcat -b $bootstrap -P -t $topic-a -p 0 -X acks=0 &&
  diff <(seq 1 100) <(kcat -b $bootstrap -C -t $topic-a -p 0 -o beginning -c 100 -q)'
check kcat_tail_wakes_at_the_append 15 'kcat -b $bootstrap -C -t $topic -p 0 -o end -c 1 -q -X fetch.wait.max.ms=60000 > $scratch/tail & tail=$!;
  for i in $(seq 100); do echo tail-$i | kcat -b $bootstrap -P -t $topic -p 0; kill -0 $tail 2>/dev/null || break; done; wait $tail && grep -q "^tail-" $scratch/tail'
check kcat_refuses_a_record_over_the_limit 10 'head -c 1500000 /dev/zero | tr "\0" x > $scratch/big;
  ! kcat -b $bootstrap -P -t $topic -p 0 -X message.max.bytes=4000000 -X message.timeout.ms=6000 $scratch/big 2> $scratch/why; grep -qi "size\|large" $scratch/why'
