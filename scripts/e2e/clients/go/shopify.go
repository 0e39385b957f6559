package main

import (
	"fmt"
	"time"

	sarama "github.com/Shopify/sarama"
)

type shopify struct{ client }

func (c shopify) config() (*sarama.Config, error) {
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Flush.Frequency = 50 * time.Millisecond
	if c.version == "-" {
		return config, nil
	}
	version, err := sarama.ParseKafkaVersion(c.version)
	config.Version = version
	return config, err
}

func (c shopify) write(records []record, codec string) error {
	config, err := c.config()
	if err != nil {
		return err
	}
	codecs := map[string]sarama.CompressionCodec{
		"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP,
		"snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4,
		"zstd": sarama.CompressionZSTD,
	}
	config.Producer.Compression = codecs[codec]
	producer, err := sarama.NewSyncProducer([]string{c.bootstrap}, config)
	if err != nil {
		return err
	}
	messages := make([]*sarama.ProducerMessage, 0, len(records))
	for _, one := range records {
		message := &sarama.ProducerMessage{
			Topic: c.topic, Timestamp: time.UnixMilli(one.Timestamp),
		}
		if one.Key != nil {
			message.Key = sarama.StringEncoder(*one.Key)
		}
		if one.Value != nil {
			message.Value = sarama.StringEncoder(*one.Value)
		}
		for _, pair := range one.Headers {
			if config.Version.IsAtLeast(sarama.V0_11_0_0) {
				message.Headers = append(message.Headers,
					sarama.RecordHeader{Key: bytesOf(pair[0]), Value: bytesOf(pair[1])})
			}
		}
		messages = append(messages, message)
	}
	if err := producer.SendMessages(messages); err != nil {
		return fmt.Errorf("%v: %v", err, err.(sarama.ProducerErrors)[0].Err)
	}
	return producer.Close()
}

func (c shopify) read(count int, show func(record)) error {
	config, err := c.config()
	if err != nil {
		return err
	}
	consumer, err := sarama.NewConsumer([]string{c.bootstrap}, config)
	if err != nil {
		return err
	}
	partition, err := consumer.ConsumePartition(c.topic, 0, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	late := time.After(limit)
	for ; count > 0; count-- {
		select {
		case got := <-partition.Messages():
			one := record{
				Offset: &got.Offset, Timestamp: got.Timestamp.UnixMilli(),
				Key: textOf(got.Key), Value: textOf(got.Value), Headers: []header{},
			}
			for _, pair := range got.Headers {
				one.Headers = append(one.Headers, header{textOf(pair.Key), textOf(pair.Value)})
			}
			show(one)
		case <-late:
			return fmt.Errorf("%d records are missing", count)
		}
	}
	return consumer.Close()
}
