package main

import (
	"fmt"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/publisher/gate"
	"rollcall/publisher/manifest"
)

// addNamespace gives a command the flag that chooses a namespace.
func addNamespace(c *cobra.Command, namespace *string) {
	c.Flags().StringVarP(namespace, "namespace", "n", manifest.DefaultNamespace, "namespace of the object")
}

func (s *session) applyCommand() *cobra.Command {
	var files []string
	var namespace string
	c := &cobra.Command{Use: "apply -f FILE", Short: "Make the objects of manifests so", Args: takes(0, 0)}
	t := addTarget(c)
	c.Flags().StringArrayVarP(&files, "filename", "f", nil, "manifest; may be given several times, - is standard input")
	c.Flags().StringVarP(&namespace, "namespace", "n", "", "namespace of objects that name none (default \""+manifest.DefaultNamespace+"\")")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if len(files) == 0 {
			return usageError("E-CLI-FLAG", "no manifest is given", "give -f FILE")
		}
		read, err := s.readManifests(c.Context(), files, namespace)
		if err != nil {
			return err
		}
		for _, f := range read {
			err := s.askGate(c.Context(), t, func(g *gate.Client) (gate.Reply, error) {
				return g.Apply(c.Context(), f.request(namespace, ""))
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	return c
}

func (s *session) deleteCommand() *cobra.Command {
	return s.group("delete", "Delete a DaemonSet or a pod", "", s.deleteDaemonSet(), s.deletePod())
}

func (s *session) deleteDaemonSet() *cobra.Command {
	var namespace, cascade string
	c := &cobra.Command{Use: "daemonset NAME", Aliases: []string{"ds", "daemonsets"}, Short: "Delete a DaemonSet", Args: takes(1, 1)}
	t := addTarget(c)
	addNamespace(c, &namespace)
	c.Flags().StringVar(&cascade, "cascade", "background", "background: its pods follow; foreground: they go first; orphan: they stay")
	c.RunE = func(c *cobra.Command, args []string) error {
		return s.askGate(c.Context(), t, func(g *gate.Client) (gate.Reply, error) {
			return g.DeleteDaemonSet(c.Context(), gate.DeleteDaemonSetRequest{
				Object: gate.Object{Namespace: namespace, Name: args[0]}, Cascade: metav1.DeletionPropagation(cascade)})
		})
	}
	return c
}

func (s *session) deletePod() *cobra.Command {
	var namespace string
	c := &cobra.Command{Use: "pod NAME", Aliases: []string{"po", "pods"}, Short: "Delete a pod", Args: takes(1, 1)}
	t := addTarget(c)
	addNamespace(c, &namespace)
	c.RunE = func(c *cobra.Command, args []string) error {
		return s.askGate(c.Context(), t, func(g *gate.Client) (gate.Reply, error) {
			return g.DeletePod(c.Context(), gate.DeletePodRequest{Object: gate.Object{Namespace: namespace, Name: args[0]}})
		})
	}
	return c
}

func (s *session) setCommand() *cobra.Command {
	var namespace string
	c := &cobra.Command{Use: "image ds/NAME CONTAINER=IMAGE...", Short: "Set images of containers; * is every container", Args: takes(2, -1)}
	t := addTarget(c)
	addNamespace(c, &namespace)
	c.RunE = func(c *cobra.Command, args []string) error {
		name, err := daemonSetName(args[0])
		if err != nil {
			return err
		}
		return s.askGate(c.Context(), t, func(g *gate.Client) (gate.Reply, error) {
			return g.SetImage(c.Context(), gate.SetImageRequest{Object: gate.Object{Namespace: namespace, Name: name}, Images: args[1:]})
		})
	}
	return s.group("set", "Set the image of a DaemonSet", "", c)
}

// daemonSetName reads ds/NAME, or NAME alone.
func daemonSetName(arg string) (string, error) {
	kind, name, ok := cutKind(arg)
	if !ok {
		return arg, nil
	}
	if r, known := resourceOf(kind); !known || r.kind != daemonSetKind {
		return "", usageError("E-CLI-ARGS", fmt.Sprintf("%q is no DaemonSet", arg), "write ds/NAME")
	}
	return name, nil
}
