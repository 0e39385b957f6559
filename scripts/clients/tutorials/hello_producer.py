from kafka import KafkaProducer

# Create a Kafka producer instance
producer = KafkaProducer(
    bootstrap_servers=['localhost:9092'], # list of brokers
    value_serializer=lambda x: x.encode('utf-8') # Convert data to bytes
)

# Send a message to a topic
producer.send(
            # topic you will be publishing
            topic='test-group', 
            # you can find the list of partitions 
            # producer.partitions_for('test-topic')
            # Partition you will be publishing
            partition=0,
            # must be bytes or serializable to bites
            value='Hello, Kafka!' 
            )

# Make all buffered records available to be published
producer.flush()
