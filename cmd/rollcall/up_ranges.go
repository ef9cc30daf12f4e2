package main

import (
	"fmt"

	"github.com/spf13/pflag"

	"rollcall/cmd/rollcall/instance"
	"rollcall/events"
	"rollcall/projector/apiserver"
)

// rangeFlags are what Services get their addresses and ports of, as flags say it.
type rangeFlags struct{ addresses, ports string }

// Names of these flags, which are kube-apiserver's.
const (
	addressesFlag = "service-cluster-ip-range"
	portsFlag     = "service-node-port-range"
)

// addNetwork adds the flags about names and addresses.
func (o *upOptions) addNetwork(f *pflag.FlagSet) {
	f.StringVar(&o.dns, "dns", instance.NoListen, "address, host:port, that answers for the names of Services and pods over UDP and TCP; :PORT is of this machine only")
	addMetricsFlag(f, &o.Metrics)
	o.ranges.add(f)
}

func (r *rangeFlags) add(f *pflag.FlagSet) {
	f.StringVar(&r.addresses, addressesFlag, apiserver.DefaultClusterIPs, "IPv4 range of the addresses of Services; the tenth is the name server's")
	f.StringVar(&r.ports, portsFlag, apiserver.DefaultNodePorts, "range of the ports that Services get on nodes")
}

func (r *rangeFlags) parse() (ranges apiserver.ServiceRanges, err error) {
	if ranges.ClusterIPs, err = apiserver.ParseClusterIPs(r.addresses); err != nil {
		return ranges, badRange(addressesFlag, r.addresses, err)
	}
	if ranges.NodePorts, err = apiserver.ParseNodePorts(r.ports); err != nil {
		return ranges, badRange(portsFlag, r.ports, err)
	}
	return ranges, nil
}

func badRange(flag, given string, err error) error {
	return &events.Error{Code: "E-CLI-FLAG", What: fmt.Sprintf("Services cannot have the range %q", given), Where: "--" + flag, Why: err.Error(),
		Do: "give one, or leave the flag out", Exit: events.ExitInput}
}
