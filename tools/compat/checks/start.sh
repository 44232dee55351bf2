# What goes wrong at start is said in one sentence, with the remedy, and ends with status 1.

check a_second_process_names_the_holder_of_the_directory 20 '"$HIGHWATER_BIN" serve --data-dir "$scratch/locked" --listen 127.0.0.1:0 > "$scratch/first" & first=$!; trap "kill -9 $first" EXIT;
  until grep -q : "$scratch/first"; do sleep 0.05; done;
  "$HIGHWATER_BIN" serve --data-dir "$scratch/locked" --listen 127.0.0.1:0 2> "$scratch/why"; [ $? = 1 ] && grep -q "$first" "$scratch/why"'
check a_taken_port_is_named 20 '"$HIGHWATER_BIN" serve --data-dir "$scratch/port1" --listen 127.0.0.1:0 > "$scratch/holder" & first=$!; trap "kill -9 $first" EXIT;
  until grep -q : "$scratch/holder"; do sleep 0.05; done; address=$(grep -oE "[0-9.]+:[0-9]+" "$scratch/holder" | head -1);
  "$HIGHWATER_BIN" serve --data-dir "$scratch/port2" --listen "$address" 2> "$scratch/why"; [ $? = 1 ] && grep -q "${address##*:}" "$scratch/why"'
check a_file_where_the_directory_should_be_is_named 20 'touch "$scratch/file"; "$HIGHWATER_BIN" serve --data-dir "$scratch/file" --listen 127.0.0.1:0 2> "$scratch/why"; [ $? = 1 ] && grep -q "$scratch/file" "$scratch/why"'
check memlock_too_low_is_said_with_the_remedy 20 'ulimit -l 64; setpriv --bounding-set -ipc_lock,-sys_resource --inh-caps -all "$HIGHWATER_BIN" serve --data-dir "$scratch/memlock" --listen 127.0.0.1:0 2> "$scratch/why"; [ $? = 1 ] && grep -q memlock "$scratch/why"'
check an_unknown_setting_names_the_nearest 20 '"$HIGHWATER_BIN" serve --data-dir "$scratch/unknown" --listen 127.0.0.1:0 --set log.segment.byte=1 2> "$scratch/why"; [ $? != 0 ] && grep -q log.segment.bytes "$scratch/why"'
