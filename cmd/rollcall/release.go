package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/instance"
	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector/table"
	"rollcall/publisher/kube"
)

func (s *session) probeCommand() *cobra.Command {
	var o connectOptions
	c := &cobra.Command{Use: "probe", Short: "Find out whether a real cluster has a controller of DaemonSets", Args: takes(0, 0),
		Long: `probe makes a DaemonSet in kube-system that no node has a pod of, waits a while
(--probe-wait) whether somebody acts upon it, and deletes it. The exit code is 0 if nobody does, and 3
if somebody does (E-KUBE-RIVAL).`,
		Example: `  rollcall probe --kubeconfig admin.conf`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.checkReach(); err != nil {
				return err
			}
			config, err := o.restConfig()
			if err != nil {
				return err
			}
			cluster, err := kube.Dial(c.Context(), config, o.reach)
			if err == nil {
				_, err = cluster.Alone(c.Context(), o.probeWait)
			}
			if err != nil {
				return interrupted(c.Context(), err)
			}
			s.out.printf("nobody acts as the controller of DaemonSets in cluster %s\n", cluster.UID)
			return s.out.failure()
		}}
	o.addCluster(c)
	o.addProbe(c.Flags())
	return c
}

func (s *session) releaseCommand() *cobra.Command {
	o := connectOptions{shadow: true, once: true, pods: "daemon", takeover: "refuse", probeWait: kube.ProbeTime}
	c := &cobra.Command{Use: "release", Short: "Hand a real cluster back to its own controller", Args: takes(0, 0),
		Long: `release ends what connect --control has begun: the log is a record from there on, the
conditions that the cluster's own controller does not know are taken off its DaemonSets,
and the Lease is given up. Stop connect before, and start the cluster's own controller
after. No pod is touched, and none is restarted by either. A cluster that is controlled
from another log is not handed back by this one.`,
		Example: `  rollcall release --kubeconfig admin.conf --data ./control`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(c.Flags().Changed); err != nil {
				return err
			}
			if err := logKubernetes(-1); err != nil {
				return err
			}
			o.handBack = s.handBack
			return s.connect(c.Context(), o)
		}}
	o.addCluster(c)
	o.addLog(c)
	return c
}

// handBack takes off a cluster what its own controller would leave there, and returns
// when that is done. The log has a charter that it is a record. Whoever does so has the
// Lease: from another log the cluster may be controlled still.
func (s *session) handBack(ctx context.Context, in *instance.Instance, cluster *kube.Cluster) error {
	info, err := in.Log.Info(ctx)
	if err != nil {
		return err
	}
	if err := cluster.Lease(ctx, info.ID); err != nil {
		return err
	}
	var keys []events.Key
	rows, _ := in.State.Objects().Of(events.DaemonSet).Snapshot()
	rows.Scan(func(i *table.Item) bool {
		keys = append(keys, i.Key)
		return true
	})
	for _, key := range keys {
		if err := cluster.Strip(ctx, key, controller.Conditions); err != nil {
			return err
		}
	}
	if err := cluster.Unlease(ctx, info.ID); err != nil {
		return fmt.Errorf("give the Lease up: %w", err)
	}
	s.out.printf("released %s: start the cluster's own controller now\n", plural(len(keys), "DaemonSet"))
	return nil
}
