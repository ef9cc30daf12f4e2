package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"rollcall/publisher/gate"
	"rollcall/publisher/simkubelet"
)

func (s *session) nodeCommand() *cobra.Command {
	return s.group("node", "Change the simulated world: its nodes", "",
		s.nodeAdd(),
		s.eachNode("delete NAME...", "Delete nodes; their pods follow", (*gate.Client).DeleteNodes),
		s.eachNode("cordon NAME...", "Keep new pods off nodes, but for those of DaemonSets", (*gate.Client).Cordon),
		s.eachNode("uncordon NAME...", "End cordon", (*gate.Client).Uncordon),
		s.editNode("label NAME... KEY=VALUE|KEY-...", "Set and remove labels of nodes", (*gate.Client).Label),
		s.editNode("taint NAME... KEY=VALUE:EFFECT|KEY-...", "Set and remove taints of nodes", (*gate.Client).Taint),
		s.eachNode("fail NAME...", "Make simulated nodes fail, as if the power went", (*gate.Client).Fail),
		s.eachNode("recover NAME...", "End fail", (*gate.Client).Recover))
}

// nodesCall is one method of the gate that changes nodes.
type nodesCall func(*gate.Client, context.Context, gate.NodesRequest) (gate.Reply, error)

// eachNode does one thing to the nodes that are named.
func (s *session) eachNode(use, short string, call nodesCall) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: takes(1, -1)}
	t := addTarget(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return s.askGate(c.Context(), t, func(g *gate.Client) (gate.Reply, error) {
			return call(g, c.Context(), gate.NodesRequest{Names: nodeNames(args)})
		})
	}
	return c
}

// editNode makes changes to the nodes that are named. No name can look like a
// change.
func (s *session) editNode(use, short string, call nodesCall) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: takes(2, -1)}
	t := addTarget(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		var r gate.NodesRequest
		for _, a := range args {
			if strings.ContainsAny(a, "=:") || strings.HasSuffix(a, "-") {
				r.Changes = append(r.Changes, a)
			} else {
				r.Names = append(r.Names, nodeNames([]string{a})...)
			}
		}
		if len(r.Names) == 0 || len(r.Changes) == 0 {
			return usageError("E-CLI-ARGS", fmt.Sprintf("%s has %d nodes and %d changes", c.CommandPath(), len(r.Names), len(r.Changes)), "write "+c.UseLine())
		}
		return s.askGate(c.Context(), t, func(g *gate.Client) (gate.Reply, error) { return call(g, c.Context(), r) })
	}
	return c
}

// nodeNames takes node/NAME for NAME.
func nodeNames(args []string) []string {
	names := make([]string, len(args))
	for i, a := range args {
		names[i] = a
		if kind, name, ok := cutKind(a); ok && (kind == "node" || kind == "nodes" || kind == "no") {
			names[i] = name
		}
	}
	return names
}

func (s *session) nodeAdd() *cobra.Command {
	var count int
	var labels map[string]string
	c := &cobra.Command{Use: "add [NAME...]", Short: "Add simulated nodes, by name or by number", Args: takes(0, -1),
		Example: "  rollcall node add spare-1 --label type=platform-tools\n  rollcall node add --count 10"}
	t := addTarget(c)
	c.Flags().IntVar(&count, "count", 0, "so many, with the next free numbers")
	c.Flags().StringToStringVar(&labels, "label", nil, "label KEY=VALUE; may be given several times")
	c.RunE = func(c *cobra.Command, args []string) error {
		if (len(args) > 0) == c.Flags().Changed("count") {
			return usageError("E-CLI-ARGS", "nodes are added by name or by number", "give names, or --count")
		}
		if c.Flags().Changed("count") {
			if err := within("count", int64(count), 1, maxAdded); err != nil {
				return err
			}
		}
		return s.askGate(c.Context(), t, func(g *gate.Client) (gate.Reply, error) {
			return g.AddNodes(c.Context(), gate.AddNodesRequest{Node: nodeTemplate(labels), Names: nodeNames(args), Count: count})
		})
	}
	return c
}

// maxAdded is how many nodes the gate adds in one request.
const maxAdded = 10_000

// nodeTemplate is a simulated node without what names it.
func nodeTemplate(labels map[string]string) corev1.Node {
	n := simkubelet.NewNode("node", 0, 1)
	delete(n.Labels, corev1.LabelHostname)
	n.UID, n.Spec.ProviderID = "", ""
	n.Status.Addresses = nil
	n.Status.NodeInfo.MachineID, n.Status.NodeInfo.SystemUUID, n.Status.NodeInfo.BootID = "", "", ""
	for k, v := range labels {
		n.Labels[k] = v
	}
	return *n
}
