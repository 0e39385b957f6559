package main

import (
    "fmt"
    "log"

    "github.com/Shopify/sarama"
)

func main() {
    config := sarama.NewConfig()
    config.Producer.Return.Successes = true

    producer, err := sarama.NewSyncProducer(
        []string{"localhost:9092"}, // Arrays of brokers
        config,
    )
    if err != nil {
        log.Fatalf("Failed to start producer: %s", err)
    }
    // make sure you close the producer
    defer func() {
        if err := producer.Close(); err != nil {
            log.Fatalf("Failed to close producer cleanly: %s", err)
        }
    }()

    topic := "test-group"
    msg := &sarama.ProducerMessage{
        Topic: topic,                                 // Topic name
        Value: sarama.StringEncoder("Hello, Kafka!"), // message content
    }

    partition, offset, err := producer.SendMessage(msg)
    if err != nil {
        log.Fatalf("Failed to send message to Kafka: %s", err)
    }

    fmt.Printf("Message sent to partition %d at offset %d\n",
        partition,
        offset)
}
