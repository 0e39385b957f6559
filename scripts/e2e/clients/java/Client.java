import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Future;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/**
 * Writes and reads records with whichever kafka-clients is on the class path.
 *
 * <pre>
 * Client write BOOTSTRAP TOPIC CODEC &lt; RECORDS
 * Client read BOOTSTRAP TOPIC COUNT
 * </pre>
 *
 * Records are lines of JSON as in client.py, their texts without escapes. What
 * came or went between 0.10 and 4.1 (headers, poll) is reached by reflection.
 */
public final class Client {
    private static final String SERIALIZATION = "org.apache.kafka.common.serialization.ByteArray";
    private static final Pattern TEXT = Pattern.compile("\"(key|value)\": (null|\"([^\"]*)\")");
    private static final Pattern TIME = Pattern.compile("\"timestamp\": (-?[0-9]+)");
    private static final Pattern PAIR = Pattern.compile("\\[\"([^\"]*)\", (null|\"([^\"]*)\")\\]");

    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("write")) {
            write(arguments[1], arguments[2], arguments[3]);
        } else {
            read(arguments[1], arguments[2], Integer.parseInt(arguments[3]));
        }
    }

    private static void write(String bootstrap, String topic, String codec) throws Exception {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("key.serializer", SERIALIZATION + "Serializer");
        properties.put("value.serializer", SERIALIZATION + "Serializer");
        properties.put("compression.type", codec);
        properties.put("acks", "all");
        properties.put("linger.ms", "50");
        properties.put("batch.size", "100000");
        KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(properties);
        List<Future<?>> sent = new ArrayList<>();
        BufferedReader lines =
            new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            sent.add(producer.send(record(topic, line)));
        }
        for (Future<?> each : sent) {
            each.get();
        }
        producer.close();
    }

    private static ProducerRecord<byte[], byte[]> record(String topic, String line)
        throws Exception {
        byte[] key = null;
        byte[] value = null;
        Matcher texts = TEXT.matcher(line);
        while (texts.find()) {
            byte[] text = bytes(texts.group(3));
            if (texts.group(1).equals("key")) {
                key = text;
            } else {
                value = text;
            }
        }
        Matcher time = TIME.matcher(line);
        long timestamp = time.find() ? Long.parseLong(time.group(1)) : 0;
        ProducerRecord<byte[], byte[]> record =
            new ProducerRecord<>(topic, 0, timestamp, key, value);
        Matcher pairs = PAIR.matcher(line);
        while (hasHeaders(ProducerRecord.class) && pairs.find()) {
            Object headers = ProducerRecord.class.getMethod("headers").invoke(record);
            Method add = headers.getClass().getMethod("add", String.class, byte[].class);
            add.invoke(headers, pairs.group(1), bytes(pairs.group(3)));
        }
        return record;
    }

    private static void read(String bootstrap, String topic, int count) throws Exception {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("key.deserializer", SERIALIZATION + "Deserializer");
        properties.put("value.deserializer", SERIALIZATION + "Deserializer");
        properties.put("enable.auto.commit", "false");
        properties.put("auto.offset.reset", "earliest");
        KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(properties);
        TopicPartition partition = new TopicPartition(topic, 0);
        consumer.assign(Collections.singletonList(partition));
        consumer.seek(partition, 0);
        long deadline = System.currentTimeMillis() + 60_000;
        while (count > 0 && System.currentTimeMillis() < deadline) {
            for (ConsumerRecord<byte[], byte[]> got : poll(consumer)) {
                System.out.println("{\"offset\": " + got.offset() + ", \"timestamp\": "
                    + got.timestamp() + ", \"key\": " + json(got.key()) + ", \"value\": "
                    + json(got.value()) + ", \"headers\": " + headers(got) + "}");
                count--;
            }
        }
        consumer.close();
    }

    @SuppressWarnings("unchecked")
    private static ConsumerRecords<byte[], byte[]> poll(KafkaConsumer<byte[], byte[]> consumer)
        throws Exception {
        Object records;
        try {
            Class<?> duration = Class.forName("java.time.Duration");
            Object second = duration.getMethod("ofMillis", long.class).invoke(null, 1000L);
            records = KafkaConsumer.class.getMethod("poll", duration).invoke(consumer, second);
        } catch (NoSuchMethodException old) {
            records = KafkaConsumer.class.getMethod("poll", long.class).invoke(consumer, 1000L);
        }
        return (ConsumerRecords<byte[], byte[]>) records;
    }

    private static boolean hasHeaders(Class<?> record) {
        for (Method method : record.getMethods()) {
            if (method.getName().equals("headers")) {
                return true;
            }
        }
        return false;
    }

    private static String headers(ConsumerRecord<byte[], byte[]> got) throws Exception {
        if (!hasHeaders(ConsumerRecord.class)) {
            return "[]";
        }
        List<String> pairs = new ArrayList<>();
        Class<?> header = Class.forName("org.apache.kafka.common.header.Header");
        for (Object each : (Iterable<?>) ConsumerRecord.class.getMethod("headers").invoke(got)) {
            String key = (String) header.getMethod("key").invoke(each);
            byte[] value = (byte[]) header.getMethod("value").invoke(each);
            pairs.add("[\"" + key + "\", " + json(value) + "]");
        }
        return "[" + String.join(", ", pairs) + "]";
    }

    private static byte[] bytes(String text) {
        return text == null ? null : text.getBytes(StandardCharsets.UTF_8);
    }

    private static String json(byte[] data) {
        return data == null ? "null" : "\"" + new String(data, StandardCharsets.UTF_8) + "\"";
    }
}
