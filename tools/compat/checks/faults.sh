# What our SDK promises while the broker misbehaves: the tests of sdk/client/tests/faults, through their proxy, on this broker.

check faults_the_sdk_keeps_its_promises_behind_a_proxy 900 "cd \$top && HIGHWATER_BOOTSTRAP=\$bootstrap cargo test -q -p highwater --test faults"
