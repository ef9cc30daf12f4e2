package streams

import (
	"sync"
	"time"

	"rollcall/publisher/simkubelet/shell"
)

// mostTrees is how many file systems are kept that containers have written to, or
// could: the one that was not used for longest makes room.
const mostTrees = 256

// disk keeps the files of containers and volumes, in memory and no longer than
// the process.
type disk struct {
	mu    sync.Mutex
	trees map[string]*kept
	clock int
}

type kept struct {
	tree *shell.Tree
	used int
}

// tree returns the files that a key stands for, which fill makes at first.
func (d *disk) tree(key string, fill func() *shell.Tree) *shell.Tree {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clock++
	if k := d.trees[key]; k != nil {
		k.used = d.clock
		return k.tree
	}
	if len(d.trees) >= mostTrees {
		oldest := ""
		for k, t := range d.trees {
			if oldest == "" || t.used < d.trees[oldest].used {
				oldest = k
			}
		}
		delete(d.trees, oldest)
	}
	d.trees[key] = &kept{fill(), d.clock}
	return d.trees[key].tree
}

// empty is a file system without files.
func empty(now time.Time) func() *shell.Tree {
	return func() *shell.Tree { return shell.NewTree(nil, now) }
}

// turns counts who is next of several that could answer.
type turns struct {
	mu sync.Mutex
	n  int
}

func (t *turns) of(n int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
	return t.n % n
}
