import java.util.*;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.coordinator.group.api.assignor.*;
import org.apache.kafka.coordinator.group.assignor.*;

/** Draws groups, has Kafka's own assignors give them partitions, and prints both. See README.md. */
public class Assign {
    record Member(String id, String instance, TreeSet<Integer> topics) {}

    static Uuid topicId(int topic) {
        return new Uuid(0, topic + 2);
    }

    static String print(Map<Integer, TreeSet<Integer>> assignment) {
        StringJoiner topics = new StringJoiner(";", "[", "]");
        assignment.forEach((topic, partitions) -> {
            StringJoiner numbers = new StringJoiner(",");
            partitions.forEach(partition -> numbers.add(partition.toString()));
            topics.add(topic + ":" + numbers);
        });
        return topics.toString();
    }

    static TreeMap<String, TreeMap<Integer, TreeSet<Integer>>> run(
        String name, List<Integer> counts, TreeMap<String, Member> members,
        Map<String, TreeMap<Integer, TreeSet<Integer>>> held
    ) {
        boolean same = members.values().stream().map(Member::topics).distinct().count() <= 1;
        Set<String> assigned = new HashSet<>();
        held.values().forEach(topics -> topics.forEach((topic, partitions) ->
            partitions.forEach(partition -> assigned.add(topic + "-" + partition))));
        GroupSpec spec = new GroupSpec() {
            public Collection<String> memberIds() { return new ArrayList<>(members.keySet()); }
            public SubscriptionType subscriptionType() {
                return same ? SubscriptionType.HOMOGENEOUS : SubscriptionType.HETEROGENEOUS;
            }
            public boolean isPartitionAssigned(Uuid id, int partition) {
                return assigned.contains((id.getLeastSignificantBits() - 2) + "-" + partition);
            }
            public boolean isPartitionAssignable(Uuid id, int partition) { return true; }
            public MemberSubscription memberSubscription(String id) {
                Member member = members.get(id);
                return new MemberSubscription() {
                    public Optional<String> rackId() { return Optional.empty(); }
                    public Optional<String> instanceId() { return Optional.ofNullable(member.instance); }
                    public Set<Uuid> subscribedTopicIds() {
                        Set<Uuid> ids = new LinkedHashSet<>();
                        member.topics.forEach(topic -> ids.add(topicId(topic)));
                        return ids;
                    }
                };
            }
            public MemberAssignment memberAssignment(String id) {
                Map<Uuid, Set<Integer>> map = new LinkedHashMap<>();
                held.getOrDefault(id, new TreeMap<>()).forEach((topic, partitions) -> map.put(topicId(topic), partitions));
                return () -> Collections.unmodifiableMap(map);
            }
        };
        SubscribedTopicDescriber describer = new SubscribedTopicDescriber() {
            public int numPartitions(Uuid id) { return counts.get((int) id.getLeastSignificantBits() - 2); }
            public Set<String> racksForPartition(Uuid id, int partition) { return Set.of(); }
        };
        ConsumerGroupPartitionAssignor assignor = name.equals("range") ? new RangeAssignor() : new UniformAssignor();
        Map<String, MemberAssignment> given = assignor.assign(spec, describer).members();

        StringJoiner topics = new StringJoiner(",");
        counts.forEach(count -> topics.add(count.toString()));
        System.out.println("group " + name + " " + topics);
        TreeMap<String, TreeMap<Integer, TreeSet<Integer>>> result = new TreeMap<>();
        members.forEach((id, member) -> {
            TreeMap<Integer, TreeSet<Integer>> own = new TreeMap<>();
            if (given.containsKey(id)) {
                given.get(id).partitions().forEach((topic, partitions) -> {
                    if (!partitions.isEmpty()) own.put((int) topic.getLeastSignificantBits() - 2, new TreeSet<>(partitions));
                });
            }
            result.put(id, own);
            StringJoiner wanted = new StringJoiner(",", "[", "]");
            member.topics.forEach(topic -> wanted.add(topic.toString()));
            System.out.println("member " + id + " " + (member.instance == null ? "-" : member.instance) + " " + wanted
                + " " + print(held.getOrDefault(id, new TreeMap<>())) + " " + print(own));
        });
        return result;
    }

    public static void main(String[] args) {
        Random random = new Random(848);
        for (int group = 0; group < 60; group++) {
            String name = group % 3 == 2 ? "range" : "uniform";
            boolean same = group % 2 == 0;
            int topicCount = 1 + random.nextInt(8);
            List<Integer> counts = new ArrayList<>();
            for (int topic = 0; topic < topicCount; topic++) counts.add(1 + random.nextInt(group % 5 == 0 ? 40 : 9));
            TreeMap<String, Member> members = new TreeMap<>();
            Map<String, TreeMap<Integer, TreeSet<Integer>>> held = new TreeMap<>();
            int next = 0;
            for (int step = 0; step < 6; step++) {
                int joining = step == 0 ? 1 + random.nextInt(7) : random.nextInt(3);
                for (int i = 0; i < joining; i++) {
                    String id = String.format("m%c%02d", 'a' + random.nextInt(26), next++);
                    TreeSet<Integer> wanted = new TreeSet<>();
                    for (int topic = 0; topic < topicCount; topic++) if (same || random.nextInt(3) > 0) wanted.add(topic);
                    if (wanted.isEmpty()) wanted.add(random.nextInt(topicCount));
                    members.put(id, new Member(id, random.nextInt(4) == 0 ? "i" + (99 - next) : null, wanted));
                }
                int leaving = step == 0 ? 0 : random.nextInt(3);
                for (int i = 0; i < leaving && members.size() > 1; i++) {
                    String id = new ArrayList<>(members.keySet()).get(random.nextInt(members.size()));
                    members.remove(id);
                    held.remove(id);
                }
                if (step == 3) {
                    int topic = random.nextInt(topicCount);
                    counts.set(topic, counts.get(topic) + random.nextInt(6));
                }
                if (step == 4 && !same) {
                    Member member = members.get(members.firstKey());
                    member.topics.clear();
                    member.topics.add(random.nextInt(topicCount));
                }
                if (step == 5) {
                    // Out of the blue: everything goes to whoever comes first.
                    held = new TreeMap<>();
                    for (int topic = 0; topic < topicCount; topic++) {
                        for (int partition = 0; partition < counts.get(topic); partition++) {
                            String id = new ArrayList<>(members.keySet()).get(random.nextInt((members.size() + 1) / 2));
                            if (random.nextInt(6) > 0) {
                                held.computeIfAbsent(id, x -> new TreeMap<>()).computeIfAbsent(topic, x -> new TreeSet<>()).add(partition);
                            }
                        }
                    }
                }
                held = run(name, new ArrayList<>(counts), members, held);
            }
        }
    }
}
