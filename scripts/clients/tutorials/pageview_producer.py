import random
import time
from kafka import KafkaProducer
from pageview import pageview
producer = KafkaProducer(bootstrap_servers='localhost:9092')
while True:
    producer.send(
        topic='pageview',
        key=f"{random.randrange(999)}".encode(),
        value=pageview.to_json().encode()
    )
    time.sleep(1)
