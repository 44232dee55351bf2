# Consumer groups: Apache Kafka's group tools, and groups whose members are of several clients and are killed.

tool='java -Xmx256m -XX:TieredStopAtLevel=1 -cp "$libs/*"'
groups="$tool org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --bootstrap-server \$bootstrap --timeout 20000"
configs="$tool kafka.admin.ConfigCommand --bootstrap-server \$bootstrap --entity-type groups"
console="$tool org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server \$bootstrap --timeout-ms 20000"
# The lines of a topic in `--describe`: partition, committed, end, lag.
rows="awk -v t=\$topic-g '\$2 == t { print \$3, \$4, \$5, \$6 }' | sort"

check groups_a_group_reads_a_topic_and_commits 60 "kcat -b \$bootstrap -P -t \$topic-g -p 0 < <(seq 1 60) && kcat -b \$bootstrap -P -t \$topic-g -p 1 < <(seq 61 100) &&
  [ \$($console --topic \$topic-g --group \$topic-old --from-beginning --max-messages 100 | sort -n | uniq | wc -l) = 100 ]"
check groups_the_consumer_protocol_reads_a_topic_and_commits 60 "[ \$($console --topic \$topic-g --group \$topic-new --consumer-property group.protocol=consumer --from-beginning --max-messages 100 | sort -n | uniq | wc -l) = 100 ]"
check groups_kcat_reads_on_where_the_java_client_committed 40 "seq 101 110 | kcat -b \$bootstrap -P -t \$topic-g -p 0 &&
  diff <(seq 101 110) <(timeout 20 kcat -b \$bootstrap -G \$topic-old -X session.timeout.ms=6000 -c 10 -q \$topic-g)"
check groups_are_listed_with_state_and_type 60 "$groups --list --state > \$scratch/states && grep -qE \"^\$topic-old +(Empty|empty)\" \$scratch/states &&
  $groups --list --type > \$scratch/types && grep -qiE \"^\$topic-old +classic\" \$scratch/types && grep -qiE \"^\$topic-new +consumer\" \$scratch/types"
check groups_are_listed_by_the_group_tool 30 "$tool org.apache.kafka.tools.GroupsCommand --bootstrap-server \$bootstrap --list | grep -qE \"^\$topic-new +Consumer\""
check groups_lag_is_told_per_partition 60 "seq 111 113 | kcat -b \$bootstrap -P -t \$topic-g -p 1 && $groups --describe --group \$topic-old > \$scratch/described &&
  diff <(cat \$scratch/described | $rows | head -2) <(printf '0 70 70 0\n1 40 43 3\n')"
check groups_members_and_state_are_told_while_they_live 60 "kcat -b \$bootstrap -G \$topic-old -X session.timeout.ms=6000 -X client.id=lively -q \$topic-g > /dev/null 2>&1 & kcat=\$!; trap 'kill -9 \$kcat' EXIT;
  for try in \$(seq 8); do $groups --describe --group \$topic-old --members --verbose > \$scratch/members; grep -q 'lively.*0,1' \$scratch/members && break; done; grep -q 'lively.*0,1' \$scratch/members &&
  $groups --describe --group \$topic-old --state | grep -qE 'Stable +1' &&
  $groups --delete --group \$topic-old | grep -q GroupNotEmptyException &&
  $groups --reset-offsets --group \$topic-old --topic \$topic-g --to-earliest --execute | grep -q 'can only be reset if'"
check groups_a_killed_member_is_gone_after_its_session 60 "for try in \$(seq 12); do $groups --describe --group \$topic-old --state > \$scratch/state; grep -qE 'Empty +0' \$scratch/state && exit 0; done; exit 1"
check groups_offsets_are_reset 90 "$groups --reset-offsets --group \$topic-old --topic \$topic-g --to-earliest --dry-run && [ \"\$($groups --describe --group \$topic-old | $rows | head -1)\" != '0 0 70 70' ] &&
  $groups --reset-offsets --group \$topic-old --topic \$topic-g:0 --shift-by -5 --execute && $groups --describe --group \$topic-old | $rows | grep -qx '0 65 70 5' &&
  $groups --reset-offsets --group \$topic-old --all-topics --to-earliest --execute && $groups --describe --group \$topic-old | $rows | grep -qx '0 0 70 70'"
check groups_offsets_are_deleted 60 "$groups --delete-offsets --group \$topic-old --topic \$topic-g && ! $groups --describe --group \$topic-old | grep -q \"\$topic-g \""
check groups_are_deleted_and_then_unknown 60 "$groups --delete --group \$topic-new && ! $groups --list | grep -qx \$topic-new && ! $groups --describe --group \$topic-new > \$scratch/gone; ! grep -q \"\$topic-g \" \$scratch/gone"
check groups_say_settings_of_their_own 60 "$configs --entity-name \$topic-s --alter --add-config consumer.session.timeout.ms=46000 && $configs --entity-name \$topic-s --describe | grep -q 'consumer.session.timeout.ms=46000 .*DYNAMIC_GROUP_CONFIG' &&
  $configs --describe | grep -q \"group \$topic-s are\" && ! $configs --entity-name \$topic-s --alter --add-config consumer.session.timeout.ms=1 &&
  $configs --entity-name \$topic-s --alter --delete-config consumer.session.timeout.ms && ! $configs --entity-name \$topic-s --describe | grep -q 46000"
live='KAFKA_LIBS=$libs TMPDIR=$scratch "$python" "$here/group'
for mode in eager cooperative consumer; do
  later "groups_${mode}_members_of_several_clients_survive_each_others_death" 150 "$live/live.py\" \$bootstrap \$topic-$mode $mode"
done
gather
for mode in eager consumer; do
  later "groups_${mode}_static_members_come_back_to_what_they_had" 120 "$live/static.py\" \$bootstrap \$topic-static-$mode $mode"
done
later groups_every_client_leads_the_others_in_turn 150 "KINDS='highwater java librdkafka' $live/matrix.py\" \$bootstrap \$topic-matrix cooperative"
later groups_change_their_protocol_while_they_live 150 "$live/migration.py\" \$bootstrap \$topic-migration"
later groups_the_lesson_of_three_consumers 120 '"$here/group/lesson" "$bootstrap" "$topic-lesson"'
gather
