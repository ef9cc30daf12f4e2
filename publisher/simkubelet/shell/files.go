package shell

import (
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// words is an error as every system words it: with a capital, behind the name of
// a command.
type words string

// Error implements error.
func (w words) Error() string { return string(w) }

// What commands say of files that they cannot have.
const (
	errNotThere  = words("No such file or directory")
	errDirectory = words("Is a directory")
	errNoDir     = words("Not a directory")
	errWriteable = words("Read-only file system")
	errFull      = words("No space left on device")
)

// Bounds of a tree.
const (
	treeBytes = 4 << 20
	treeFiles = 4096
)

// Tree is the files of one file system, in memory. It may be part of several
// containers.
type Tree struct {
	ReadOnly bool

	mu    sync.Mutex
	nodes map[string]node // by path from the root of the tree, "" for the root
	bytes int
}

type node struct {
	dir  bool
	data []byte // never modified
	mode fs.FileMode
	at   time.Time
}

// NewTree returns a tree with files, by their paths.
func NewTree(files map[string][]byte, at time.Time) *Tree {
	t := &Tree{nodes: map[string]node{"": {dir: true, at: at}}}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		t.parents(path, at)
		t.nodes[path] = node{data: files[path], mode: 0o644, at: at}
		t.bytes += len(files[path])
	}
	return t
}

// MakeDir makes a directory that is there from the beginning.
func (t *Tree) MakeDir(path string, at time.Time) {
	t.parents(path+"/x", at)
}

// parents makes the directories that a path is in.
func (t *Tree) parents(path string, at time.Time) {
	for i := 1; i < len(path); i++ {
		if path[i] == '/' && !t.nodes[path[:i]].dir {
			t.nodes[path[:i]] = node{dir: true, at: at}
		}
	}
}

// Mount is a tree at a place.
type Mount struct {
	Path     string // from the root of the container; "" for the root
	Tree     *Tree
	Sub      string // the part of the tree that is mounted; "": all of it
	ReadOnly bool
}

// Files are the files of a container: trees that are mounted in one another.
type Files struct {
	mounts []Mount // longest path first
	now    func() time.Time
}

// NewFiles returns the files of a container.
func NewFiles(mounts []Mount, now func() time.Time) *Files {
	ms := slices.Clone(mounts)
	for i := range ms {
		ms[i].Path = strings.TrimSuffix(clean(ms[i].Path), "/")
		ms[i].Sub = strings.Trim(clean("/"+ms[i].Sub), "/")
	}
	slices.SortStableFunc(ms, func(a, b Mount) int { return len(b.Path) - len(a.Path) })
	return &Files{ms, now}
}

// clean is a path from the root without detours.
func clean(p string) string {
	var parts []string
	for part := range strings.SplitSeq(p, "/") {
		switch part {
		case "", ".":
		case "..":
			parts = parts[:max(len(parts)-1, 0)]
		default:
			parts = append(parts, part)
		}
	}
	return "/" + strings.Join(parts, "/")
}

// at returns the tree that a path is in, and the path there.
func (f *Files) at(path string) (Mount, string) {
	path = strings.TrimSuffix(path, "/")
	for _, m := range f.mounts {
		if path == m.Path || strings.HasPrefix(path, m.Path+"/") {
			return m, strings.Trim(m.Sub+"/"+strings.TrimPrefix(path[len(m.Path):], "/"), "/")
		}
	}
	panic("a container has no root")
}

// isMount reports whether something is mounted at a path, or below it.
func (f *Files) isMount(path string) bool {
	path = strings.TrimSuffix(path, "/")
	return slices.ContainsFunc(f.mounts, func(m Mount) bool { return m.Path == path || strings.HasPrefix(m.Path, path+"/") })
}

// Stat returns what is at a path.
func (f *Files) Stat(path string) (fs.FileInfo, error) {
	m, at := f.at(path)
	m.Tree.mu.Lock()
	n, there := m.Tree.nodes[at]
	m.Tree.mu.Unlock()
	switch {
	case there && !n.dir:
	case there, f.isMount(path):
		n.dir, n.mode = true, fs.ModeDir|0o755
	default:
		return nil, errNotThere
	}
	return info{base(path), n}, nil
}

// Read returns the bytes of a file.
func (f *Files) Read(path string) ([]byte, error) {
	i, err := f.Stat(path)
	switch {
	case path == "/dev/null":
		return nil, nil
	case err != nil:
		return nil, err
	case i.IsDir():
		return nil, errDirectory
	}
	return i.(info).node.data, nil
}

// List returns what is in a directory, in order.
func (f *Files) List(path string) ([]fs.FileInfo, error) {
	if i, err := f.Stat(path); err != nil {
		return nil, err
	} else if !i.IsDir() {
		return nil, errNoDir
	}
	names := map[string]bool{}
	m, at := f.at(path)
	m.Tree.mu.Lock()
	for p := range m.Tree.nodes {
		if rest, in := strings.CutPrefix(p, at+"/"); at != "" && in && rest != "" {
			names[strings.SplitN(rest, "/", 2)[0]] = true
		} else if at == "" && p != "" {
			names[strings.SplitN(p, "/", 2)[0]] = true
		}
	}
	m.Tree.mu.Unlock()
	under := strings.TrimSuffix(path, "/") + "/"
	for _, m := range f.mounts {
		if rest, in := strings.CutPrefix(m.Path, under); in && rest != "" {
			names[strings.SplitN(rest, "/", 2)[0]] = true
		}
	}
	var all []fs.FileInfo
	for _, n := range slices.Sorted(maps.Keys(names)) {
		if i, err := f.Stat(under + n); err == nil {
			all = append(all, i)
		}
	}
	return all, nil
}

// Write makes a file what data is.
func (f *Files) Write(path string, data []byte, mode fs.FileMode) error {
	if path == "/dev/null" {
		return nil
	}
	if i, err := f.Stat(path); err == nil && i.IsDir() {
		return errDirectory
	}
	if i, err := f.Stat(parent(path)); err != nil {
		return errNotThere
	} else if !i.IsDir() {
		return errNoDir
	}
	return f.put(path, node{data: data, mode: mode, at: f.now()})
}

func parent(path string) string { return clean(path + "/..") }

// put puts a node into its tree.
func (f *Files) put(path string, n node) error {
	m, at := f.at(path)
	if m.ReadOnly || m.Tree.ReadOnly {
		return errWriteable
	}
	t := m.Tree
	t.mu.Lock()
	defer t.mu.Unlock()
	bytes := t.bytes - len(t.nodes[at].data) + len(n.data)
	if _, there := t.nodes[at]; bytes > treeBytes || !there && len(t.nodes) >= treeFiles {
		return errFull
	}
	t.parents(at, n.at)
	t.bytes, t.nodes[at] = bytes, n
	return nil
}

// Mkdir makes a directory, and with all those that it is in.
func (f *Files) Mkdir(path string, all bool) error {
	if i, err := f.Stat(path); err == nil {
		if all && i.IsDir() {
			return nil
		}
		return words("File exists")
	}
	if _, err := f.Stat(parent(path)); err != nil && !all {
		return err
	}
	return f.put(path, node{dir: true, at: f.now()})
}

// Remove takes a file away, or a directory with all in it.
func (f *Files) Remove(path string) error {
	if _, err := f.Stat(path); err != nil {
		return err
	}
	m, at := f.at(path)
	if m.ReadOnly || m.Tree.ReadOnly || f.isMount(path) {
		return errWriteable
	}
	t := m.Tree
	t.mu.Lock()
	defer t.mu.Unlock()
	for p, n := range t.nodes {
		if p == at || strings.HasPrefix(p, at+"/") {
			t.bytes -= len(n.data)
			delete(t.nodes, p)
		}
	}
	return nil
}

// file is one that is being written: it is there when it is closed.
type file struct {
	files *Files
	path  string
	data  []byte
}

// create opens a file to be written, which is there from now on.
func (f *Files) create(path string, more bool) (*file, error) {
	w := &file{files: f, path: path}
	if more {
		if was, err := f.Read(path); err == nil {
			w.data = slices.Clone(was)
		}
	}
	return w, f.Write(path, w.data, 0o644)
}

// Write implements io.Writer.
func (w *file) Write(b []byte) (int, error) {
	if len(w.data)+len(b) > treeBytes {
		return 0, errFull
	}
	w.data = append(w.data, b...)
	return len(b), nil
}

// Close writes what was written.
func (w *file) Close() error { return w.files.Write(w.path, w.data, 0o644) }

// info implements fs.FileInfo.
type info struct {
	name string
	node node
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return int64(len(i.node.data)) }
func (i info) Mode() fs.FileMode  { return i.node.mode }
func (i info) ModTime() time.Time { return i.node.at }
func (i info) IsDir() bool        { return i.node.dir }
func (i info) Sys() any           { return nil }
