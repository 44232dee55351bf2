# The SDK's encryption and authentication, through our command, against an Apache Kafka that wants both.

base=$((20000 + $$ % 9000))
LIBS=$libs "$here/secure/kafka" "$scratch/secure" $base > "$scratch/secure.out" 2>&1 &
kafka=$!
for try in $(seq 300); do
  grep -q ready "$scratch/secure.out" && break
  kill -0 $kafka 2> /dev/null || { cat "$scratch/secure.out"; die "Kafka with security does not start"; }
  sleep 0.2
done

at() { echo "localhost:$((base + $1))"; }
# What is produced comes back: `round LISTENER FLAGS..`, each its own topic.
round='round() { local topic=t-$RANDOM$RANDOM port=$1; shift; seq 1 100 | "$HIGHWATER_BIN" produce "$topic" -b localhost:$port "$@" &&
  diff <(seq 1 100) <("$HIGHWATER_BIN" consume "$topic" -b localhost:$port --from-beginning --count 100 "$@"); };
refused() { local words=$1 port=$2; shift 2; ! "$HIGHWATER_BIN" topic list -b localhost:$port "$@" > $scratch/refused 2>&1 && cat $scratch/refused && grep -qE "$words" $scratch/refused && ! grep -qE "wonder|secret" $scratch/refused; };
tls="-X ssl.ca.location=$scratch/secure/ca.pem"; alice="-X sasl.username=alice -X sasl.password=wonder;land="'
secure() { local name=$1; shift; check "secure_$name" 40 "$round; $*"; }
tls=$((base + 1)) mutual=$((base + 2)) sasltls=$((base + 3)) sasl=$((base + 4)) short=$((base + 5))

secure tls_goes_both_ways "round $tls -X security.protocol=SSL \$tls"
secure tls_1_2_is_spoken_where_it_is_asked_for "round $tls -X security.protocol=SSL \$tls -X ssl.enabled.protocols=TLSv1.2"
secure an_unknown_authority_is_not_believed "refused 'certificate' $tls -X security.protocol=SSL -X ssl.ca.location=\$scratch/secure/others.pem"
secure a_certificate_for_another_host_is_not_believed "! \"\$HIGHWATER_BIN\" topic list -b 127.0.0.1:$tls -X security.protocol=SSL \$tls 2> \$scratch/host; cat \$scratch/host; grep -q 'certificate' \$scratch/host &&
  \"\$HIGHWATER_BIN\" topic list -b 127.0.0.1:$tls -X security.protocol=SSL \$tls -X ssl.endpoint.identification.algorithm="
secure a_client_certificate_lets_in "round $mutual -X security.protocol=SSL \$tls -X ssl.certificate.location=\$scratch/secure/client.pem -X ssl.key.location=\$scratch/secure/client.key"
secure without_a_client_certificate_nobody_gets_in "refused 'ertificate|alert' $mutual -X security.protocol=SSL \$tls"
secure a_strangers_certificate_does_not_let_in "refused 'ertificate|alert' $mutual -X security.protocol=SSL \$tls -X ssl.certificate.location=\$scratch/secure/stranger.pem -X ssl.key.location=\$scratch/secure/stranger.key"
for hash in 256 512; do
  secure scram_sha_${hash}_over_tls_lets_in "round $sasltls -X security.protocol=SASL_SSL \$tls -X sasl.mechanism=SCRAM-SHA-$hash \$alice"
done
secure plain_lets_in "round $sasl -X security.protocol=SASL_PLAINTEXT -X sasl.mechanism=PLAIN -X sasl.username=bob -X sasl.password=builder"
secure javas_file_is_understood "printf '%s\n' bootstrap.servers=localhost:$sasltls security.protocol=SASL_SSL sasl.mechanism=SCRAM-SHA-256 'sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\' '  username=\"alice\" password=\"wonder;land=\";' ssl.truststore.type=PEM ssl.truststore.location=\$scratch/secure/ca.pem > \$scratch/client.properties &&
  \"\$HIGHWATER_BIN\" topic list --client-config \$scratch/client.properties"
secure a_wrong_password_is_told_at_once_and_not_shown "refused 'SCRAM-SHA-256' $sasl -X security.protocol=SASL_PLAINTEXT -X sasl.mechanism=SCRAM-SHA-256 -X sasl.username=alice -X sasl.password=secret &&
  refused 'PLAIN' $sasl -X security.protocol=SASL_PLAINTEXT -X sasl.mechanism=PLAIN -X sasl.username=bob -X sasl.password=secret"
secure a_session_is_renewed_under_way "topic=renewed; { for i in \$(seq 1 100); do echo \$i; sleep 0.1; done; } | \"\$HIGHWATER_BIN\" produce \$topic -b localhost:$short -X security.protocol=SASL_PLAINTEXT -X sasl.mechanism=SCRAM-SHA-256 \$alice &&
  diff <(seq 1 100) <(\"\$HIGHWATER_BIN\" consume \$topic -b localhost:$short --from-beginning --count 100 -X security.protocol=SASL_PLAINTEXT -X sasl.mechanism=SCRAM-SHA-256 \$alice)"

kill $kafka
wait $kafka 2> /dev/null
