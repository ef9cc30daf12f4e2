package instance

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rollcall/events"
	"rollcall/events/files"
	"rollcall/events/seal"
	"rollcall/projector/table"
)

// keyFile is the file of a data directory with the keys of its Secrets.
const keyFile = "secret.key"

// largestKeyFile bounds what is read of a key file: it may be any file.
const largestKeyFile = 64 << 10

// KeyPath returns where the keys of a cluster's Secrets are kept: in its data
// directory, or, if its log is on somebody else's server, where it is kept how far
// that was read from here.
func KeyPath(dir, natsURL, cluster string) (string, error) {
	if natsURL == "" {
		return filepath.Join(dir, keyFile), nil
	}
	far, err := farPath(natsURL, cluster)
	return strings.TrimSuffix(far, filepath.Ext(far)) + ".key", err
}

// readKeys reads a key file. One that others than its owner can read is refused.
func readKeys(path string) (seal.File, error) {
	refused := func(code, what, why, do string, err error) (seal.File, error) {
		return seal.File{}, &events.Error{Code: code, What: what, Where: path, Why: why, Do: do, Exit: events.ExitInput, Err: err}
	}
	f, err := os.Open(path)
	if err != nil {
		return refused("E-KEY-FILE", "the key file cannot be read", files.Reason(err), "name the file that has the key of this cluster's Secrets", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil || !info.Mode().IsRegular() && info.Mode()&fs.ModeNamedPipe == 0:
		return refused("E-KEY-FILE", "the key file is no file", "", "name the file that has the key of this cluster's Secrets", nil)
	case info.Mode().Perm()&0o077 != 0:
		return refused("E-KEY-MODE", "others than its owner can read the key file", fmt.Sprintf("its mode is %04o", info.Mode().Perm()), "chmod 600 "+QuoteShell(path), nil)
	}
	text, err := io.ReadAll(io.LimitReader(f, largestKeyFile+1))
	if err != nil {
		return refused("E-KEY-FILE", "the key file cannot be read", files.Reason(err), "name a file", nil)
	}
	keys, err := seal.ParseFile(string(text))
	if err == nil && len(text) > largestKeyFile {
		err = fmt.Errorf("it has more than %d bytes", largestKeyFile)
	}
	if err != nil {
		return refused("E-KEY-FILE", "the key file has no keys", err.Error(),
			fmt.Sprintf("put it back from a copy; a key is a line of %d bytes in base64", seal.KeySize), nil)
	}
	return keys, nil
}

// keys returns the keys of the instance's Secrets. A cluster that has none gets one,
// unless values are sealed with one that is gone: that is for its owner to decide.
func (in *Instance) keys() (*seal.Ring, error) {
	path, err := in.KeyFile, error(nil)
	if path == "" {
		if path, err = in.keyPath(); path == "" || err != nil {
			return nil, err
		}
	}
	f, err := readKeys(path)
	missing := errors.Is(err, fs.ErrNotExist) && in.KeyFile == ""
	if err != nil && !missing {
		return nil, err
	}
	unknown, err := f.Unknown(in.sealedWith())
	switch {
	case err != nil:
		return nil, err
	case len(unknown) > 0 && !in.NewKey:
		return nil, lostKey(path, unknown, missing)
	case !missing && !in.NewKey:
		return f.Ring()
	}
	fresh := make([]byte, seal.KeySize)
	_, _ = rand.Read(fresh) // it never fails
	f.Keys, f.Lost = slices.Insert(f.Keys, 0, fresh), append(f.Lost, unknown...)
	if missing {
		err = files.Create(path, []byte(f.Text()))
	} else {
		err = files.Replace(path, []byte(f.Text()))
	}
	if errors.Is(err, fs.ErrExist) { // another instance of the cluster has made it meanwhile
		return in.keys()
	}
	if err != nil {
		return nil, &events.Error{Code: "E-KEY-FILE", What: "the key file cannot be written", Where: path, Why: files.Reason(err), Do: "see whether the disk has room, and whose the directory is", Exit: events.ExitFailure, Err: err}
	}
	if in.NewKey {
		in.Console.Print("a new key of the Secrets is in " + path + ": keep a copy")
	}
	return f.Ring()
}

// keyPath is KeyPath of the instance; empty: there is no place for keys, and that is
// said.
func (in *Instance) keyPath() (string, error) {
	if in.Server != nil {
		return KeyPath(in.Server.Dir(), "", "")
	}
	if in.farPath == "" {
		in.Console.Warn("there is no place for the key of Secrets, and none is taken: give --key-file")
		return "", nil
	}
	return KeyPath("", in.NATSURL, in.Cluster)
}

// sealedWith returns the names of the keys with which values of the cluster's
// Secrets are sealed.
func (in *Instance) sealedWith() (ids []string) {
	secrets, _ := in.State.Objects().Of(events.Secret).Snapshot()
	secrets.Scan(func(i *table.Item) bool {
		o := i.Object
		o.Kind = events.Secret
		ids = append(ids, seal.Find(o).Keys...)
		return true
	})
	slices.Sort(ids)
	return slices.Compact(ids)
}

// lostKey refuses to go on without keys that there were.
func lostKey(path string, unknown []string, missing bool) error {
	e := &events.Error{Code: "E-KEY-OTHER", What: "the keys are not those of this cluster's Secrets", Where: path, Exit: events.ExitHalt,
		Why: "values are sealed with key " + strings.Join(unknown, ", "),
		Do:  "put the key back, as another line of the file; or write the line `lost " + unknown[0] + "` there: then nobody can read these values again"}
	if missing {
		e.Code, e.What = "E-KEY-LOST", "the key of this cluster's Secrets is gone"
		e.Do = "put the file back, or give --key-file; or start once with --new-key: then nobody can read these values again"
	}
	return e
}

// KeysFor returns the keys with which a reader of a cluster may open its Secrets: of
// the file that is named, else of where they are kept, if they are and it may read
// them.
func KeysFor(named, kept string) (*seal.Ring, error) {
	f, err := readKeys(cmp.Or(named, kept))
	if named == "" && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return f.Ring()
}
