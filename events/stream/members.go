package stream

import (
	"cmp"
	"context"
	"slices"
)

// Member is a server that keeps a copy of a log.
type Member struct {
	Name   string
	Leads  bool
	Behind uint64 // operations that the leader has and it has not
	Away   bool   // the leader has not heard of it lately
}

// Members returns the servers that keep the log, the one that leads it first. One
// that is no cluster leads itself.
func (l *Log) Members(ctx context.Context) ([]Member, error) {
	i, err := l.info(ctx)
	if err != nil {
		return nil, err
	}
	if i.Cluster == nil || i.Cluster.Leader == "" && len(i.Cluster.Replicas) == 0 {
		return []Member{{Name: cmp.Or(l.nc.ConnectedServerName(), l.nc.ConnectedServerId()), Leads: true}}, nil
	}
	var all []Member
	if i.Cluster.Leader != "" {
		all = append(all, Member{Name: i.Cluster.Leader, Leads: true})
	}
	for _, p := range i.Cluster.Replicas {
		all = append(all, Member{Name: p.Name, Behind: p.Lag, Away: p.Offline || p.Active >= quiet})
	}
	slices.SortStableFunc(all, func(a, b Member) int {
		if a.Leads != b.Leads {
			return map[bool]int{true: -1, false: 1}[a.Leads]
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return all, nil
}
