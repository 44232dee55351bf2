// Plays consumer groups (KIP-848) on Kafka's own coordinator, and writes down what was asked, answered and recorded. See
// README.md. Time, timers, topics and the log are the play's.

package org.apache.kafka.coordinator.group;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.ConsumerGroupDescribeResponseData;
import org.apache.kafka.common.message.ConsumerGroupHeartbeatRequestData;
import org.apache.kafka.common.message.ConsumerGroupHeartbeatResponseData;
import org.apache.kafka.common.metadata.PartitionRecord;
import org.apache.kafka.common.metadata.RemoveTopicRecord;
import org.apache.kafka.common.metadata.TopicRecord;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.utils.LogContext;
import org.apache.kafka.coordinator.common.runtime.CoordinatorRecord;
import org.apache.kafka.coordinator.common.runtime.CoordinatorResult;
import org.apache.kafka.coordinator.common.runtime.KRaftCoordinatorMetadataDelta;
import org.apache.kafka.coordinator.common.runtime.KRaftCoordinatorMetadataImage;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupCurrentMemberAssignmentKey;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupCurrentMemberAssignmentValue;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupMemberMetadataKey;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupMemberMetadataValue;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupMetadataKey;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupMetadataValue;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupTargetAssignmentMemberKey;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupTargetAssignmentMemberValue;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupTargetAssignmentMetadataKey;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupTargetAssignmentMetadataValue;
import org.apache.kafka.coordinator.group.metrics.GroupCoordinatorMetrics;
import org.apache.kafka.coordinator.group.modern.share.ShareGroupConfig;
import org.apache.kafka.image.MetadataDelta;
import org.apache.kafka.image.MetadataImage;
import org.apache.kafka.image.MetadataProvenance;
import org.apache.kafka.timeline.SnapshotRegistry;

public class Consumers {
    // Single letters: the maps that Kafka gives to its assignors are in their order then. Topics' ids begin at 2 for the same.
    static final String[] IDS = {"a", "b", "c", "d", "e", "f"};
    static final String[] INSTANCES = {"one", "two", null, null, null, null};
    static final int TOPICS = 3;

    public static void main(String[] arguments) throws Exception {
        for (int seed = 1; seed <= Integer.parseInt(arguments[0]); seed++) {
            Consumers consumers = new Consumers(seed);
            consumers.play(Integer.parseInt(arguments[1]));
            consumers.script.forEach(System.out::println);
        }
    }

    final Random random;
    final List<String> script = new ArrayList<>();
    // The last record of each key, where it changes something: how often Kafka says what is so is not what counts.
    final TreeMap<String, String> log = new TreeMap<>();
    final TreeMap<String, String> records = new TreeMap<>();
    final Groups.Clock clock = new Groups.Clock();
    final Groups.Alarms alarms = new Groups.Alarms(clock);
    final SnapshotRegistry registry = new SnapshotRegistry(new LogContext());
    final GroupMetadataManager groups;
    final Client[] clients = new Client[IDS.length];
    final int[] partitions = new int[TOPICS];
    final int present;
    MetadataImage image = MetadataImage.EMPTY;
    long appended;
    int tickets;
    final TreeMap<String, String> stood = new TreeMap<>();

    static class Client {
        String id;
        int lives;
        int epoch = -1;
        boolean isAway;
        TreeMap<Long, TreeSet<Integer>> owned = new TreeMap<>();
        TreeMap<Long, TreeSet<Integer>> told;
        boolean changed;
    }

    Consumers(int seed) throws Exception {
        random = new Random(seed);
        present = 1 + seed % IDS.length;
        var metrics = new GroupCoordinatorMetrics().newMetricsShard(registry, new TopicPartition("__consumer_offsets", 0));
        // An assignment at once, and here: when Kafka gets to it is not what counts.
        var settings = Groups.settings(Map.of(
            "group.consumer.max.size", 5,
            "group.consumer.assignment.interval.ms", 0,
            "group.consumer.assignor.offload.enable", false));
        var config = new GroupCoordinatorConfig(settings);
        groups = new GroupMetadataManager.Builder()
            .withLogContext(new LogContext())
            .withSnapshotRegistry(registry)
            .withTime(clock)
            .withTimer(alarms)
            .withExecutor(new Groups.Nobody())
            .withConfig(config)
            .withGroupConfigManager(new GroupConfigManager(Map.of(), config, new ShareGroupConfig(settings)))
            .withMetadataImage(new KRaftCoordinatorMetadataImage(image))
            .withGroupCoordinatorMetricsShard(metrics)
            .withAuthorizerPlugin(Optional.empty())
            .build();
        registry.idempotentCreateSnapshot(appended);
        for (int at = 0; at < clients.length; at++) {
            clients[at] = new Client();
            clients[at].id = IDS[at];
        }
        script.add("play " + seed);
        for (int topic = 0; topic < TOPICS; topic++) {
            grow(topic, 1 + random.nextInt(5));
        }
    }

    void play(int steps) throws Exception {
        for (int step = 0; step < steps; step++) {
            int at = random.nextInt(present);
            Client client = clients[at];
            switch (random.nextInt(24)) {
                case 0, 1 -> pass(random.nextInt(random.nextInt(8) == 0 ? 40000 : 6000));
                case 2 -> join(at);
                case 3 -> leave(at);
                case 4 -> {
                    if (random.nextInt(3) == 0) {
                        int topic = random.nextInt(TOPICS);
                        if (false) {
                            remove(topic);
                        } else if (partitions[topic] < 8) {
                            grow(topic, partitions[topic] + 1 + random.nextInt(3));
                        }
                    }
                }
                case 5 -> beat(at, random.nextInt(6) + 1, null, null, owned(client));
                case 6 -> {
                    if (client.epoch > 0) {
                        beat(at, client.epoch, topics(), random.nextBoolean() ? null : assignor(), null);
                    }
                }
                case 8 -> {
                    // Its last answer was lost: it says again what it said before.
                    if (client.epoch > 1) {
                        beat(at, client.epoch - 1, null, null, owned(client));
                    }
                }
                default -> go(at);
            }
        }
        for (int round = 0; round < 10; round++) {
            pass(2000 + random.nextInt(2000));
            for (int at = 0; at < IDS.length; at++) {
                go(at);
            }
        }
        pass(200000);
    }

    // What a client does that means well.
    void go(int at) throws Exception {
        Client client = clients[at];
        if (client.epoch <= 0) {
            join(at);
        } else if (client.told != null && random.nextInt(4) > 0) {
            client.owned = client.told;
            client.told = null;
            beat(at, client.epoch, null, null, owned(client));
        } else {
            beat(at, client.epoch, null, null, null);
        }
    }

    String topics() {
        var names = new ArrayList<String>();
        for (int topic = 0; topic < TOPICS; topic++) {
            if (random.nextInt(4) > 0 || topic == 0) {
                names.add("t" + topic);
            }
        }
        return String.join(",", names);
    }

    String assignor() {
        // Of as many votes Kafka takes the one that comes first in a hash map.
        return present % 2 == 0 ? "uniform" : "range";
    }

    void join(int at) throws Exception {
        Client client = clients[at];
        // A dynamic member that begins anew has another id; a static one too, now and then.
        client.owned = new TreeMap<>();
        client.told = null;
        client.epoch = 0;
        beat(at, 0, topics(), random.nextInt(3) == 0 ? assignor() : null, new TreeMap<>());
    }

    void leave(int at) throws Exception {
        Client client = clients[at];
        if (client.epoch <= 0) {
            return;
        }
        boolean isAway = INSTANCES[at] != null && random.nextBoolean();
        beat(at, isAway ? -2 : -1, null, null, null);
        client.epoch = -1;
        client.owned = new TreeMap<>();
        client.told = null;
    }

    TreeMap<Long, TreeSet<Integer>> owned(Client client) {
        return client.owned;
    }

    void beat(int at, int epoch, String topics, String assignor, TreeMap<Long, TreeSet<Integer>> owned) throws Exception {
        Client client = clients[at];
        // A group that is not there yet is another matter: as of 4.2 its epochs begin at 2.
        if (epoch != 0 && !stood.containsKey("G")) {
            return;
        }
        int ticket = ++tickets;
        int rebalance = epoch == 0 ? 15000 + 1000 * at : -1;
        script.add("beat " + ticket + " " + client.id + " " + none(INSTANCES[at]) + " " + epoch + " " + rebalance + " "
            + none(topics) + " " + none(assignor) + " " + said(owned));
        var request = new ConsumerGroupHeartbeatRequestData()
            .setGroupId("g")
            .setMemberId(client.id)
            .setInstanceId(INSTANCES[at])
            .setMemberEpoch(epoch)
            .setRebalanceTimeoutMs(rebalance)
            .setSubscribedTopicNames(topics == null ? null : List.of(topics.split(",")))
            .setServerAssignor(assignor);
        if (owned != null) {
            var list = new ArrayList<ConsumerGroupHeartbeatRequestData.TopicPartitions>();
            owned.forEach((topic, numbers) -> list.add(new ConsumerGroupHeartbeatRequestData.TopicPartitions()
                .setTopicId(new Uuid(0, topic)).setPartitions(new ArrayList<>(numbers))));
            request.setTopicPartitions(list);
        }
        Errors error = Errors.NONE;
        ConsumerGroupHeartbeatResponseData response = null;
        try {
            var result = groups.consumerGroupHeartbeat(new Groups.Context(1), request);
            error = settle(result);
            response = result.response();
        } catch (Exception exception) {
            error = Errors.forException(exception);
            if (error == Errors.UNKNOWN_SERVER_ERROR) {
                throw exception;
            }
        }
        if (error != Errors.NONE) {
            say("B " + ticket + " " + error.code());
            if (epoch == client.epoch && error != Errors.NOT_COORDINATOR) {
                client.epoch = -1;
            }
            return;
        }
        TreeMap<Long, TreeSet<Integer>> told = null;
        if (response.assignment() != null) {
            told = new TreeMap<>();
            for (var topic : response.assignment().topicPartitions()) {
                told.put(topic.topicId().getLeastSignificantBits(), new TreeSet<>(topic.partitions()));
            }
        }
        say("B " + ticket + " 0 " + none(response.memberId()) + " " + response.memberEpoch() + " "
            + response.heartbeatIntervalMs() + " " + said(told));
        if (epoch >= 0) {
            client.epoch = response.memberEpoch();
            if (told != null) {
                client.told = told;
            }
        }
    }

    void pass(int ms) throws Exception {
        script.add("pass " + ms);
        long end = clock.now + ms;
        for (var next = alarms.first(end); next != null; next = alarms.first(end)) {
            clock.now = next.due;
            // As Kafka's runtime does: what could not be written down comes again.
            if (settle(next.operation.generateRecords()) != Errors.NONE && next.retry) {
                alarms.schedule(next.key, 500, TimeUnit.MILLISECONDS, true, next.operation);
            }
        }
        clock.now = end;
        say(null);
    }

    void grow(int topic, int count) {
        var delta = new MetadataDelta.Builder().setImage(image).build();
        Uuid id = new Uuid(0, 2 + topic);
        if (partitions[topic] == 0) {
            delta.replay(new TopicRecord().setName("t" + topic).setTopicId(id));
        }
        for (int partition = partitions[topic]; partition < count; partition++) {
            delta.replay(new PartitionRecord().setTopicId(id).setPartitionId(partition)
                .setReplicas(List.of(0)).setIsr(List.of(0)).setLeader(0).setLeaderEpoch(0).setPartitionEpoch(0));
        }
        partitions[topic] = count;
        image = delta.apply(MetadataProvenance.EMPTY);
        groups.onMetadataUpdate(new KRaftCoordinatorMetadataDelta(delta), new KRaftCoordinatorMetadataImage(image));
        script.add("topic " + topic + " " + count);
    }

    void remove(int topic) {
        var delta = new MetadataDelta.Builder().setImage(image).build();
        delta.replay(new RemoveTopicRecord().setTopicId(new Uuid(0, 2 + topic)));
        partitions[topic] = 0;
        image = delta.apply(MetadataProvenance.EMPTY);
        groups.onMetadataUpdate(new KRaftCoordinatorMetadataDelta(delta), new KRaftCoordinatorMetadataImage(image));
        script.add("topic " + topic + " 0");
    }

    // Appends what was decided. The log never refuses here: what Kafka does to timers is not undone when it does.
    Errors settle(CoordinatorResult<?, CoordinatorRecord> result) {
        if (result.records().isEmpty()) {
            return Errors.NONE;
        }
        for (CoordinatorRecord record : result.records()) {
            String line = written(record);
            String[] words = line.split(" ");
            records.put("EA".contains(words[0]) ? words[0] : words[0] + words[1], line);
            replay(record);
        }
        appended++;
        registry.idempotentCreateSnapshot(appended);
        return Errors.NONE;
    }

    String written(CoordinatorRecord record) {
        var message = record.value() == null ? null : record.value().message();
        if (record.key() instanceof ConsumerGroupMetadataKey) {
            if (message == null) {
                return "E -";
            }
            var value = (ConsumerGroupMetadataValue) message;
            return "E " + value.epoch() + " " + value.metadataHash();
        }
        if (record.key() instanceof ConsumerGroupMemberMetadataKey key) {
            if (message == null) {
                return "M " + key.memberId() + " -";
            }
            var value = (ConsumerGroupMemberMetadataValue) message;
            return "M " + key.memberId() + " " + none(value.instanceId()) + " " + String.join(",", value.subscribedTopicNames())
                + " " + value.rebalanceTimeoutMs() + " " + none(value.serverAssignor());
        }
        if (record.key() instanceof ConsumerGroupTargetAssignmentMetadataKey) {
            return message == null ? "A -" : "A " + ((ConsumerGroupTargetAssignmentMetadataValue) message).assignmentEpoch();
        }
        if (record.key() instanceof ConsumerGroupTargetAssignmentMemberKey key) {
            if (message == null) {
                return "T " + key.memberId() + " -";
            }
            var target = new TreeMap<Long, TreeSet<Integer>>();
            for (var topic : ((ConsumerGroupTargetAssignmentMemberValue) message).topicPartitions()) {
                target.put(topic.topicId().getLeastSignificantBits(), new TreeSet<>(topic.partitions()));
            }
            return "T " + key.memberId() + " " + said(target);
        }
        var key = (ConsumerGroupCurrentMemberAssignmentKey) record.key();
        if (message == null) {
            return "C " + key.memberId() + " -";
        }
        var value = (ConsumerGroupCurrentMemberAssignmentValue) message;
        return "C " + key.memberId() + " " + value.memberEpoch() + " " + value.previousMemberEpoch() + " " + value.state()
            + " " + said(held(value.assignedPartitions())) + " " + said(held(value.partitionsPendingRevocation()));
    }

    static TreeMap<Long, TreeSet<Integer>> held(List<ConsumerGroupCurrentMemberAssignmentValue.TopicPartitions> topics) {
        var held = new TreeMap<Long, TreeSet<Integer>>();
        for (var topic : topics) {
            held.put(topic.topicId().getLeastSignificantBits(), new TreeSet<>(topic.partitions()));
        }
        return held;
    }

    void replay(CoordinatorRecord record) {
        var message = record.value() == null ? null : record.value().message();
        if (record.key() instanceof ConsumerGroupMetadataKey key) {
            groups.replay(key, (ConsumerGroupMetadataValue) message);
        } else if (record.key() instanceof ConsumerGroupMemberMetadataKey key) {
            groups.replay(key, (ConsumerGroupMemberMetadataValue) message);
        } else if (record.key() instanceof ConsumerGroupTargetAssignmentMetadataKey key) {
            groups.replay(key, (ConsumerGroupTargetAssignmentMetadataValue) message);
        } else if (record.key() instanceof ConsumerGroupTargetAssignmentMemberKey key) {
            groups.replay(key, (ConsumerGroupTargetAssignmentMemberValue) message);
        } else {
            groups.replay((ConsumerGroupCurrentMemberAssignmentKey) record.key(),
                (ConsumerGroupCurrentMemberAssignmentValue) message);
        }
    }

    void say(String answer) {
        records.forEach((key, line) -> {
            boolean isGone = line.endsWith(" -") && !line.startsWith("M") || line.split(" ").length == 3 && line.endsWith(" -");
            String before = isGone ? log.remove(key) : log.put(key, line);
            if (isGone ? before != null : !line.equals(before)) {
                script.add(line);
            }
        });
        records.clear();
        if (answer != null) {
            script.add(answer);
        }
        for (ConsumerGroupDescribeResponseData.DescribedGroup group
            : groups.consumerGroupDescribe(List.of("g"), Long.MAX_VALUE)) {
            show("G", group.errorCode() != 0 ? "-" : group.groupState() + " " + group.groupEpoch() + " " + group.assignmentEpoch()
                + " " + group.assignorName());
        }
    }

    void show(String what, String stands) {
        if (!stands.equals(stood.getOrDefault(what, "-"))) {
            script.add(what + " " + stands);
            stood.put(what, stands);
        }
    }

    static String none(String text) {
        return text == null || text.isEmpty() ? "-" : text;
    }

    static String said(TreeMap<Long, TreeSet<Integer>> topics) {
        if (topics == null) {
            return "-";
        }
        var all = new ArrayList<String>();
        topics.forEach((topic, numbers) -> {
            var said = new ArrayList<String>();
            numbers.forEach(number -> said.add(number.toString()));
            all.add(topic + ":" + String.join(",", said));
        });
        return all.isEmpty() ? "=" : String.join(";", all);
    }
}
