import java.util.*;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.metadata.*;
import org.apache.kafka.coordinator.group.Utils;
import org.apache.kafka.image.*;

/** Has Kafka hash the topics of groups. See README.md. */
public class Hashes {
    public static void main(String[] args) {
        Random random = new Random(1101);
        for (int group = 0; group < 40; group++) {
            MetadataDelta delta = new MetadataDelta(MetadataImage.EMPTY);
            delta.replay(new RegisterBrokerRecord().setBrokerId(0).setRack(null));
            TreeMap<String, String> lines = new TreeMap<>();
            for (int topic = 0; topic < group % 7; topic++) {
                String name = "topic" + ".-_".charAt(random.nextInt(3)) + Integer.toString(random.nextInt(1 << 20), 36)
                    + "x".repeat(random.nextInt(90));
                Uuid id = new Uuid(random.nextLong(), random.nextLong());
                int partitions = 1 + random.nextInt(group % 5 == 0 ? 2000 : 12);
                delta.replay(new TopicRecord().setName(name).setTopicId(id));
                for (int partition = 0; partition < partitions; partition++) {
                    delta.replay(new PartitionRecord().setTopicId(id).setPartitionId(partition).setReplicas(List.of(0))
                        .setDirectories(List.of(Uuid.ZERO_UUID)).setIsr(List.of(0)).setLeader(0));
                }
                lines.put(name, name + "," + id.getMostSignificantBits() + "," + id.getLeastSignificantBits() + "," + partitions);
            }
            MetadataImage image = delta.apply(MetadataProvenance.EMPTY);
            Map<String, Long> hashes = new HashMap<>();
            lines.keySet().forEach(name -> hashes.put(name, Utils.computeTopicHash(name, image)));
            System.out.println(Utils.computeGroupHash(hashes) + " " + String.join(";", lines.values()));
        }
    }
}
