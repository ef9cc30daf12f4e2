package apiserver

import (
	"errors"
	"fmt"
	"net"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	netutils "k8s.io/utils/net"
)

// The ranges that kubeadm gives the Services of a cluster.
const (
	DefaultClusterIPs = "10.96.0.0/12"
	DefaultNodePorts  = "30000-32767"
)

// ServiceRanges are what Services get their addresses and ports of.
type ServiceRanges struct {
	ClusterIPs net.IPNet
	NodePorts  utilnet.PortRange
}

// Bounds of the range of addresses, as of kube-apiserver.
const (
	mostAddressBits = 20
	leastAddresses  = 8
)

// ParseClusterIPs reads the range of the addresses of Services.
func ParseClusterIPs(cidr string) (net.IPNet, error) {
	_, n, err := netutils.ParseCIDRSloppy(cidr)
	if err != nil || n.IP.To4() == nil {
		return net.IPNet{}, errors.New("it is no range of IPv4 addresses such as " + DefaultClusterIPs)
	}
	if ones, bits := n.Mask.Size(); bits-ones > mostAddressBits {
		return net.IPNet{}, fmt.Errorf("it is too large: the mask has at least %d bits", bits-mostAddressBits)
	}
	if netutils.RangeSize(n) < leastAddresses {
		return net.IPNet{}, fmt.Errorf("it is too small: Services need at least %d addresses", leastAddresses)
	}
	return *n, nil
}

// ParseNodePorts reads the range of the ports of nodes.
func ParseNodePorts(ports string) (utilnet.PortRange, error) {
	r, err := utilnet.ParsePortRange(ports)
	if err != nil || r.Size < 1 || r.Base < 1 {
		return utilnet.PortRange{}, errors.New("it is no range of ports such as " + DefaultNodePorts)
	}
	return *r, nil
}

// orDefault returns the ranges that a server uses.
func (r ServiceRanges) orDefault() (_ ServiceRanges, err error) {
	if r.ClusterIPs.IP == nil {
		if r.ClusterIPs, err = ParseClusterIPs(DefaultClusterIPs); err != nil {
			return r, err
		}
	}
	if r.NodePorts.Size == 0 {
		r.NodePorts, err = ParseNodePorts(DefaultNodePorts)
	}
	return r, err
}
