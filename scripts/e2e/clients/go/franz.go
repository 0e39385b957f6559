package main

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type franz struct{ client }

func (c franz) write(records []record, codec string) error {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(),
		"zstd": kgo.ZstdCompression(),
	}
	producer, err := kgo.NewClient(
		kgo.SeedBrokers(c.bootstrap), kgo.DefaultProduceTopic(c.topic),
		kgo.AllowAutoTopicCreation(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codecs[codec]),
		kgo.ProducerLinger(50*time.Millisecond))
	if err != nil {
		return err
	}
	defer producer.Close()
	messages := make([]*kgo.Record, 0, len(records))
	for _, one := range records {
		message := &kgo.Record{
			Key: bytesOf(one.Key), Value: bytesOf(one.Value),
			Timestamp: time.UnixMilli(one.Timestamp),
		}
		for _, pair := range one.Headers {
			message.Headers = append(message.Headers,
				kgo.RecordHeader{Key: *pair[0], Value: bytesOf(pair[1])})
		}
		messages = append(messages, message)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return producer.ProduceSync(ctx, messages...).FirstErr()
}

func (c franz) read(count int, show func(record)) error {
	from := map[string]map[int32]kgo.Offset{c.topic: {0: kgo.NewOffset().AtStart()}}
	consumer, err := kgo.NewClient(kgo.SeedBrokers(c.bootstrap), kgo.ConsumePartitions(from))
	if err != nil {
		return err
	}
	defer consumer.Close()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for count > 0 {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(got *kgo.Record) {
			one := record{
				Offset: &got.Offset, Timestamp: got.Timestamp.UnixMilli(),
				Key: textOf(got.Key), Value: textOf(got.Value), Headers: []header{},
			}
			for _, pair := range got.Headers {
				key := pair.Key
				one.Headers = append(one.Headers, header{&key, textOf(pair.Value)})
			}
			show(one)
			count--
		})
	}
	return nil
}
