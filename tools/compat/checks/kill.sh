# The broker is killed in the middle of commits and rebalances; what it acknowledged is there. KILLS says how often.

check kill_what_a_group_committed_outlives_the_broker 300 'TMPDIR=$scratch "$python" "$here/group/kills.py" '"${KILLS:-10}"
