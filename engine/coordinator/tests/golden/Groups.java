// Plays classic groups on Kafka's own coordinator, and writes down what was asked, answered and recorded. See README.md.
// Time, timers and the log are the play's; member ids are those that Kafka drew, written beside the request that drew them.

package org.apache.kafka.coordinator.group;

import java.lang.reflect.Field;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.AbstractConfig;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.message.HeartbeatRequestData;
import org.apache.kafka.common.message.JoinGroupRequestData;
import org.apache.kafka.common.message.JoinGroupResponseData;
import org.apache.kafka.common.message.LeaveGroupRequestData;
import org.apache.kafka.common.message.OffsetCommitRequestData;
import org.apache.kafka.common.message.SyncGroupRequestData;
import org.apache.kafka.common.message.SyncGroupResponseData;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.security.auth.KafkaPrincipal;
import org.apache.kafka.common.security.auth.SecurityProtocol;
import org.apache.kafka.common.utils.LogContext;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.common.utils.Timer;
import org.apache.kafka.coordinator.common.runtime.CoordinatorExecutor;
import org.apache.kafka.coordinator.common.runtime.CoordinatorMetadataImage;
import org.apache.kafka.coordinator.common.runtime.CoordinatorRecord;
import org.apache.kafka.coordinator.common.runtime.CoordinatorResult;
import org.apache.kafka.coordinator.common.runtime.CoordinatorTimer;
import org.apache.kafka.coordinator.group.classic.ClassicGroup;
import org.apache.kafka.coordinator.group.classic.ClassicGroupState;
import org.apache.kafka.coordinator.group.generated.GroupMetadataKey;
import org.apache.kafka.coordinator.group.generated.GroupMetadataValue;
import org.apache.kafka.coordinator.group.generated.OffsetCommitKey;
import org.apache.kafka.coordinator.group.generated.OffsetCommitValue;
import org.apache.kafka.coordinator.group.metrics.GroupCoordinatorMetrics;
import org.apache.kafka.coordinator.group.modern.share.ShareGroupConfig;
import org.apache.kafka.server.authorizer.AuthorizableRequestContext;
import org.apache.kafka.timeline.SnapshotRegistry;

public class Groups {
    static final int CLIENTS = 6;
    static final String[] INSTANCES = {"one", "two", null, null, null, null};
    static final String[][] PROTOCOLS = {{"a", "b"}, {"b", "a"}, {"a"}, {"b"}};

    public static void main(String[] arguments) throws Exception {
        for (int seed = 1; seed <= Integer.parseInt(arguments[0]); seed++) {
            Groups groups = new Groups(seed);
            try {
                groups.play(Integer.parseInt(arguments[1]));
                groups.script.forEach(System.out::println);
            } catch (IllegalStateException exception) {
                // After a record that could not be written Kafka may complete a rebalance of a group that it has reverted.
                System.err.println("play " + seed + ": " + exception.getMessage());
            }
        }
    }

    final Random random;
    final Clock clock = new Clock();
    final Alarms alarms = new Alarms(clock);
    final SnapshotRegistry registry = new SnapshotRegistry(new LogContext());
    final GroupMetadataManager groups;
    final OffsetMetadataManager offsets;
    final Client[] clients = new Client[CLIENTS];
    final List<String> script = new ArrayList<>();
    final TreeMap<Integer, String> answers = new TreeMap<>();
    final int present;
    boolean refuses;
    int tickets;
    long appended;

    static class Client {
        String member = "";
        int generation = -1;
        boolean waitsJoin;
        boolean waitsSync;
        JoinGroupResponseData joined;
        int lastCode;
    }

    Groups(int seed) throws Exception {
        random = new Random(seed);
        present = 1 + seed % CLIENTS;
        var metrics = new GroupCoordinatorMetrics().newMetricsShard(registry, new TopicPartition("__consumer_offsets", 0));
        var settings = settings(Map.of("offsets.retention.minutes", 1));
        var config = new GroupCoordinatorConfig(settings);
        groups = new GroupMetadataManager.Builder()
            .withLogContext(new LogContext())
            .withSnapshotRegistry(registry)
            .withTime(clock)
            .withTimer(alarms)
            .withExecutor(new Nobody())
            .withConfig(config)
            .withGroupConfigManager(new GroupConfigManager(Map.of(), config, new ShareGroupConfig(settings)))
            .withMetadataImage(CoordinatorMetadataImage.EMPTY)
            .withGroupCoordinatorMetricsShard(metrics)
            .withAuthorizerPlugin(Optional.empty())
            .build();
        offsets = new OffsetMetadataManager.Builder()
            .withSnapshotRegistry(registry)
            .withTime(clock)
            .withGroupMetadataManager(groups)
            .withGroupCoordinatorConfig(config)
            .withMetadataImage(CoordinatorMetadataImage.EMPTY)
            .withGroupCoordinatorMetricsShard(metrics)
            .build();
        registry.idempotentCreateSnapshot(appended);
        for (int at = 0; at < CLIENTS; at++) {
            clients[at] = new Client();
        }
        script.add("play " + seed);
    }

    static AbstractConfig settings(Map<String, ?> own) {
        var known = new ConfigDef(GroupCoordinatorConfig.CONFIG_DEF);
        ShareGroupConfig.CONFIG_DEF.configKeys().values().forEach(known::define);
        return new AbstractConfig(known, own, false);
    }

    void play(int steps) throws Exception {
        for (int step = 0; step < steps; step++) {
            int at = random.nextInt(present);
            Client client = clients[at];
            switch (random.nextInt(20)) {
                case 0, 1, 2 -> pass(random.nextInt(random.nextInt(10) == 0 ? 25000 : 2500));
                case 3 -> {
                    if (random.nextBoolean()) {
                        break;
                    }
                    client.member = "";
                    client.generation = -1;
                    join(at, 9);
                }
                case 4 -> {
                    if (random.nextBoolean()) {
                        leave(at);
                    }
                }
                case 5, 6 -> commit(at);
                case 7 -> {
                    refuses = random.nextInt(4) == 0;
                    script.add("refuse " + (refuses ? 1 : 0));
                }
                case 11 -> cleanUp();
                case 8 -> heartbeat(at, random.nextInt(4), client.member);
                case 9 -> sync(at, random.nextInt(4));
                case 10 -> join(at, random.nextInt(10));
                default -> go(at);
            }
        }
        refuses = false;
        script.add("refuse 0");
        for (int round = 0; round < 12; round++) {
            pass(1000 + random.nextInt(1000));
            for (int at = 0; at < CLIENTS; at++) {
                go(at);
                if (random.nextInt(6) == 0) {
                    commit(at);
                }
            }
        }
        cleanUp();
        pass(400000);
        cleanUp();
    }

    // What a client does that means well.
    void go(int at) throws Exception {
        Client client = clients[at];
        if (client.waitsJoin || client.waitsSync) {
            return;
        }
        if (client.joined != null) {
            sync(at, client.joined.generationId());
            client.joined = null;
        } else if (client.generation < 0) {
            join(at, 9);
        } else {
            heartbeat(at, client.generation, client.member);
        }
    }

    void join(int at, int version) throws Exception {
        Client client = clients[at];
        ClassicGroup group = group();
        String instance = INSTANCES[at];
        if (instance != null && version < 5) {
            version = 5;
        }
        boolean isKnown = group != null && group.hasStaticMember(instance);
        // Kafka tells an id before the group is written down, and forgets both when it cannot be. We do not tell it.
        if (group == null && refuses) {
            return;
        }
        // Two requests of a member that wait at once, and who comes back before it asked for its assignment: there we differ.
        if (client.waitsJoin || client.waitsSync
            || isKnown && group.allPendingSyncMembers().contains(group.staticMemberId(instance))) {
            return;
        }
        var before = new TreeSet<String>();
        if (group != null) {
            before.addAll(group.allMemberIds());
            before.addAll(pending(group));
        }
        int ticket = ++tickets;
        String type = group == null || random.nextInt(20) > 0 ? "consumer" : "connect";
        String[] names = PROTOCOLS[random.nextInt(random.nextInt(4) > 0 ? 2 : PROTOCOLS.length)];
        var protocols = new JoinGroupRequestData.JoinGroupRequestProtocolCollection();
        var said = new ArrayList<String>();
        for (String name : names) {
            byte[] metadata = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (byte) (random.nextInt(8) / 7)};
            protocols.add(new JoinGroupRequestData.JoinGroupRequestProtocol().setName(name).setMetadata(metadata));
            said.add(name + "=" + hex(metadata));
        }
        int session = 10007 + 101 * at;
        int rebalance = 20011 + 103 * at;
        var request = new JoinGroupRequestData()
            .setGroupId("g")
            .setMemberId(client.member)
            .setGroupInstanceId(instance)
            .setSessionTimeoutMs(session)
            .setRebalanceTimeoutMs(rebalance)
            .setProtocolType(type)
            .setProtocols(protocols);
        var future = new CompletableFuture<JoinGroupResponseData>();
        client.waitsJoin = true;
        client.joined = null;
        client.generation = -1;
        future.thenAccept(response -> {
            client.waitsJoin = false;
            var members = new ArrayList<String>();
            for (var member : response.members()) {
                members.add(member.memberId() + "/" + none(member.groupInstanceId()) + "/" + hex(member.metadata()));
            }
            answers.put(ticket, "J " + ticket + " " + response.errorCode() + " " + response.generationId()
                + " " + none(response.protocolType()) + " " + none(response.protocolName())
                + " " + none(response.leader()) + " " + none(response.memberId())
                + " " + (response.skipAssignment() ? 1 : 0) + " " + none(String.join(";", members)));
            switch (Errors.forCode(response.errorCode())) {
                case NONE -> {
                    client.member = response.memberId();
                    client.joined = response;
                }
                case MEMBER_ID_REQUIRED -> client.member = response.memberId();
                default -> client.member = "";
            }
        });
        String asked = "join " + ticket + " " + version + " " + none(client.member) + " " + none(instance) + " " + session + " "
            + rebalance + " " + type + " " + String.join(",", said);
        var result = groups.classicGroupJoin(new Context(version), request, future);
        String drawn = "-";
        ClassicGroup after = group();
        if (after != null) {
            var now = new TreeSet<String>(after.allMemberIds());
            now.addAll(pending(after));
            now.removeAll(before);
            if (!now.isEmpty() && !now.first().equals(client.member)) {
                drawn = now.first().substring(now.first().length() - 36);
            } else if (!now.isEmpty() && client.member.equals(now.first())) {
                drawn = client.member.substring(client.member.length() - 36);
            }
        }
        script.add(asked + " " + drawn);
        settle(result);
        say();
    }

    void sync(int at, int generation) throws Exception {
        Client client = clients[at];
        if (client.waitsJoin || client.waitsSync || client.member.isEmpty()) {
            return;
        }
        int ticket = ++tickets;
        var given = new ArrayList<SyncGroupRequestData.SyncGroupRequestAssignment>();
        var said = new ArrayList<String>();
        if (client.joined != null && !client.joined.skipAssignment()) {
            for (var member : client.joined.members()) {
                byte[] assignment = {(byte) random.nextInt(100)};
                if (random.nextInt(8) > 0) {
                    given.add(new SyncGroupRequestData.SyncGroupRequestAssignment()
                        .setMemberId(member.memberId()).setAssignment(assignment));
                    said.add(member.memberId() + "/" + hex(assignment));
                }
            }
        }
        String protocol = client.joined == null || random.nextInt(10) == 0 ? null : client.joined.protocolName();
        var request = new SyncGroupRequestData()
            .setGroupId("g")
            .setMemberId(client.member)
            .setGroupInstanceId(INSTANCES[at])
            .setGenerationId(generation)
            .setProtocolType(protocol == null ? null : "consumer")
            .setProtocolName(protocol)
            .setAssignments(given);
        var future = new CompletableFuture<SyncGroupResponseData>();
        client.waitsSync = true;
        future.thenAccept(response -> {
            client.waitsSync = false;
            answers.put(ticket, "S " + ticket + " " + response.errorCode() + " " + none(response.protocolType()) + " "
                + none(response.protocolName()) + " " + hex(response.assignment()));
            obey(client, Errors.forCode(response.errorCode()));
            if (response.errorCode() == 0) {
                client.generation = generation;
            }
        });
        script.add("sync " + ticket + " " + client.member + " " + none(INSTANCES[at]) + " " + generation + " "
            + none(protocol) + " " + none(String.join(",", said)));
        settle(groups.classicGroupSync(new Context(5), request, future));
        say();
    }

    void obey(Client client, Errors error) {
        switch (error) {
            case NONE -> { }
            case UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION, FENCED_INSTANCE_ID -> {
                client.member = "";
                client.generation = -1;
                client.joined = null;
            }
            default -> {
                client.generation = -1;
                client.joined = null;
            }
        }
    }

    void heartbeat(int at, int generation, String member) throws Exception {
        if (member.isEmpty()) {
            return;
        }
        int ticket = ++tickets;
        script.add("heartbeat " + ticket + " " + member + " " + none(INSTANCES[at]) + " " + generation);
        var request = new HeartbeatRequestData()
            .setGroupId("g").setMemberId(member).setGroupInstanceId(INSTANCES[at]).setGenerationId(generation);
        Errors error;
        try {
            error = Errors.forCode(groups.classicGroupHeartbeat(new Context(4), request).response().errorCode());
        } catch (Exception exception) {
            error = Errors.forException(exception);
        }
        answers.put(ticket, "H " + ticket + " " + error.code());
        if (!clients[at].waitsJoin && !clients[at].waitsSync && clients[at].generation == generation) {
            obey(clients[at], error);
        }
        say();
    }

    void leave(int at) throws Exception {
        Client client = clients[at];
        // Who leaves while it waits for its assignment is never answered by Kafka.
        if (client.waitsSync) {
            return;
        }
        int ticket = ++tickets;
        String member = INSTANCES[at] != null && random.nextBoolean() ? "" : client.member;
        script.add("leave " + ticket + " " + none(member) + " " + none(INSTANCES[at]));
        var request = new LeaveGroupRequestData().setGroupId("g").setMembers(List.of(
            new LeaveGroupRequestData.MemberIdentity().setMemberId(member).setGroupInstanceId(INSTANCES[at])));
        String said;
        try {
            var result = groups.classicGroupLeave(new Context(5), request);
            Errors failed = settle(result);
            said = failed == Errors.NONE ? "0 " + result.response().members().get(0).errorCode() : failed.code() + " -";
        } catch (Exception exception) {
            said = "0 " + Errors.forException(exception).code();
        }
        answers.put(ticket, "L " + ticket + " " + said);
        client.generation = -1;
        client.joined = null;
        client.member = "";
        say();
    }

    void commit(int at) throws Exception {
        Client client = clients[at];
        int ticket = ++tickets;
        int generation = random.nextInt(4) == 0 ? random.nextInt(4) - 1 : client.generation;
        String member = random.nextInt(6) == 0 ? "" : client.member;
        int partition = random.nextInt(12);
        long offset = random.nextInt(1000);
        int version = 7 + random.nextInt(3);
        script.add("commit " + ticket + " " + version + " " + none(member) + " " + none(INSTANCES[at]) + " "
            + generation + " " + partition + " " + offset);
        var request = new OffsetCommitRequestData()
            .setGroupId("g").setMemberId(member).setGroupInstanceId(INSTANCES[at]).setGenerationIdOrMemberEpoch(generation)
            .setTopics(List.of(new OffsetCommitRequestData.OffsetCommitRequestTopic().setName("orders").setPartitions(List.of(
                new OffsetCommitRequestData.OffsetCommitRequestPartition()
                    .setPartitionIndex(partition).setCommittedOffset(offset)))));
        Errors error;
        try {
            error = settle(offsets.commitOffset(new Context(version), request));
        } catch (Exception exception) {
            error = Errors.forException(exception);
        }
        answers.put(ticket, "C " + ticket + " " + error.code());
        say();
    }

    void cleanUp() throws Exception {
        ClassicGroup group = group();
        // A group that somebody was told to come to is deleted by Kafka all the same.
        if (group == null || !pending(group).isEmpty()) {
            return;
        }
        script.add("clean");
        var tombstones = new ArrayList<CoordinatorRecord>();
        if (offsets.cleanupExpiredOffsets("g", tombstones)) {
            groups.maybeDeleteGroup("g", tombstones);
        }
        settle(new CoordinatorResult<>(tombstones, true));
        say();
    }

    void pass(int ms) throws Exception {
        script.add("pass " + ms);
        long end = clock.now + ms;
        while (true) {
            var next = alarms.first(end);
            if (next == null) {
                break;
            }
            clock.now = next.due;
            settle(next.operation.generateRecords());
        }
        clock.now = end;
        say();
    }

    // Appends what was decided, or does not, as the log will have it.
    Errors settle(CoordinatorResult<?, CoordinatorRecord> result) throws Exception {
        if (result.records().isEmpty()) {
            if (result.appendFuture() != null) {
                result.appendFuture().complete(null);
            }
            order();
            return Errors.NONE;
        }
        if (refuses) {
            if (result.appendFuture() != null) {
                result.appendFuture().completeExceptionally(Errors.NOT_COORDINATOR.exception());
            }
            registry.revertToSnapshot(appended);
            order();
            return Errors.NOT_COORDINATOR;
        }
        for (CoordinatorRecord record : result.records()) {
            write(record);
            if (result.replayRecords()) {
                replay(record);
            }
        }
        appended++;
        registry.idempotentCreateSnapshot(appended);
        if (result.appendFuture() != null) {
            result.appendFuture().complete(null);
        }
        order();
        return Errors.NONE;
    }

    final List<String> records = new ArrayList<>();

    void write(CoordinatorRecord record) {
        if (record.key() instanceof GroupMetadataKey) {
            if (record.value() == null) {
                records.add("X");
                return;
            }
            var value = (GroupMetadataValue) record.value().message();
            var members = new TreeSet<String>();
            for (var member : value.members()) {
                members.add(member.memberId() + "/" + none(member.groupInstanceId()) + "/" + member.sessionTimeout() + "/"
                    + member.rebalanceTimeout() + "/" + hex(member.subscription()) + "/" + hex(member.assignment()));
            }
            records.add("G " + value.generation() + " " + none(value.protocolType()) + " " + none(value.protocol()) + " "
                + none(value.leader()) + " " + value.currentStateTimestamp() + " " + none(String.join(";", members)));
        } else {
            var key = (OffsetCommitKey) record.key();
            if (record.value() == null) {
                records.add(String.format("T %02d", key.partition()));
                return;
            }
            var value = (OffsetCommitValue) record.value().message();
            records.add("O " + key.partition() + " " + value.offset() + " " + value.commitTimestamp());
        }
    }

    void replay(CoordinatorRecord record) {
        if (record.key() instanceof OffsetCommitKey key) {
            offsets.replay(appended, -1L, key,
                record.value() == null ? null : (OffsetCommitValue) record.value().message());
        } else {
            groups.replay((GroupMetadataKey) record.key(),
                record.value() == null ? null : (GroupMetadataValue) record.value().message());
        }
    }

    String stood = "-";

    void say() {
        records.sort((one, other) -> one.startsWith("T") && other.startsWith("T") ? one.compareTo(other) : 0);
        script.addAll(records);
        records.clear();
        script.addAll(answers.values());
        answers.clear();
        ClassicGroup group = group();
        String stands = group == null ? "-" : group.stateAsString() + " " + group.generationId();
        if (!stands.equals(stood)) {
            script.add("Z " + stands);
            stood = stands;
        }
    }

    ClassicGroup group() {
        try {
            return (ClassicGroup) groups.group("g");
        } catch (Exception exception) {
            return null;
        }
    }

    // Members in the order of their ids: who leads after a leader is the first of them then, and not the first of a hash map.
    void order() throws Exception {
        ClassicGroup group = group();
        if (group != null) {
            Field field = ClassicGroup.class.getDeclaredField("members");
            field.setAccessible(true);
            if (!(field.get(group) instanceof TreeMap)) {
                field.set(group, new TreeMap<>((Map<?, ?>) field.get(group)));
            }
            // Kafka keeps this from one first rebalance to the next, which waits a step longer then.
            if (!group.isInState(ClassicGroupState.PREPARING_REBALANCE)) {
                group.setNewMemberAdded(false);
            }
        }
    }

    @SuppressWarnings("unchecked")
    static java.util.Set<String> pending(ClassicGroup group) throws Exception {
        Field field = ClassicGroup.class.getDeclaredField("pendingJoinMembers");
        field.setAccessible(true);
        return (java.util.Set<String>) field.get(group);
    }

    static String none(String text) {
        return text == null || text.isEmpty() ? "-" : text;
    }

    static String hex(byte[] bytes) {
        return none(HexFormat.of().formatHex(bytes));
    }

    static class Context implements AuthorizableRequestContext {
        final int version;

        Context(int version) {
            this.version = version;
        }

        public String listenerName() {
            return "listener";
        }

        public SecurityProtocol securityProtocol() {
            return SecurityProtocol.PLAINTEXT;
        }

        public KafkaPrincipal principal() {
            return KafkaPrincipal.ANONYMOUS;
        }

        public InetAddress clientAddress() {
            return InetAddress.getLoopbackAddress();
        }

        public int requestType() {
            return 0;
        }

        public int requestVersion() {
            return version;
        }

        public String clientId() {
            return "client";
        }

        public int correlationId() {
            return 0;
        }
    }

    static class Clock implements Time {
        long now = 1_700_000_000_000L;

        public long milliseconds() {
            return now;
        }

        public long hiResClockMs() {
            return now;
        }

        public long nanoseconds() {
            return now * 1_000_000;
        }

        public void sleep(long ms) {
            throw new UnsupportedOperationException();
        }

        public void waitObject(Object object, java.util.function.Supplier<Boolean> condition, long deadline) {
            throw new UnsupportedOperationException();
        }

        public Timer timer(long timeout) {
            throw new UnsupportedOperationException();
        }

        public <T> T waitForFuture(CompletableFuture<T> future, long deadline) {
            throw new UnsupportedOperationException();
        }
    }

    static class Alarm {
        final String key;
        final long due;
        final long number;
        final boolean retry;
        final CoordinatorTimer.TimeoutOperation<CoordinatorRecord> operation;

        Alarm(String key, long due, long number, boolean retry, CoordinatorTimer.TimeoutOperation<CoordinatorRecord> operation) {
            this.key = key;
            this.due = due;
            this.number = number;
            this.retry = retry;
            this.operation = operation;
        }
    }

    static class Alarms implements CoordinatorTimer<CoordinatorRecord> {
        final Clock clock;
        final TreeMap<String, Alarm> set = new TreeMap<>();
        long number;

        Alarms(Clock clock) {
            this.clock = clock;
        }

        Alarm first(long end) {
            Alarm first = null;
            for (Alarm alarm : set.values()) {
                if (alarm.due <= end && (first == null || alarm.due < first.due
                    || alarm.due == first.due && alarm.number < first.number)) {
                    first = alarm;
                }
            }
            if (first != null) {
                set.remove(first.key);
            }
            return first;
        }

        public void schedule(String key, long delay, TimeUnit unit, boolean retry,
                             TimeoutOperation<CoordinatorRecord> operation) {
            set.put(key, new Alarm(key, clock.now + unit.toMillis(delay), number++, retry, operation));
        }

        public void schedule(String key, long delay, TimeUnit unit, boolean retry, long backoff,
                             TimeoutOperation<CoordinatorRecord> operation) {
            schedule(key, delay, unit, retry, operation);
        }

        public void scheduleIfAbsent(String key, long delay, TimeUnit unit, boolean retry,
                                     TimeoutOperation<CoordinatorRecord> operation) {
            if (!set.containsKey(key)) {
                schedule(key, delay, unit, retry, operation);
            }
        }

        public boolean isScheduled(String key) {
            return set.containsKey(key);
        }

        public void cancel(String key) {
            set.remove(key);
        }
    }

    static class Nobody implements CoordinatorExecutor<CoordinatorRecord> {
        public <R> boolean schedule(String key, TaskRunnable<R> task, TaskOperation<CoordinatorRecord, R> operation) {
            throw new UnsupportedOperationException();
        }

        public boolean isScheduled(String key) {
            return false;
        }

        public void cancel(String key) {
        }
    }
}
