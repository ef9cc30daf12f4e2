package stream

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/keyframes"
)

// ObjectsOptions say what an object store is for.
type ObjectsOptions struct {
	Name string // of the store among those of its cluster
	// Create makes it if there is none. Else it is only read.
	Create        bool
	MemoryStorage bool
	Replicas      int // of a store that is made
}

// Objects is a JetStream object store beside a log. It is read by direct gets, as
// users may who can make no consumer. Its methods may be called from any goroutine.
type Objects struct {
	nc     *nats.Conn
	bucket string
	stream jetstream.Stream      // nil: it is only read
	put    jetstream.ObjectStore // nil: it is only read
}

func (b *Objects) streamName() string           { return "OBJ_" + b.bucket }
func (b *Objects) metaSubject(of string) string { return "$O." + b.bucket + ".M." + of }
func (b *Objects) chunks(nuid string) string    { return "$O." + b.bucket + ".C." + nuid }

// nameToken is the name of an object in a subject.
func nameToken(name string) string { return base64.URLEncoding.EncodeToString([]byte(name)) }

var _ keyframes.Writer = (*Objects)(nil)

// OpenObjects opens an object store of a cluster. One that is only read need not
// be there: then it has no objects.
func OpenObjects(ctx context.Context, nc *nats.Conn, s events.Subjects, o ObjectsOptions) (*Objects, error) {
	b := &Objects{nc: nc, bucket: s.Bucket(o.Name)}
	if !o.Create {
		return b, nil
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open object store %s: %w", b.bucket, err)
	}
	if b.put, err = js.ObjectStore(ctx, b.bucket); errors.Is(err, jetstream.ErrBucketNotFound) {
		c := jetstream.ObjectStoreConfig{Bucket: b.bucket, Replicas: max(o.Replicas, 1), Description: "rollcall: " + o.Name + " of cluster " + s.Cluster()}
		if o.MemoryStorage {
			c.Storage = jetstream.MemoryStorage
		}
		b.put, err = js.CreateObjectStore(ctx, c)
	}
	if errors.Is(err, jetstream.ErrBucketExists) { // somebody else was faster
		b.put, err = js.ObjectStore(ctx, b.bucket)
	}
	if err == nil {
		b.stream, err = js.Stream(ctx, b.streamName())
	}
	if err != nil {
		return nil, fmt.Errorf("open object store %s: %w", b.bucket, err)
	}
	return b, nil
}

// Put implements keyframes.Writer.
func (b *Objects) Put(ctx context.Context, o keyframes.Object, data []byte) error {
	if b.put == nil {
		return errors.New("the object store is only read")
	}
	_, err := b.put.Put(ctx, jetstream.ObjectMeta{Name: o.Name, Metadata: o.Meta}, bytes.NewReader(data))
	return err
}

// Delete implements keyframes.Writer.
func (b *Objects) Delete(ctx context.Context, name string) error {
	if b.put == nil {
		return errors.New("the object store is only read")
	}
	info, err := b.put.GetInfo(ctx, name)
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	// The client would leave a mark behind for each object that ever was.
	if err := b.stream.Purge(ctx, jetstream.WithPurgeSubject(b.metaSubject(nameToken(name)))); err != nil {
		return err
	}
	return b.stream.Purge(ctx, jetstream.WithPurgeSubject(b.chunks(info.NUID)))
}

// List implements keyframes.Reader.
func (b *Objects) List(ctx context.Context) (os []keyframes.Object, err error) {
	all := map[string]any{"multi_last": []string{b.metaSubject(">")}, "batch": maxObjects}
	err = b.get(ctx, all, func(m *nats.Msg) error {
		info, err := readObject(m.Data)
		if err == nil && !info.Deleted {
			os = append(os, keyframes.Object{Name: info.Name, Meta: info.Metadata})
		}
		return err
	})
	return os, err
}

// maxObjects bounds how many objects are listed.
const maxObjects = 1024

// Get implements keyframes.Reader.
func (b *Objects) Get(ctx context.Context, name string) ([]byte, error) {
	var info jetstream.ObjectInfo
	last := map[string]any{"last_by_subj": b.metaSubject(nameToken(name))}
	err := b.get(ctx, last, func(m *nats.Msg) (err error) {
		info, err = readObject(m.Data)
		return err
	})
	if err != nil {
		return nil, err
	}
	if info.NUID == "" || info.Deleted {
		return nil, jetstream.ErrObjectNotFound
	}
	data := make([]byte, 0, min(info.Size, maxObject))
	for from, more := uint64(1), true; more && uint64(len(data)) < info.Size; {
		more = false
		next := map[string]any{"seq": from, "next_by_subj": b.chunks(info.NUID), "batch": directBatch, "max_bytes": directBytes}
		err := b.get(ctx, next, func(m *nats.Msg) (err error) {
			data, more = append(data, m.Data...), true
			from, err = strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
			from++
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return data, checkObject(info, data)
}

// maxObject is how much room is made for an object before its bytes have come.
const maxObject = 64 << 20

func readObject(data []byte) (info jetstream.ObjectInfo, err error) {
	if err := json.Unmarshal(data, &info); err != nil {
		return info, fmt.Errorf("read what an object is: %w", err)
	}
	return info, nil
}

// checkObject holds the bytes of an object against what was said of them.
func checkObject(info jetstream.ObjectInfo, data []byte) error {
	sum := sha256.Sum256(data)
	if uint64(len(data)) != info.Size {
		return fmt.Errorf("%d of its %d bytes are there", len(data), info.Size)
	}
	if info.Digest != "SHA-256="+base64.URLEncoding.EncodeToString(sum[:]) {
		return errors.New("its digest is another")
	}
	return nil
}

// get makes one request for stored messages and visits each.
func (b *Objects) get(ctx context.Context, request map[string]any, visit func(*nats.Msg) error) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	inbox := b.nc.NewInbox()
	sub, err := b.nc.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection may be gone
	if err := b.nc.PublishMsg(&nats.Msg{Subject: "$JS.API.DIRECT.GET." + b.streamName(), Reply: inbox, Data: body}); err != nil {
		return err
	}
	_, batch := request["batch"]
	for {
		wait, cancel := context.WithTimeout(ctx, directTimeout)
		m, err := sub.NextMsgWithContext(wait)
		cancel()
		if errors.Is(err, nats.ErrNoResponders) { // nobody has made the store
			return nil
		}
		if err != nil {
			return err
		}
		switch status := m.Header.Get("Status"); status {
		case "":
		case statusNone, statusEnd:
			return nil
		default:
			return fmt.Errorf("the server answers %s %s", status, m.Header.Get("Description"))
		}
		if err := visit(m); err != nil || !batch {
			return err
		}
	}
}
