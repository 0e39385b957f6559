// What a Go program does with go-zookeeper, on the server that the first argument names.
package main

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"github.com/go-zookeeper/zk"
)

type quiet struct{}

func (quiet) Printf(string, ...interface{}) {}

func must(err error) {
	if err != nil {
		fmt.Println("FAILED", err)
		os.Exit(1)
	}
}

func check(ok bool, what string) {
	if !ok {
		must(fmt.Errorf("%s", what))
	}
}

func connect() *zk.Conn {
	conn, events, err := zk.Connect([]string{os.Args[1]}, 6*time.Second, zk.WithLogger(quiet{}))
	must(err)
	for event := range events {
		if event.State == zk.StateHasSession {
			return conn
		}
	}
	return conn
}

func next(events <-chan zk.Event) zk.Event {
	select {
	case event := <-events:
		return event
	case <-time.After(20 * time.Second):
		must(fmt.Errorf("no event"))
		return zk.Event{}
	}
}

func main() {
	conn, other := connect(), connect()
	open := zk.WorldACL(zk.PermAll)

	_, err := conn.Create("/go", []byte("1"), 0, open)
	must(err)
	data, stat, events, err := conn.GetW("/go")
	must(err)
	check(string(data) == "1" && stat.Version == 0, "what was written is read")
	_, err = other.Set("/go", []byte("2"), stat.Version)
	must(err)
	check(next(events).Type == zk.EventNodeDataChanged, "a change is told")
	_, err = other.Set("/go", nil, stat.Version)
	check(err == zk.ErrBadVersion, "an old version is refused")
	_, err = conn.Create("/go", nil, 0, open)
	check(err == zk.ErrNodeExists, "a node exists once")
	fmt.Println("ok data")

	_, _, children, err := conn.ChildrenW("/go")
	must(err)
	first, err := other.CreateProtectedEphemeralSequential("/go/p-", nil, open)
	must(err)
	check(next(children).Type == zk.EventNodeChildrenChanged, "a child is told")
	_, _, gone, err := conn.ExistsW(first)
	must(err)
	other.Close()
	check(next(gone).Type == zk.EventNodeDeleted, "an ephemeral ends with its session")
	fmt.Println("ok ephemerals")

	results, err := conn.Multi(
		&zk.CreateRequest{Path: "/go/m", Data: []byte("m"), Acl: open},
		&zk.SetDataRequest{Path: "/go/m", Data: []byte("n"), Version: 0},
		&zk.CheckVersionRequest{Path: "/go/m", Version: 1},
	)
	must(err)
	check(results[0].String == "/go/m" && results[1].Stat.Version == 1, "a multi is answered")
	_, err = conn.Multi(
		&zk.DeleteRequest{Path: "/go/m", Version: -1},
		&zk.CheckVersionRequest{Path: "/go/none", Version: 0},
	)
	check(err == zk.ErrNoNode, "a multi fails as one")
	exists, _, err := conn.Exists("/go/m")
	must(err)
	check(exists, "nothing of a failed multi is done")
	fmt.Println("ok multi")

	must(conn.AddAuth("digest", []byte("me:secret")))
	_, err = conn.Create("/go/mine", []byte("x"), 0, zk.DigestACL(zk.PermAll, "me", "secret"))
	must(err)
	stranger := connect()
	_, _, err = stranger.Get("/go/mine")
	check(err == zk.ErrNoAuth, "a stranger may not read")
	fmt.Println("ok acl")

	var inside, turns int
	done := make(chan bool)
	for i := 0; i < 4; i++ {
		go func() {
			own := connect()
			for turn := 0; turn < 5; turn++ {
				lock := zk.NewLock(own, "/go-lock", open)
				must(lock.Lock())
				inside++
				check(inside == 1, "two hold the lock")
				turns++
				inside--
				must(lock.Unlock())
			}
			own.Close()
			done <- true
		}()
	}
	for i := 0; i < 4; i++ {
		<-done
	}
	check(turns == 20, "all had their turns")
	fmt.Println("ok lock")

	data = bytes.Repeat([]byte("x"), 1<<19)
	_, err = conn.Set("/go", data, -1)
	must(err)
	read, _, err := conn.Get("/go")
	must(err)
	check(bytes.Equal(read, data), "half a megabyte comes back")
	fmt.Println("ok size")
	conn.Close()
}
