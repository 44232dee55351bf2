import java.nio.ByteBuffer;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.*;
import org.apache.kafka.clients.consumer.internals.*;
import org.apache.kafka.common.*;

/** Prints what Kafka's own assignors make of groups drawn from a seed; see README.md for the lines. */
public class Assignments {
    static final Random random = new Random(7);

    public static void main(String[] arguments) {
        for (int i = 0; i < 30; i++) one(new RangeAssignor(), 1);
        for (int i = 0; i < 30; i++) one(new RoundRobinAssignor(), 1);
        for (int i = 0; i < 30; i++) one(new StickyAssignor(), 3);
        for (int i = 0; i < 30; i++) one(new CooperativeStickyAssignor(), 4);
        for (int i = 0; i < 120; i++) inRacks();
        for (int i = 0; i < 60; i++) stickyInRacks(new StickyAssignor());
        for (int i = 0; i < 60; i++) stickyInRacks(new CooperativeStickyAssignor());
    }

    /** Members that keep what they can, as far as it stands where they do, through a few rebalances. */
    static void stickyInRacks(AbstractPartitionAssignor assignor) {
        int topics = 1 + random.nextInt(4), racks = 1 + random.nextInt(4), replicas = 1 + random.nextInt(3);
        boolean equal = random.nextBoolean();
        Node[] brokers = brokers(racks);
        Map<String, List<PartitionInfo>> infos = new TreeMap<>();
        for (int topic = 0; topic < topics; topic++) infos.put("t" + topic, new ArrayList<>());
        infos.forEach((name, of) -> grow(name, of, 1 + random.nextInt(9), brokers, replicas));
        List<Member> members = new ArrayList<>();
        int next = 0;
        for (int member = 1 + random.nextInt(5); member > 0; member--) members.add(standing(next++, topics, equal, racks));
        for (int round = 1; round <= 3; round++) {
            Map<String, List<PartitionInfo>> wanted = new TreeMap<>(infos);
            wanted.keySet().removeIf(topic -> members.stream().noneMatch(member -> member.topics.contains(topic)));
            StringBuilder line = new StringBuilder("group ").append(assignor.name());
            wanted.forEach((name, of) -> show(line, name, of));
            System.out.println(line);
            Map<String, String> bytes = new TreeMap<>();
            Map<String, Subscription> subscriptions = say(assignor, members, bytes);
            Map<String, List<TopicPartition>> assigned =
                fresh(assignor).assignPartitions(wanted, subscriptions);
            print(members, bytes, assigned);
            for (Member member : members) {
                member.had = assigned.get(member.id);
                member.generation = round;
            }
            switch (random.nextInt(4)) {
                case 0: if (members.size() > 1) members.remove(random.nextInt(members.size())); break;
                case 1: members.add(standing(next++, topics, equal, racks)); break;
                case 2: members.get(random.nextInt(members.size())).rack = rack(racks); break;
                default: {
                    String topic = "t" + random.nextInt(topics);
                    grow(topic, infos.get(topic), 1 + random.nextInt(3), brokers, replicas);
                }
            }
        }
    }

    static Node[] brokers(int racks) {
        Node[] brokers = new Node[racks + 1 + random.nextInt(3)];
        for (int id = 0; id < brokers.length; id++)
            brokers[id] = new Node(id, "h", 9, random.nextInt(12) == 0 ? null : "r" + id % racks);
        return brokers;
    }

    static void grow(String name, List<PartitionInfo> infos, int by, Node[] brokers, int replicas) {
        for (; by > 0; by--) {
            Set<Node> on = new LinkedHashSet<>();
            for (int replica = 0; replica < replicas; replica++) on.add(brokers[random.nextInt(brokers.length)]);
            Node[] nodes = on.toArray(new Node[0]);
            infos.add(new PartitionInfo(name, infos.size(), nodes[0], nodes, nodes));
        }
    }

    static void show(StringBuilder line, String name, List<PartitionInfo> infos) {
        line.append(' ').append(name).append('=').append(infos.size());
        for (PartitionInfo info : infos) {
            Set<String> stand = new TreeSet<>();
            for (Node node : info.replicas()) if (node.rack() != null) stand.add(node.rack());
            line.append(info.partition() == 0 ? ':' : ',').append(stand.isEmpty() ? "-" : String.join("+", stand));
        }
    }

    static Member standing(int number, int topics, boolean equal, int racks) {
        Member member = member(number, topics, equal);
        member.rack = rack(racks);
        return member;
    }

    static Optional<String> rack(int racks) {
        return random.nextInt(5) == 0 ? Optional.empty() : Optional.of("r" + random.nextInt(racks + random.nextInt(2)));
    }

    /** Members and replicas that say where they stand (KIP-881). */
    static void inRacks() {
        int topics = 1 + random.nextInt(4), racks = 1 + random.nextInt(4), replicas = 1 + random.nextInt(3);
        boolean equal = random.nextBoolean(), together = random.nextBoolean();
        Node[] brokers = brokers(racks);
        int size = 1 + random.nextInt(9);
        StringBuilder line = new StringBuilder("group range");
        Map<String, List<PartitionInfo>> wanted = new TreeMap<>();
        List<Member> members = new ArrayList<>();
        for (int member = 1 + random.nextInt(6); member > 0; member--)
            members.add(member(members.size(), topics, equal));
        for (int topic = 0; topic < topics; topic++) {
            String name = "t" + topic;
            if (members.stream().noneMatch(member -> member.topics.contains(name))) continue;
            int count = together ? size : 1 + random.nextInt(9);
            line.append(' ').append(name).append('=').append(count);
            List<PartitionInfo> infos = new ArrayList<>();
            for (int partition = 0; partition < count; partition++) {
                Set<Node> on = new LinkedHashSet<>();
                for (int replica = 0; replica < replicas; replica++) on.add(brokers[random.nextInt(brokers.length)]);
                Node[] nodes = on.toArray(new Node[0]);
                infos.add(new PartitionInfo(name, partition, nodes[0], nodes, nodes));
                Set<String> stand = new TreeSet<>();
                for (Node node : nodes) if (node.rack() != null) stand.add(node.rack());
                line.append(partition == 0 ? ':' : ',').append(stand.isEmpty() ? "-" : String.join("+", stand));
            }
            wanted.put(name, infos);
        }
        System.out.println(line);
        Map<String, Subscription> subscriptions = new HashMap<>();
        Map<String, String> bytes = new TreeMap<>();
        for (Member member : members) {
            Optional<String> rack =
                random.nextInt(5) == 0 ? Optional.empty() : Optional.of("r" + random.nextInt(racks + random.nextInt(2)));
            Subscription subscription = new Subscription(member.topics, null, Collections.emptyList(), -1, rack);
            ByteBuffer written = ConsumerProtocol.serializeSubscription(subscription);
            bytes.put(member.id, HexFormat.of().formatHex(written.array(), 0, written.limit()));
            Subscription read = ConsumerProtocol.deserializeSubscription(written);
            read.setGroupInstanceId(Optional.ofNullable(member.instance));
            subscriptions.put(member.id, read);
        }
        print(members, bytes, new RangeAssignor().assignPartitions(wanted, subscriptions));
    }

    static void print(List<Member> members, Map<String, String> bytes, Map<String, List<TopicPartition>> assigned) {
        for (Member member : members) {
            StringBuilder gets = new StringBuilder();
            for (TopicPartition place : assigned.get(member.id)) gets.append(' ').append(place);
            System.out.println("member " + member.id + ' ' + (member.instance == null ? "-" : member.instance) + ' '
                + bytes.get(member.id) + gets);
        }
    }

    static class Member {
        final String id;
        final String instance;
        List<String> topics;
        List<TopicPartition> had = new ArrayList<>();
        int generation = -1;
        Optional<String> rack = Optional.empty();

        Member(String id, String instance, List<String> topics) {
            this.id = id;
            this.instance = instance;
            this.topics = topics;
        }
    }

    static void one(AbstractPartitionAssignor assignor, int rounds) {
        int topics = 1 + random.nextInt(4);
        Map<String, Integer> counts = new TreeMap<>();
        for (int topic = 0; topic < topics; topic++) counts.put("t" + topic, random.nextInt(9));
        boolean equal = random.nextBoolean();
        List<Member> members = new ArrayList<>();
        int next = 0;
        for (int member = 1 + random.nextInt(5); member > 0; member--) members.add(member(next++, topics, equal));
        for (int round = 1; round <= rounds; round++) {
            Map<String, List<TopicPartition>> assigned = round(assignor, counts, members);
            for (Member member : members) {
                member.had = assigned.get(member.id);
                member.generation = round;
            }
            // One leaves, one comes, or a topic grows.
            switch (random.nextInt(3)) {
                case 0: if (members.size() > 1) members.remove(random.nextInt(members.size())); break;
                case 1: members.add(member(next++, topics, equal)); break;
                default: counts.merge("t" + random.nextInt(topics), 1 + random.nextInt(3), Integer::sum);
            }
        }
    }

    static Member member(int number, int topics, boolean equal) {
        List<String> wants = new ArrayList<>();
        for (int topic = 0; topic < topics; topic++) if (equal || random.nextBoolean()) wants.add("t" + topic);
        if (wants.isEmpty()) wants.add("t0");
        return new Member("m" + number, random.nextInt(4) == 0 ? "i" + random.nextInt(1000) : null, wants);
    }

    static Map<String, List<TopicPartition>> round(
            AbstractPartitionAssignor assignor, Map<String, Integer> counts, List<Member> members) {
        Map<String, String> bytes = new TreeMap<>();
        Map<String, Subscription> subscriptions = say(assignor, members, bytes);
        Map<String, Integer> wanted = new TreeMap<>(counts);
        wanted.keySet().removeIf(topic -> members.stream().noneMatch(member -> member.topics.contains(topic)));
        wanted.values().removeIf(count -> count == 0);
        Map<String, List<TopicPartition>> assigned = fresh(assignor).assign(wanted, subscriptions);
        StringBuilder line = new StringBuilder("group ").append(assignor.name());
        wanted.forEach((topic, count) -> line.append(' ').append(topic).append('=').append(count));
        System.out.println(line);
        print(members, bytes, assigned);
        return assigned;
    }

    /** What the members say of themselves, and the same in hexadecimal. */
    static Map<String, Subscription> say(
            AbstractPartitionAssignor assignor, List<Member> members, Map<String, String> bytes) {
        boolean cooperative = assignor instanceof CooperativeStickyAssignor;
        Map<String, Subscription> subscriptions = new HashMap<>();
        for (Member member : members) {
            ConsumerPartitionAssignor own = fresh(assignor);
            if (member.generation >= 0)
                own.onAssignment(new Assignment(member.had),
                    new ConsumerGroupMetadata("g", member.generation, member.id, Optional.empty()));
            ByteBuffer data = own.subscriptionUserData(new HashSet<>(member.topics));
            // Eager members have let go of everything when they join.
            List<TopicPartition> owned = cooperative ? member.had : Collections.emptyList();
            Subscription subscription =
                new Subscription(member.topics, data, owned, member.generation, member.rack);
            ByteBuffer written = ConsumerProtocol.serializeSubscription(subscription);
            bytes.put(member.id, HexFormat.of().formatHex(written.array(), 0, written.limit()));
            Subscription read = ConsumerProtocol.deserializeSubscription(written);
            read.setGroupInstanceId(Optional.ofNullable(member.instance));
            subscriptions.put(member.id, read);
        }
        return subscriptions;
    }

    static AbstractPartitionAssignor fresh(AbstractPartitionAssignor like) {
        try {
            return like.getClass().getDeclaredConstructor().newInstance();
        } catch (ReflectiveOperationException error) {
            throw new IllegalStateException(error);
        }
    }
}
