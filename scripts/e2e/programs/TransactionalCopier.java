import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.OutOfOrderSequenceException;
import org.apache.kafka.common.errors.ProducerFencedException;

/**
 * Copies records from one topic to another, each exactly once: what is read, what is
 * written and how far the group has come belong to one transaction.
 *
 * <p>Arguments: brokers, source, target, group, transactional id, records in a
 * transaction, how many to copy in all by this process (it then ends), and every how
 * many transactions one is aborted first (0 for none). Prints "copied N" after each
 * commit.
 */
public final class TransactionalCopier {
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final String target;
    private final Properties producing = new Properties();
    private KafkaProducer<byte[], byte[]> producer;

    private TransactionalCopier(String[] args) {
        Properties consuming = new Properties();
        consuming.put("bootstrap.servers", args[0]);
        consuming.put("group.id", args[3]);
        consuming.put("isolation.level", "read_committed");
        consuming.put("enable.auto.commit", "false");
        consuming.put("auto.offset.reset", "earliest");
        consuming.put("max.poll.records", args[5]);
        consuming.put("session.timeout.ms", "10000");
        String bytes = "org.apache.kafka.common.serialization.ByteArray";
        consuming.put("key.deserializer", bytes + "Deserializer");
        consuming.put("value.deserializer", bytes + "Deserializer");
        consumer = new KafkaConsumer<>(consuming);
        target = args[2];
        producing.put("bootstrap.servers", args[0]);
        producing.put("transactional.id", args[4]);
        producing.put("transaction.timeout.ms", "30000");
        producing.put("key.serializer", bytes + "Serializer");
        producing.put("value.serializer", bytes + "Serializer");
        consumer.subscribe(List.of(args[1]));
        open();
    }

    private void open() {
        if (producer != null) {
            producer.close(Duration.ZERO);
        }
        producer = new KafkaProducer<>(producing);
        producer.initTransactions();
    }

    public static void main(String[] args) {
        TransactionalCopier copier = new TransactionalCopier(args);
        long wanted = Long.parseLong(args[6]);
        int abortEvery = Integer.parseInt(args[7]);
        long copied = 0;
        long transactions = 0;
        boolean aborted = false;
        while (copied < wanted) {
            ConsumerRecords<byte[], byte[]> records = copier.consumer.poll(Duration.ofMillis(500));
            if (records.isEmpty()) {
                continue;
            }
            boolean abort = abortEvery > 0 && transactions % abortEvery == 0 && !aborted;
            if (copier.copy(records, abort)) {
                copied += records.count();
                transactions++;
                aborted = false;
                System.out.println("copied " + copied);
            } else {
                aborted = true;
            }
        }
        copier.producer.close();
        copier.consumer.close();
    }

    /** Says whether the transaction was committed. */
    private boolean copy(ConsumerRecords<byte[], byte[]> records, boolean abort) {
        try {
            producer.beginTransaction();
            Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();
            for (ConsumerRecord<byte[], byte[]> record : records) {
                producer.send(new ProducerRecord<>(target, record.key(), record.value()));
                TopicPartition partition = new TopicPartition(record.topic(), record.partition());
                positions.put(partition, new OffsetAndMetadata(record.offset() + 1));
            }
            producer.sendOffsetsToTransaction(positions, consumer.groupMetadata());
            if (abort) {
                producer.abortTransaction();
                rewind();
                return false;
            }
            producer.commitTransaction();
            return true;
        } catch (ProducerFencedException
                | InvalidProducerEpochException
                | OutOfOrderSequenceException
                | FencedInstanceIdException fatal) {
            System.err.println("begins again: " + fatal);
            open();
            rewind();
            return false;
        } catch (KafkaException error) {
            System.err.println("aborts: " + error);
            try {
                producer.abortTransaction();
            } catch (KafkaException fatal) {
                System.err.println("begins again: " + fatal);
                open();
            }
            rewind();
            return false;
        }
    }

    /** Goes back to what is committed. */
    private void rewind() {
        while (true) {
            try {
                Map<TopicPartition, OffsetAndMetadata> committed =
                        consumer.committed(consumer.assignment());
                for (TopicPartition partition : consumer.assignment()) {
                    OffsetAndMetadata offset = committed.get(partition);
                    if (offset == null) {
                        consumer.seekToBeginning(List.of(partition));
                    } else {
                        consumer.seek(partition, offset);
                    }
                }
                return;
            } catch (KafkaException error) {
                System.err.println("asks again: " + error);
            }
        }
    }
}
