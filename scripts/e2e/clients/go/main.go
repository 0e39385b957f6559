// Writes and reads records with the Go clients.
//
//	clients NAME write BOOTSTRAP TOPIC CODEC < RECORDS
//	clients NAME read BOOTSTRAP TOPIC COUNT
//
// NAME is shopify, sarama or franz, with a slash and the broker's version that
// the client is told to speak to ("-": its default). Records are lines of JSON
// as in client.py beside this file; all go to partition 0 and come from it.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

type header [2]*string

type record struct {
	Offset    *int64   `json:"offset,omitempty"`
	Timestamp int64    `json:"timestamp"`
	Key       *string  `json:"key"`
	Value     *string  `json:"value"`
	Headers   []header `json:"headers"`
}

type client struct {
	version, bootstrap, topic string
}

type backend interface {
	write(records []record, codec string) error
	read(count int, show func(record)) error
}

const limit = 60 * time.Second

func bytesOf(text *string) []byte {
	if text == nil {
		return nil
	}
	return append([]byte{}, *text...)
}

func textOf(data []byte) *string {
	if data == nil {
		return nil
	}
	text := string(data)
	return &text
}

func records() ([]record, error) {
	var all []record
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var one record
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, lines.Err()
}

func show(one record) {
	line, err := json.Marshal(one)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

func run(arguments []string) error {
	name, version, _ := strings.Cut(arguments[0], "/")
	c := client{version, arguments[2], arguments[3]}
	backends := map[string]backend{
		"shopify": shopify{c},
		"sarama":  ibm{c},
		"franz":   franz{c},
	}
	chosen := backends[name]
	if arguments[1] == "write" {
		all, err := records()
		if err != nil {
			return err
		}
		return chosen.write(all, arguments[4])
	}
	count, err := strconv.Atoi(arguments[4])
	if err != nil {
		return err
	}
	return chosen.read(count, show)
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
