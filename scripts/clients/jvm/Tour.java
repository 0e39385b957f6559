import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;

/**
 * What a Java program does with the clients of Kafka 0.10.2 and every later release.
 *
 * Tour BOOTSTRAP TOPIC; the topic has three partitions. Says "done" at its end.
 */
public class Tour {
    static final int COUNT = 300;

    static void check(boolean good, String what) {
        if (!good) {
            throw new AssertionError(what);
        }
    }

    static Properties settings(String bootstrap) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("acks", "all");
        settings.put("retries", "5");
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        settings.put("max.poll.records", "40");
        for (String which : Arrays.asList("key", "value")) {
            String of = "org.apache.kafka.common.serialization.String";
            settings.put(which + ".serializer", of + "Serializer");
            settings.put(which + ".deserializer", of + "Deserializer");
        }
        return settings;
    }

    /** Some records; the parameter is a number in old releases and a Duration in new ones. */
    @SuppressWarnings("unchecked")
    static ConsumerRecords<String, String> poll(KafkaConsumer<String, String> consumer)
            throws ReflectiveOperationException {
        Object found;
        try {
            found = KafkaConsumer.class.getMethod("poll", Duration.class)
                .invoke(consumer, Duration.ofMillis(200));
        } catch (NoSuchMethodException old) {
            found = KafkaConsumer.class.getMethod("poll", long.class).invoke(consumer, 200L);
        }
        return (ConsumerRecords<String, String>) found;
    }

    static List<ConsumerRecord<String, String>> read(
            KafkaConsumer<String, String> consumer, int count)
            throws ReflectiveOperationException {
        List<ConsumerRecord<String, String>> found = new ArrayList<>();
        long end = System.currentTimeMillis() + 60_000;
        while (found.size() < count && System.currentTimeMillis() < end) {
            poll(consumer).forEach(found::add);
        }
        return found;
    }

    static void produce(String bootstrap, String topic) throws Exception {
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings(bootstrap))) {
            check(producer.partitionsFor(topic).size() == 3, "three partitions");
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int number = 0; number < COUNT; number++) {
                sent.add(producer.send(new ProducerRecord<>(
                    topic, number % 3, 1_600_000_000_000L + number, "key", "value " + number)));
            }
            producer.flush();
            for (int number = 0; number < COUNT; number++) {
                check(sent.get(number).get().offset() == number / 3, "offset of " + number);
            }
        }
    }

    static void consume(String bootstrap, String topic) throws Exception {
        Properties settings = settings(bootstrap);
        settings.put("group.id", "tour-" + topic);
        List<String> values = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings)) {
            consumer.subscribe(Collections.singletonList(topic));
            read(consumer, 100).forEach(record -> values.add(record.value()));
            consumer.commitSync();
        }
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings)) {
            consumer.subscribe(Collections.singletonList(topic));
            read(consumer, COUNT - values.size()).forEach(record -> values.add(record.value()));
            consumer.commitSync();
        }
        check(values.size() == COUNT, "read " + values.size());
        check(values.stream().distinct().count() == COUNT, "each once");
    }

    static void look(String bootstrap, String topic) throws Exception {
        Properties settings = settings(bootstrap);
        settings.put("group.id", "look-" + topic);
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings)) {
            TopicPartition first = new TopicPartition(topic, 0);
            check(consumer.listTopics().get(topic).size() == 3, "listed");
            consumer.assign(Collections.singletonList(first));
            check(consumer.endOffsets(Collections.singleton(first)).get(first) == 100, "end");
            check(consumer.beginningOffsets(Collections.singleton(first)).get(first) == 0, "begin");
            long found = consumer.offsetsForTimes(
                Collections.singletonMap(first, 1_600_000_000_000L + 150)).get(first).offset();
            check(found == 50, "offset by time: " + found);
            consumer.seek(first, 90);
            List<ConsumerRecord<String, String>> tail = read(consumer, 10);
            check(tail.get(0).offset() == 90 && tail.size() == 10, "the last ten");
            check(tail.get(9).timestamp() == 1_600_000_000_000L + 297, "its time");
            consumer.commitSync(Collections.singletonMap(first, new OffsetAndMetadata(7, "note")));
            check(consumer.position(first) == 100, "position");
        }
    }

    public static void main(String[] arguments) throws Exception {
        produce(arguments[0], arguments[1]);
        consume(arguments[0], arguments[1]);
        look(arguments[0], arguments[1]);
        System.out.println("done");
    }
}
