// Command kubernetes is what runs beside a kube-apiserver 1.36.3, each as a
// process of its own, chosen by the first argument: kube-controller-manager
// and kube-scheduler with their own flags, and kubelet, a whole kubelet over a
// container runtime that only keeps books (as Kubernetes' scale tests use).
//
//	kubernetes kubelet NODE KUBECONFIG
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/trace/noop"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/cli"
	cri "k8s.io/cri-client/pkg"
	"k8s.io/cri-client/pkg/fake"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubemark"
)

func main() {
	name := ""
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	switch name {
	case "kube-controller-manager":
		c := controllers.NewControllerManagerCommand()
		c.SetArgs(os.Args[2:])
		os.Exit(cli.Run(c))
	case "kube-scheduler":
		c := scheduler.NewSchedulerCommand()
		c.SetArgs(os.Args[2:])
		os.Exit(cli.Run(c))
	case "kubelet":
		if len(os.Args) == 4 {
			if err := runKubelet(os.Args[2], os.Args[3]); err != nil {
				fmt.Fprintln(os.Stderr, "kubelet:", err)
				os.Exit(1)
			}
			return
		}
	}
	fmt.Fprintln(os.Stderr, "usage: kubernetes kube-controller-manager|kube-scheduler FLAGS, or kubernetes kubelet NODE KUBECONFIG")
	os.Exit(2)
}

// runKubelet returns only if the kubelet cannot start.
func runKubelet(node, kubeconfig string) error {
	ctx := context.Background()
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt, syscall.SIGTERM)
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	endpoint, err := fake.GenerateEndpoint()
	if err != nil {
		return err
	}
	containers := fake.NewFakeRemoteRuntime()
	if err := containers.Start(endpoint); err != nil {
		return err
	}
	service, err := cri.NewRemoteRuntimeService(ctx, endpoint, 15*time.Second, noop.NewTracerProvider(), false)
	if err != nil {
		return err
	}
	flags, settings := kubemark.GetHollowKubeletConfig(&kubemark.HollowKubeletOptions{NodeName: node, MaxPods: 110})
	settings.EnableServer, settings.Address = false, "127.0.0.1"
	settings.SyncFrequency.Duration = time.Second
	settings.ClusterDNS = []string{"10.0.0.10"} // or each pod gets a warning that there is none
	k := kubemark.NewHollowKubelet(flags, settings, client, client, &testing.Fake{NodeName: node},
		containers.ImageService, service, cm.NewStubContainerManager())
	// Not the test's: Events that arrive, and no pod that is ready before it runs.
	k.KubeletDeps.Recorder, k.KubeletDeps.EventClient, k.KubeletDeps.ProbeManager = nil, client.CoreV1(), nil
	go func() {
		<-end
		containers.Stop()
		os.RemoveAll(flags.RootDirectory)
		os.Exit(0)
	}()
	k.Run(ctx)
	return nil
}
