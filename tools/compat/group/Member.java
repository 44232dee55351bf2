import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;

/** A group member on Apache Kafka's own client. See live.py for what it says on its output. */
public class Member implements ConsumerRebalanceListener {
    /** A wakeup alone is not enough: the client for the consumer protocol (4.1.0) loses one now and then. */
    private static volatile boolean isToEnd = false;
    private final Map<TopicPartition, OffsetAndMetadata> ends = new HashMap<>();

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private static String numbers(Collection<TopicPartition> partitions) {
        return partitions.stream().map(TopicPartition::partition).sorted().map(String::valueOf).collect(Collectors.joining(" "));
    }

    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        say("+ " + numbers(partitions));
    }

    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        say("- " + numbers(partitions));
        partitions.forEach(ends::remove);
    }

    /** Commits what is not committed yet; a commit that falls into a rebalance is tried again later. */
    private void commit(KafkaConsumer<String, String> consumer) {
        if (ends.isEmpty()) {
            return;
        }
        try {
            consumer.commitSync(new HashMap<>(ends));
            ends.clear();
        } catch (WakeupException e) {
            throw e;
        } catch (KafkaException e) {
            System.err.println(e);
        }
    }

    public static void main(String[] args) throws Exception {
        String topic = args[2], mode = args[3];
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        settings.put("group.id", args[1]);
        settings.put("client.id", "java");
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        settings.put("fetch.max.wait.ms", "50");
        settings.put("max.poll.records", "200");
        if (System.getenv("INSTANCE") != null) {
            settings.put("group.instance.id", System.getenv("INSTANCE"));
        }
        if (mode.equals("consumer")) {
            settings.put("group.protocol", "consumer");
        } else {
            settings.put("session.timeout.ms", System.getenv().getOrDefault("SESSION_MS", "6000"));
            settings.put("heartbeat.interval.ms", "1000");
            String assignor = switch (mode) {
                case "roundrobin" -> "RoundRobinAssignor";
                case "sticky" -> "StickyAssignor";
                case "cooperative" -> "CooperativeStickyAssignor";
                default -> "RangeAssignor";
            };
            settings.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer." + assignor);
        }
        KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            isToEnd = true;
            consumer.wakeup();
            try {
                main.join();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }));
        Member member = new Member();
        consumer.subscribe(List.of(topic), member);
        try {
            while (!isToEnd) {
                var records = consumer.poll(Duration.ofMillis(100));
                for (TopicPartition partition : records.partitions()) {
                    long first = -1, last = -1;
                    for (ConsumerRecord<String, String> record : records.records(partition)) {
                        if (Long.parseLong(record.value()) != record.offset()) {
                            throw new IllegalStateException(record.toString());
                        }
                        first = first < 0 ? record.offset() : first;
                        last = record.offset();
                    }
                    member.ends.put(partition, new OffsetAndMetadata(last + 1));
                    say("r " + partition.partition() + " " + first + " " + (last + 1));
                }
                member.commit(consumer);
            }
            member.commit(consumer);
        } catch (WakeupException e) {
            member.commit(consumer);
        } finally {
            consumer.close();
        }
    }
}
