package blocks

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rollcall/events"
	"rollcall/events/keyframes"
)

// objectsDir returns the directory of an object store beside the log of a cluster
// in a data directory.
func objectsDir(data string, s events.Subjects, name string) string {
	return filepath.Join(data, streamsDir, "OBJ_"+s.Bucket(name))
}

// Objects is an object store beside the log of a stopped cluster. What is damaged
// of it keeps nobody from reading the rest.
type Objects struct {
	store *Store // nil: there is none
	bad   error  // the first damage
	found map[string]object
	parts map[string][]int // numbers of the blocks that have parts of an object, by its NUID
	gone  map[events.Seq]bool
}

var _ keyframes.Reader = (*Objects)(nil)

// object is what the server keeps of an object.
type object struct {
	Name     string            `json:"name"`
	Metadata map[string]string `json:"metadata"`
	NUID     string            `json:"nuid"`
	Size     uint64            `json:"size"`
	Digest   string            `json:"digest"`
	Deleted  bool              `json:"deleted"`
}

// OpenObjects looks through an object store in a data directory. One that is not
// there has no objects.
func OpenObjects(ctx context.Context, data string, s events.Subjects, name string) (*Objects, error) {
	o := &Objects{found: map[string]object{}, parts: map[string][]int{}, gone: map[events.Seq]bool{}}
	dir := objectsDir(data, s, name)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	store, err := open(dir, filepath.Base(dir), false)
	if err != nil {
		o.bad = err
		return o, nil
	}
	o.store = store
	type said struct {
		seq events.Seq
		object
	}
	last := map[string]said{}
	for i := range store.blocks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		o.each(i, func(r *record) {
			kind, rest := objectSubject(r.subject, s.Bucket(name))
			switch kind {
			case "C":
				if bs := o.parts[rest]; len(bs) == 0 || bs[len(bs)-1] != i {
					o.parts[rest] = append(bs, i)
				}
			case "M":
				var x object
				if json.Unmarshal(r.body, &x) == nil {
					last[rest] = said{r.seq, x}
				}
			}
		})
	}
	for _, x := range last {
		if !x.Deleted && !o.gone[x.seq] {
			o.found[x.Name] = x.object
		}
	}
	return o, nil
}

// objectSubject splits the subject of a message of an object store: M is what an
// object is, C a part of it.
func objectSubject(subject []byte, bucket string) (kind, rest string) {
	rest, ok := strings.CutPrefix(string(subject), "$O."+bucket+".")
	if !ok {
		return "", ""
	}
	kind, rest, _ = strings.Cut(rest, ".")
	return kind, rest
}

// each visits the whole records of a block, and notes the first damage.
func (o *Objects) each(i int, visit func(*record)) {
	o.bad = cmp.Or(o.bad, o.store.each(i, func(r *record) {
		if r.flags != 0 {
			o.gone[r.seq] = true
			return
		}
		visit(r)
	}))
}

// each visits the whole records of a block, also those that say that one was taken
// away, and returns the first damage.
func (s *Store) each(i int, visit func(*record)) (bad error) {
	b, err := s.load(i, &buffers{})
	if err != nil {
		return err
	}
	var r record
	end := (&scanner{store: s}).isEnd(i)
	for off := 0; off < len(b.data); {
		l, why := measure(b.data[off:])
		if why != "" {
			if !end || l.size > 0 && l.size <= len(b.data)-off {
				bad = cmp.Or(bad, damaged("a record is damaged", place(b, off), why, ""))
			}
			return bad // else it was being written
		}
		if why = b.hash.verify(b.data[off:], l, &r); why == "" && l.headers && r.flags == 0 {
			why = r.cutHeaders(b.data[off:], l)
		}
		if why != "" {
			bad = cmp.Or(bad, damaged("a record is damaged", place(b, off), why, ""))
		} else {
			visit(&r)
		}
		off += l.size
	}
	return bad
}

// List implements keyframes.Reader.
func (o *Objects) List(context.Context) (os []keyframes.Object, err error) {
	for _, name := range slices.Sorted(maps.Keys(o.found)) {
		os = append(os, keyframes.Object{Name: name, Meta: o.found[name].Metadata})
	}
	return os, o.bad
}

// Get implements keyframes.Reader.
func (o *Objects) Get(ctx context.Context, name string) ([]byte, error) {
	x, ok := o.found[name]
	if !ok {
		return nil, errors.New("it is gone")
	}
	var data []byte
	for _, i := range o.parts[x.NUID] {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		o.each(i, func(r *record) {
			if strings.HasSuffix(string(r.subject), ".C."+x.NUID) && !o.gone[r.seq] {
				data = append(data, r.body...)
			}
		})
	}
	sum := sha256.Sum256(data)
	if uint64(len(data)) != x.Size {
		return nil, fmt.Errorf("%d of its %d bytes are there", len(data), x.Size)
	}
	if x.Digest != "SHA-256="+base64.URLEncoding.EncodeToString(sum[:]) {
		return nil, errors.New("its digest is another")
	}
	return data, nil
}
