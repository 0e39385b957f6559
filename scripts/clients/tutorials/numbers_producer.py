from json import dumps
from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=['localhost:9092'],
                         value_serializer=lambda x: dumps(x).encode('utf-8'))

for e in range(1, 1001):
    data = {'number': e}
    producer.send('numtest', value=data)

producer.flush()
