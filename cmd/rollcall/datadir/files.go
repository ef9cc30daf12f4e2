// Package datadir is the data directory of a cluster: what is kept in it beside
// the log, and how the log is held against that before anybody reads or writes
// it. It starts no server; events/blocks reads the log's files.
package datadir

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"rollcall/events"
	"rollcall/events/blocks"
	"rollcall/events/files"
)

// Files of a data directory that the program keeps beside the log. None is a
// truth of its own: the cluster file tells which cluster's log is in the
// directory and which nodes it was begun with, the kubeconfig how to reach its
// API. Others are witnesses of the log: see witness.
const (
	clusterFile    = "cluster.json"
	KubeconfigFile = "kubeconfig"
)

// DefaultCluster is the name of a cluster that is given none.
const DefaultCluster = "local"

// Founding is with what a cluster was begun.
type Founding struct {
	Cluster string `json:"cluster"`
	Nodes   int    `json:"nodes"`
	Seed    int64  `json:"seed"`
	Added   bool   `json:"added"` // all of the nodes are in the log
}

// LoadFounding reads with what the cluster of a directory was begun.
func LoadFounding(dir string) (f Founding, found bool, err error) {
	found, err = LoadJSON(filepath.Join(dir, clusterFile), &f)
	return f, found, err
}

// SaveFounding keeps with what the cluster of a directory was begun.
func SaveFounding(dir string, f Founding) error {
	return files.ReplaceJSON(filepath.Join(dir, clusterFile), f)
}

// LoadJSON reads a file, if it is there.
func LoadJSON(path string, into any) (found bool, err error) {
	b, found, err := readFile(path)
	if err != nil || !found {
		return false, err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return false, damaged(path, err.Error())
	}
	return true, nil
}

// damaged refuses a file of the data directory.
func damaged(path, why string) error {
	return &events.Error{Code: "E-STORE-FILE", What: "a file of the data directory cannot be read", Where: path, Why: why,
		Do: "put it back from a copy of the directory; without one, keep what is there and remove the file: up makes it again, but can no longer tell what it told", Exit: events.ExitHalt}
}

// ClusterOf returns the name of the cluster of a directory: the one that it was
// begun with, else that of the only log in it. It is empty if neither is there.
func ClusterOf(dir string) (string, error) {
	f, found, err := LoadFounding(dir)
	if err != nil || found {
		return f.Cluster, err
	}
	if logs := blocks.Clusters(dir); len(logs) == 1 {
		return logs[0], nil
	}
	return "", nil
}

// CheckCluster refuses the data directory of another cluster. dir may be empty,
// or not there yet.
func CheckCluster(dir, cluster string) error {
	if dir == "" {
		return nil
	}
	f, found, err := LoadFounding(dir)
	logs := []string{f.Cluster}
	if !found {
		logs = blocks.Clusters(dir)
	}
	if err != nil || len(logs) == 0 || slices.Contains(logs, cluster) {
		return err
	}
	return &events.Error{Code: "E-CLI-CLUSTER", What: fmt.Sprintf("the data directory is that of cluster %q", strings.Join(logs, `", "`)), Where: dir,
		Why: fmt.Sprintf("cluster %q was asked for", cluster), Do: "give --cluster " + strings.Join(logs, " or ") + ", or another directory", Exit: events.ExitInput}
}
