// Opens a partition's directory with Apache Kafka's own storage classes and cleans it with Kafka's own cleaner.
//
//   java -cp "LIBS/*" Clean.java DIR SEGMENT_BYTES DELETE_RETENTION_MS open
//   java -cp "LIBS/*" Clean.java DIR SEGMENT_BYTES DELETE_RETENTION_MS FIRST_DIRTY
//
// `open` recovers the log as after a crash and closes it: snapshots of producers and indexes of aborted transactions are made.
// FIRST_DIRTY cleans everything below the active segment, the keys of what lies above FIRST_DIRTY being mapped.

import java.io.File;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.util.KafkaScheduler;
import org.apache.kafka.storage.internals.log.Cleaner;
import org.apache.kafka.storage.internals.log.CleanerStats;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.apache.kafka.storage.internals.log.LogToClean;
import org.apache.kafka.storage.internals.log.ProducerStateManagerConfig;
import org.apache.kafka.storage.internals.log.SkimpyOffsetMap;
import org.apache.kafka.storage.internals.log.UnifiedLog;
import org.apache.kafka.storage.internals.utils.Throttler;
import org.apache.kafka.storage.log.metrics.BrokerTopicStats;

public class Clean {
    public static void main(String[] arguments) throws Exception {
        File dir = new File(arguments[0]);
        boolean opensOnly = arguments[3].equals("open");
        Map<String, String> settings = new HashMap<>();
        settings.put("cleanup.policy", "compact");
        settings.put("internal.segment.bytes", arguments[1]);
        settings.put("delete.retention.ms", arguments[2]);
        settings.put("retention.ms", "-1");
        settings.put("file.delete.delay.ms", "0");
        settings.put("index.interval.bytes", "1000");
        Time time = Time.SYSTEM;
        KafkaScheduler scheduler = new KafkaScheduler(1);
        scheduler.startup();
        UnifiedLog log = UnifiedLog.create(dir, new LogConfig(settings), 0L, opensOnly ? 0L : Long.MAX_VALUE, scheduler,
            new BrokerTopicStats(), time, 900_000, new ProducerStateManagerConfig(86_400_000, false), 600_000,
            new LogDirFailureChannel(1), !opensOnly, Optional.empty());
        log.updateHighWatermark(log.logEndOffset());
        if (!opensOnly) {
            Throttler throttler = new Throttler(Double.MAX_VALUE, 300, "cleaner-io", "bytes", time);
            Cleaner cleaner = new Cleaner(0, new SkimpyOffsetMap(4 << 20), 64 << 10, 4 << 20, 0.9, throttler, time, partition -> { });
            long firstDirty = Long.parseLong(arguments[3]);
            LogToClean next = new LogToClean(log, firstDirty, log.activeSegment().baseOffset(), false);
            Map.Entry<Long, CleanerStats> done = cleaner.doClean(next, time.milliseconds());
            System.out.println("cleaned to " + done.getKey() + " of " + log.logEndOffset() + ", "
                + log.numberOfSegments() + " segments");
        }
        log.close();
        scheduler.shutdown();
    }
}
