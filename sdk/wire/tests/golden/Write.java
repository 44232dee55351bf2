// Writes messages with Kafka's own classes: one JSON document a line in, "name version hex" a line out. See README.md.
// Records of groups and blobs of consumers are written with the number before them that Kafka writes there.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

public class Write {
    public static void main(String[] arguments) throws Exception {
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        var mapper = new ObjectMapper();
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode task = mapper.readTree(line);
            short version = (short) task.get("version").asInt();
            Message message = (Message) Class.forName(task.get("class").asText() + "JsonConverter")
                .getMethod("read", JsonNode.class, short.class)
                .invoke(null, task.get("document"), version);
            byte[] bytes = switch (task.get("prefix").asText()) {
                case "type" -> MessageUtil.toVersionPrefixedBytes(((ApiMessage) message).apiKey(), message);
                case "version" -> MessageUtil.toVersionPrefixedBytes(version, message);
                default -> plain(message, version);
            };
            out.println(task.get("name").asText() + " " + version + " " + HexFormat.of().formatHex(bytes));
        }
    }

    private static byte[] plain(Message message, short version) {
        var cache = new ObjectSerializationCache();
        var buffer = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(buffer), cache, version);
        return buffer.array();
    }
}
