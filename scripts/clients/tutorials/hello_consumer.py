from kafka import KafkaConsumer

# Create a Kafka consumer instance
consumer = KafkaConsumer(
    'test-topic',
    # list of brokers
    bootstrap_servers=['localhost:9092'],
    # Start from the earliest message in the topic
    auto_offset_reset='earliest',
    # The id of the group consumer belongs to
    group_id='test-group',
    # Convert bytes to data
    value_deserializer=lambda x: x.decode('utf-8'))

# Read messages from the topic
for message in consumer:
    print(message.value)
