package main

import (
    "fmt"
    "log"

    "github.com/Shopify/sarama"
)

func main() {
    config := sarama.NewConfig()
    config.Consumer.Return.Errors = true

    consumer, err := sarama.NewConsumer([]string{"localhost:9092"}, config)
    if err != nil {
        log.Fatalf("Failed to start consumer: %s", err)
    }
    // make sure you close the consumer
    defer func() {
        if err := consumer.Close(); err != nil {
            log.Fatalf("Failed to close consumer cleanly: %s", err)
        }
    }()

    topic := "test-group"
    partition := int32(0)
    // Start from the earliest message in the topic
    offset := sarama.OffsetNewest 

    partitionConsumer, err := consumer.ConsumePartition(topic, partition, offset)
    if err != nil {
        log.Fatalf("Failed to start partition consumer: %s", err)
    }
    defer func() {
        if err := partitionConsumer.Close(); err != nil {
            log.Fatalf("Failed to close partition consumer cleanly: %s", err)
        }
    }()

    for {
        select {
        case msg := <-partitionConsumer.Messages():
            fmt.Printf("Received message: %s\n", msg.Value)
        case err := <-partitionConsumer.Errors():
            log.Fatalf("Error consuming message: %s", err)
        }
    }
}
