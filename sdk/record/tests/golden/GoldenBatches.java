// Writes record batches with Kafka's own builders, and reads with Kafka's own readers what Highwater wrote.
// README.md beside this file says how to run it.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.List;
import java.util.stream.Stream;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.KRaftVersionRecord;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.message.SnapshotFooterRecord;
import org.apache.kafka.common.message.SnapshotHeaderRecord;
import org.apache.kafka.common.message.VotersRecord;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.record.CompressionType;
import org.apache.kafka.common.record.ControlRecordType;
import org.apache.kafka.common.record.EndTransactionMarker;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.MemoryRecordsBuilder;
import org.apache.kafka.common.record.MutableRecordBatch;
import org.apache.kafka.common.record.RecordBatch;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.utils.BufferSupplier;

public class GoldenBatches {
    static final ObjectMapper JSON = new ObjectMapper();

    record Rec(long offset, long timestamp, byte[] key, byte[] value, Header... headers) {}

    /** What a batch is made of, apart from its codec. */
    record Shape(
        long baseOffset, TimestampType type, long logAppendTime, long producerId, short producerEpoch,
        int baseSequence, boolean transactional, int leaderEpoch, List<Rec> records) {}

    public static void main(String[] args) throws Exception {
        Path dir = Path.of(args[1]);
        switch (args[0]) {
            case "write" -> write(dir);
            case "check" -> check(dir, Path.of(args[2]));
            default -> throw new IllegalArgumentException(args[0]);
        }
    }

    // ---- what is written ----

    static void write(Path dir) throws Exception {
        ArrayNode cases = JSON.createArrayNode();
        for (CompressionType codec : CompressionType.values()) {
            put(dir, cases, "shapes", codec, shapes());
            if (codec != CompressionType.NONE) {
                put(dir, cases, "blocks", codec, blocks());
            }
        }
        put(dir, cases, "single", CompressionType.NONE, plain(0, List.of(rec(0, 1700000000000L, "k", "v"))));
        put(dir, cases, "many", CompressionType.NONE, many());
        put(dir, cases, "deltas", CompressionType.NONE, deltas());
        put(dir, cases, "placed", CompressionType.NONE, new Shape(1L << 40, TimestampType.CREATE_TIME,
            RecordBatch.NO_TIMESTAMP, -1, (short) -1, -1, false, 7, List.of(rec(1L << 40, 5, "a", "b"))));
        for (CompressionType codec : List.of(CompressionType.NONE, CompressionType.LZ4)) {
            put(dir, cases, "appended", codec, new Shape(100, TimestampType.LOG_APPEND_TIME, 1700000009999L, -1,
                (short) -1, -1, false, 3, List.of(rec(100, 1700000000000L, "a", "b"), rec(101, 1700000000001L, "c", "d"))));
        }
        put(dir, cases, "idempotent", CompressionType.NONE, new Shape(0, TimestampType.CREATE_TIME,
            RecordBatch.NO_TIMESTAMP, 4711, (short) 3, Integer.MAX_VALUE - 1, false, -1,
            List.of(rec(0, 1, "a", "1"), rec(1, 2, "b", "2"), rec(2, 3, "c", "3"))));
        put(dir, cases, "transactional", CompressionType.NONE, new Shape(0, TimestampType.CREATE_TIME,
            RecordBatch.NO_TIMESTAMP, 1L << 50, (short) 0, 12, true, -1, List.of(rec(0, 1, "a", "1"))));
        gaps(dir, cases);
        compacted(dir, cases);
        control(dir, cases);
        // A line for each batch: a change shows where it is.
        List<String> lines = new ArrayList<>();
        for (JsonNode node : cases) {
            lines.add(JSON.writeValueAsString(node));
        }
        Files.writeString(dir.resolve("golden.json"), "{\"batches\":[\n" + String.join(",\n", lines) + "\n]}\n");
    }

    static Rec rec(long offset, long timestamp, String key, String value, Header... headers) {
        return new Rec(offset, timestamp, utf8(key), utf8(value), headers);
    }

    static byte[] utf8(String text) {
        return text == null ? null : text.getBytes(StandardCharsets.UTF_8);
    }

    static Shape plain(long baseOffset, List<Rec> records) {
        return new Shape(baseOffset, TimestampType.CREATE_TIME, RecordBatch.NO_TIMESTAMP, -1, (short) -1, -1, false, -1, records);
    }

    /** Null and empty keys and values, headers of every kind, time going backwards. */
    static Shape shapes() {
        long t = 1700000000000L;
        return plain(0, List.of(
            rec(0, t, "key", "value"),
            rec(1, t + 1, null, "only a value"),
            rec(2, t - 5, "only a key", null),
            rec(3, t + 64, null, null),
            rec(4, t + 8192, "", ""),
            rec(5, t, "with headers", "x", new RecordHeader("a", utf8("1")), new RecordHeader("a", utf8("again"))),
            rec(6, t, "odd headers", "x", new RecordHeader("null", (byte[]) null), new RecordHeader("", new byte[0]),
                new RecordHeader("zażółć", new byte[] {0, (byte) 0xff})),
            rec(7, t + 1, "schlüssel", "值".repeat(100))));
    }

    /** More than one block of every codec. */
    static Shape blocks() {
        List<Rec> records = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            records.add(new Rec(i, 1700000000000L + i, utf8("big" + i), pattern(70_000 + i)));
        }
        return plain(0, records);
    }

    static byte[] pattern(int length) {
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i++) {
            bytes[i] = (byte) (i * 31 >> 3);
        }
        return bytes;
    }

    /** Offset deltas and timestamps of one and two bytes. */
    static Shape many() {
        List<Rec> records = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            records.add(rec(i, 1700000000000L + i * 7L, null, "v" + i));
        }
        return plain(0, records);
    }

    /** Timestamp deltas beyond 32 bits, and below zero. */
    static Shape deltas() {
        long t = 1700000000000L;
        return plain(0, List.of(
            rec(0, t, "base", ""), rec(1, t + (30L << 20) * 1000, "a year", ""), rec(2, 0, "1970", ""),
            rec(3, t + Integer.MAX_VALUE, "i32 max", ""), rec(4, t + Integer.MAX_VALUE + 1L, "i32 max + 1", ""),
            rec(5, Long.MAX_VALUE / 2, "far", "")));
    }

    static void put(Path dir, ArrayNode cases, String name, CompressionType codec, Shape shape) throws Exception {
        ByteBuffer buffer = ByteBuffer.allocate(1 << 20);
        MemoryRecordsBuilder builder = new MemoryRecordsBuilder(buffer, RecordBatch.MAGIC_VALUE_V2, Compression.of(codec).build(),
            shape.type, shape.baseOffset, shape.logAppendTime, shape.producerId, shape.producerEpoch, shape.baseSequence,
            shape.transactional, false, shape.leaderEpoch, buffer.capacity());
        for (Rec rec : shape.records) {
            builder.appendWithOffset(rec.offset, rec.timestamp, rec.key, rec.value, rec.headers);
        }
        ObjectNode node = node(cases, name + "." + codec.name, codec, shape);
        save(dir, node, builder.build(), shape.records);
    }

    static ObjectNode node(ArrayNode cases, String file, CompressionType codec, Shape shape) {
        ObjectNode node = cases.addObject();
        node.put("file", file + ".bin").put("codec", codec.name).put("builtInOrder", true)
            .put("baseOffset", shape.baseOffset).put("leaderEpoch", shape.leaderEpoch)
            .put("timestampType", shape.type.name).put("logAppendTime", shape.logAppendTime)
            .put("producerId", shape.producerId).put("producerEpoch", shape.producerEpoch)
            .put("baseSequence", shape.baseSequence).put("transactional", shape.transactional).put("control", false);
        return node;
    }

    static void save(Path dir, ObjectNode node, MemoryRecords records, List<Rec> contents) throws Exception {
        ByteBuffer buffer = records.buffer().duplicate();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        Files.write(dir.resolve(node.get("file").asText()), bytes);
        // What Kafka itself reads from the header, to be held against what we read.
        RecordBatch batch = records.batches().iterator().next();
        batch.ensureValid();
        node.put("lastOffset", batch.lastOffset()).put("maxTimestamp", batch.maxTimestamp())
            .put("lastSequence", batch.lastSequence()).put("crc", batch.checksum())
            .put("recordCount", batch.countOrNull()).put("bytes", bytes.length);
        batch.deleteHorizonMs().ifPresent(horizon -> node.put("deleteHorizonMs", horizon));
        ArrayNode list = node.putArray("records");
        for (Rec rec : contents) {
            ObjectNode item = list.addObject();
            item.put("offset", rec.offset).put("timestamp", rec.timestamp);
            bytes(item, "key", rec.key);
            bytes(item, "value", rec.value);
            ArrayNode headers = item.putArray("headers");
            for (Header header : rec.headers) {
                ObjectNode field = headers.addObject();
                bytes(field, "key", utf8(header.key()));
                bytes(field, "value", header.value());
            }
        }
    }

    /** Hexadecimal; what is long is the pattern, and stands as its length. */
    static void bytes(ObjectNode node, String name, byte[] bytes) {
        if (bytes == null) {
            node.putNull(name);
        } else if (bytes.length > 10_000) {
            node.put(name, bytes.length);
        } else {
            node.put(name, HexFormat.of().formatHex(bytes));
        }
    }

    /** Records missing between others and at the end, as compaction leaves them. */
    static void gaps(Path dir, ArrayNode cases) throws Exception {
        List<Rec> records = List.of(rec(12, 100, "a", "1"), rec(15, 101, "b", "2"), rec(300, 99, "c", "3"));
        Shape shape = new Shape(10, TimestampType.CREATE_TIME, RecordBatch.NO_TIMESTAMP, 9, (short) 1, 5, false, 2, records);
        ByteBuffer buffer = ByteBuffer.allocate(4096);
        MemoryRecordsBuilder builder = new MemoryRecordsBuilder(buffer, RecordBatch.MAGIC_VALUE_V2, Compression.NONE, shape.type,
            shape.baseOffset, shape.logAppendTime, shape.producerId, shape.producerEpoch, shape.baseSequence, false, false,
            shape.leaderEpoch, buffer.capacity());
        for (Rec rec : records) {
            builder.appendWithOffset(rec.offset, rec.timestamp, rec.key, rec.value, rec.headers);
        }
        builder.overrideLastOffset(310);
        ObjectNode node = node(cases, "gaps.none", CompressionType.NONE, shape).put("builtInOrder", false);
        save(dir, node, builder.build(), records);
    }

    /** What Kafka's own cleaner writes: a tombstone with its horizon, and a batch of which nothing is left. */
    static void compacted(Path dir, ArrayNode cases) throws Exception {
        List<Rec> records = List.of(rec(20, 1000, "a", "old"), rec(21, 1001, "b", null), rec(22, 1002, "c", "kept"));
        Shape shape = new Shape(20, TimestampType.CREATE_TIME, RecordBatch.NO_TIMESTAMP, 77, (short) 4, 8, false, 5, records);
        for (String what : List.of("horizon", "empty")) {
            ByteBuffer buffer = ByteBuffer.allocate(4096);
            MemoryRecordsBuilder builder = new MemoryRecordsBuilder(buffer, RecordBatch.MAGIC_VALUE_V2, Compression.NONE, shape.type,
                shape.baseOffset, shape.logAppendTime, shape.producerId, shape.producerEpoch, shape.baseSequence, false, false,
                shape.leaderEpoch, buffer.capacity());
            for (Rec rec : records) {
                builder.appendWithOffset(rec.offset, rec.timestamp, rec.key, rec.value, rec.headers);
            }
            List<Rec> left = what.equals("empty") ? List.of() : records.subList(1, 3);
            ByteBuffer out = ByteBuffer.allocate(4096);
            builder.build().filterTo(new MemoryRecords.RecordFilter(5000, 60_000) {
                @Override
                protected BatchRetentionResult checkBatchRetention(RecordBatch batch) {
                    return new BatchRetentionResult(BatchRetention.RETAIN_EMPTY, false);
                }

                @Override
                protected boolean shouldRetainRecord(RecordBatch batch, org.apache.kafka.common.record.Record record) {
                    return left.stream().anyMatch(rec -> rec.offset == record.offset());
                }
            }, out, BufferSupplier.NO_CACHING);
            out.flip();
            ObjectNode node = node(cases, "compacted-" + what + ".none", CompressionType.NONE, shape).put("builtInOrder", false);
            save(dir, node, MemoryRecords.readableRecords(out), left);
        }
    }

    static void control(Path dir, ArrayNode cases) throws Exception {
        long time = 1700000000000L;
        for (ControlRecordType type : List.of(ControlRecordType.COMMIT, ControlRecordType.ABORT)) {
            ObjectNode node = marker(cases, type.name().toLowerCase(), 40, 2, 4711, (short) 6);
            node.put("coordinatorEpoch", 13);
            MemoryRecords records = MemoryRecords.withEndTransactionMarker(40, time, 2, 4711, (short) 6, new EndTransactionMarker(type, 13));
            saveControl(dir, node, records);
        }
        LeaderChangeMessage change = new LeaderChangeMessage().setVersion((short) 0).setLeaderId(3)
            .setVoters(List.of(new LeaderChangeMessage.Voter().setVoterId(1), new LeaderChangeMessage.Voter().setVoterId(3)))
            .setGrantingVoters(List.of(new LeaderChangeMessage.Voter().setVoterId(3)));
        saveControl(dir, marker(cases, "leader-change-0", 0, 9, -1, (short) -1),
            MemoryRecords.withLeaderChangeMessage(0, time, 9, ByteBuffer.allocate(512), change));
        Uuid directory = new Uuid(0x0123456789abcdefL, 0x1122334455667788L);
        LeaderChangeMessage changeV1 = new LeaderChangeMessage().setVersion((short) 1).setLeaderId(3)
            .setVoters(List.of(new LeaderChangeMessage.Voter().setVoterId(3).setVoterDirectoryId(directory)))
            .setGrantingVoters(List.of());
        // Kafka's helper writes version 0 only; the message itself knows 1 (KIP-853).
        ByteBuffer buffer = ByteBuffer.allocate(512);
        MemoryRecordsBuilder builder = new MemoryRecordsBuilder(buffer, RecordBatch.MAGIC_VALUE_V2, Compression.NONE,
            TimestampType.CREATE_TIME, 0, time, -1, (short) -1, -1, false, true, 9, buffer.capacity());
        builder.appendControlRecord(time, ControlRecordType.LEADER_CHANGE, MessageUtil.toByteBufferAccessor(changeV1, (short) 1).buffer());
        saveControl(dir, marker(cases, "leader-change-1", 0, 9, -1, (short) -1), builder.build());
        saveControl(dir, marker(cases, "snapshot-header", 0, 4, -1, (short) -1),
            MemoryRecords.withSnapshotHeaderRecord(0, time, 4, ByteBuffer.allocate(512),
                new SnapshotHeaderRecord().setVersion((short) 0).setLastContainedLogTimestamp(time - 1)));
        saveControl(dir, marker(cases, "snapshot-footer", 17, 4, -1, (short) -1),
            MemoryRecords.withSnapshotFooterRecord(17, time, 4, ByteBuffer.allocate(512),
                new SnapshotFooterRecord().setVersion((short) 0)));
        saveControl(dir, marker(cases, "kraft-version", 1, 4, -1, (short) -1),
            MemoryRecords.withKRaftVersionRecord(1, time, 4, ByteBuffer.allocate(512),
                new KRaftVersionRecord().setVersion((short) 0).setKRaftVersion((short) 1)));
        VotersRecord.EndpointCollection endpoints = new VotersRecord.EndpointCollection();
        endpoints.add(new VotersRecord.Endpoint().setName("CONTROLLER").setHost("localhost").setPort(9093));
        VotersRecord voters = new VotersRecord().setVersion((short) 0).setVoters(List.of(new VotersRecord.Voter()
            .setVoterId(3).setVoterDirectoryId(directory).setEndpoints(endpoints)
            .setKRaftVersionFeature(new VotersRecord.KRaftVersionFeature().setMinSupportedVersion((short) 0).setMaxSupportedVersion((short) 1))));
        saveControl(dir, marker(cases, "voters", 2, 4, -1, (short) -1),
            MemoryRecords.withVotersRecord(2, time, 4, ByteBuffer.allocate(512), voters));
    }

    static ObjectNode marker(ArrayNode cases, String name, long offset, int leaderEpoch, long producerId, short producerEpoch) {
        boolean transactional = producerId != -1;
        Shape shape = new Shape(offset, TimestampType.CREATE_TIME, RecordBatch.NO_TIMESTAMP, producerId, producerEpoch, -1,
            transactional, leaderEpoch, List.of());
        return node(cases, "control-" + name, CompressionType.NONE, shape).put("control", true);
    }

    static void saveControl(Path dir, ObjectNode node, MemoryRecords records) throws Exception {
        List<Rec> contents = new ArrayList<>();
        for (org.apache.kafka.common.record.Record record : records.records()) {
            contents.add(new Rec(record.offset(), record.timestamp(), array(record.key()), array(record.value())));
        }
        save(dir, node, records, contents);
    }

    static byte[] array(ByteBuffer buffer) {
        if (buffer == null) {
            return null;
        }
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return bytes;
    }

    // ---- what is read ----

    /** Holds every file in `ours`, named as in golden.json with a codec (and level) of its own, against that description. */
    static void check(Path golden, Path ours) throws Exception {
        JsonNode index = JSON.readTree(golden.resolve("golden.json").toFile());
        int batches = 0;
        int records = 0;
        List<Path> files;
        try (Stream<Path> list = Files.list(ours)) {
            files = list.filter(file -> file.toString().endsWith(".bin")).sorted().toList();
        }
        for (Path file : files) {
            String name = file.getFileName().toString();
            String stem = name.substring(0, name.indexOf('.'));
            String codec = name.split("\\.")[1];
            JsonNode expected = null;
            for (JsonNode node : index.get("batches")) {
                if (node.get("file").asText().startsWith(stem + ".")) {
                    expected = node;
                }
            }
            require(expected != null, name, "no such case");
            MemoryRecords memory = MemoryRecords.readableRecords(ByteBuffer.wrap(Files.readAllBytes(file)));
            Iterator<MutableRecordBatch> iterator = memory.batches().iterator();
            MutableRecordBatch batch = iterator.next();
            require(!iterator.hasNext(), name, "more than one batch");
            batch.ensureValid();
            require(batch.compressionType().name.equals(codec.replaceAll("-.*", "")), name, "codec " + batch.compressionType());
            for (String field : List.of("baseOffset", "lastOffset", "maxTimestamp", "producerId", "producerEpoch", "baseSequence", "lastSequence")) {
                long found = switch (field) {
                    case "baseOffset" -> batch.baseOffset();
                    case "lastOffset" -> batch.lastOffset();
                    case "maxTimestamp" -> batch.maxTimestamp();
                    case "producerId" -> batch.producerId();
                    case "producerEpoch" -> batch.producerEpoch();
                    case "baseSequence" -> batch.baseSequence();
                    default -> batch.lastSequence();
                };
                require(expected.get(field).asLong() == found, name, field + " " + found);
            }
            require(expected.get("transactional").asBoolean() == batch.isTransactional(), name, "transactional");
            require(expected.get("control").asBoolean() == batch.isControlBatch(), name, "control");
            Iterator<JsonNode> wanted = expected.get("records").iterator();
            Iterator<org.apache.kafka.common.record.Record> found = batch.streamingIterator(BufferSupplier.NO_CACHING);
            while (found.hasNext()) {
                org.apache.kafka.common.record.Record record = found.next();
                record.ensureValid();
                JsonNode want = wanted.next();
                String where = name + " at " + record.offset();
                require(want.get("offset").asLong() == record.offset(), where, "offset");
                boolean appended = expected.get("timestampType").asText().equals("LogAppendTime");
                long timestamp = (appended ? expected.get("logAppendTime") : want.get("timestamp")).asLong();
                require(timestamp == record.timestamp(), where, "timestamp " + record.timestamp());
                same(want.get("key"), array(record.key()), where);
                same(want.get("value"), array(record.value()), where);
                Iterator<JsonNode> headers = want.get("headers").iterator();
                for (Header header : record.headers()) {
                    JsonNode field = headers.next();
                    same(field.get("key"), utf8(header.key()), where);
                    same(field.get("value"), header.value(), where);
                }
                require(!headers.hasNext(), where, "headers missing");
                records++;
            }
            require(!wanted.hasNext(), name, "records missing");
            batches++;
        }
        System.out.println("Kafka reads " + batches + " batches with " + records + " records as they should be");
    }

    static void same(JsonNode want, byte[] found, String where) {
        byte[] bytes = want.isNull() ? null : want.isNumber() ? pattern(want.asInt()) : HexFormat.of().parseHex(want.asText());
        require(java.util.Arrays.equals(bytes, found), where, "bytes differ");
    }

    static void require(boolean holds, String where, String what) {
        if (!holds) {
            throw new AssertionError(where + ": " + what);
        }
    }
}
