import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/**
 * Decodes responses with the classes of kafka-clients, down to the last byte.
 *
 * <p>Decoder FILE PORT: FILE has a line for each exchange: API key, version, request and response
 * in hexadecimal digits. A line without a response is asked of the broker at PORT: an empty
 * request, as the classes make it.
 */
public class Decoder {
    private static int decoded = 0;
    private static int skipped = 0;
    private static int wrong = 0;

    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(arguments[1]);
        for (String line : Files.readAllLines(Path.of(arguments[0]))) {
            String[] parts = line.split(" ");
            short version = Short.parseShort(parts[1]);
            ApiMessageType type = ApiMessageType.fromApiKey(Short.parseShort(parts[0]));
            if (version < type.lowestSupportedVersion() || version > newest(type)) {
                skipped++;
                continue;
            }
            try {
                if (parts.length > 2) {
                    request(type, version, bytes(parts[2]));
                    response(type, version, bytes(parts[3]));
                } else {
                    response(type, version, ask(type, version, port));
                }
                decoded++;
            } catch (Exception failed) {
                wrong++;
                System.out.println(type + " version " + version + ": " + failed);
            }
        }
        System.out.println(decoded + " decoded, " + skipped + " unknown here, " + wrong + " wrong");
        System.exit(wrong == 0 && decoded > 0 ? 0 : 1);
    }

    /** The name of the method is older than the distinction that its argument makes. */
    private static short newest(ApiMessageType type) throws Exception {
        return (short) ApiMessageType.class.getMethod("highestSupportedVersion", boolean.class).invoke(type, true);
    }

    private static ByteBuffer bytes(String digits) {
        return ByteBuffer.wrap(HexFormat.of().parseHex(digits));
    }

    /** What another codec sent means the same to these classes, byte for byte. */
    private static void request(ApiMessageType type, short version, ByteBuffer bytes) {
        short headerVersion = type.requestHeaderVersion(version);
        RequestHeaderData header = new RequestHeaderData();
        header.read(new ByteBufferAccessor(bytes), headerVersion);
        read(type.newRequest(), bytes, version);
    }

    private static void response(ApiMessageType type, short version, ByteBuffer bytes) {
        short headerVersion = type.responseHeaderVersion(version);
        new ResponseHeaderData().read(new ByteBufferAccessor(bytes), headerVersion);
        ApiMessage response = type.newResponse();
        ByteBuffer body = bytes.slice();
        read(response, bytes, version);
        ByteBuffer again = written(response, version);
        if (!again.equals(body)) {
            throw new IllegalStateException("encoded again it has other bytes: " + response);
        }
    }

    private static void read(ApiMessage message, ByteBuffer bytes, short version) {
        message.read(new ByteBufferAccessor(bytes), version);
        if (bytes.hasRemaining()) {
            throw new IllegalStateException(bytes.remaining() + " bytes too many behind " + message);
        }
    }

    private static ByteBuffer written(Message message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer bytes = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(bytes), cache, version);
        return bytes.flip();
    }

    private static ByteBuffer ask(ApiMessageType type, short version, int port) throws Exception {
        RequestHeaderData header = new RequestHeaderData()
                .setRequestApiKey(type.apiKey())
                .setRequestApiVersion(version)
                .setCorrelationId(7)
                .setClientId("decoder");
        ByteBuffer head = written(header, type.requestHeaderVersion(version));
        ByteBuffer body = written(type.newRequest(), version);
        try (Socket socket = new Socket("127.0.0.1", port)) {
            socket.setSoTimeout(10_000);
            DataOutputStream out = new DataOutputStream(socket.getOutputStream());
            out.writeInt(head.remaining() + body.remaining());
            out.write(head.array());
            out.write(body.array());
            out.flush();
            DataInputStream in = new DataInputStream(socket.getInputStream());
            byte[] response = new byte[in.readInt()];
            in.readFully(response);
            return ByteBuffer.wrap(response);
        }
    }
}
