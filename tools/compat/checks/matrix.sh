# Every client leads a group of all the others, by every assignor that it knows: members of this SDK, Java, librdkafka, kafka-python,
# aiokafka, sarama, franz-go, and those of the consumer protocol. Takes some ten minutes, so it runs only when it is asked for.

for mode in eager roundrobin sticky cooperative consumer; do
  check "matrix_${mode}_every_client_leads_the_others" 900 "KAFKA_LIBS=\$libs GO_MEMBER=\$go_member TMPDIR=\$scratch \"\$python\" \"\$here/group/matrix.py\" \$bootstrap \$topic-matrix $mode >&2"
done
