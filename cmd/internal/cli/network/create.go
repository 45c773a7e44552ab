// SPDX-License-Identifier: Apache-2.0

package network

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/control/api"
)

type createOptions struct {
	driver                    string
	subnets, ranges, gateways []string
	aux, options, labels      []string
	internal, ipv6            bool
	ipv4                      bool
}

func newCreate(a *app.App) *cobra.Command {
	var o createOptions
	cmd := &cobra.Command{
		Use:   "create [flags] NAME",
		Short: "Make a network and print its ID",
		Long: `Make a network: a bridge with a subnet for each family. What is left out is chosen: an IPv4 subnet out of the
configured bases that overlaps no route of the host, and with --ipv6 a /64 of unique local addresses.

--subnet, --ip-range and --gateway are given once a family; --ip-range and --gateway belong to the subnet that holds them.

Options (-o), spelled as in Docker:
  com.docker.network.bridge.name                  the bridge's name
  com.docker.network.bridge.enable_ip_masquerade  false: containers' own addresses leave the host
  com.docker.network.driver.mtu                   MTU of the bridge and of both ends of every veth
  com.docker.network.host_ipv4, host_ipv6         the host's address that containers' packets leave with
                                                  (default: the preferred source of the route that they take)

and those that Docker does not have; what is left out is vethwayd's:
  com.vethway.nat.filtering                       who may send to a container's external port: whom it has sent to
                                                  (address-and-port-dependent, the default), or anybody
                                                  (endpoint-independent)
  com.vethway.nat.inbound-refresh                 true: what arrives keeps flows that containers began
  com.vethway.nat.timeout.udp, .udp-stream, .icmp, .tcp-established, .tcp-transitory
                                                  how long a flow may be idle, such as 300s or 5m
  com.vethway.nat.port-rest                       how long a source port rests before another container gets it
  com.vethway.gso-max-size                        bytes up to which the kernel keeps a TCP stream's packets together
                                                  (BIG TCP), 65536 to 524280. auto, the default, is 196608 towards the
                                                  containers, and from them no more than what every uplink takes:
                                                  ip link set eth0 gso_max_size 196608 gso_ipv4_max_size 196608
  com.vethway.tcp.splice                          true, or up to eight ports such as 5432,6379: TCP between containers of the
                                                  network, and from the host to them, goes from socket to socket
                                                  (of these ports; sockets that are non-blocking). Pays for requests and
                                                  answers, not for long streams. Not for programs that
                                                  read from a socket with splice(2) or MSG_OOB; bpf/README.md has the rest`,
		Example: `  vethway network create web
  vethway network create --subnet 172.30.1.0/24 --gateway 172.30.1.1 one
  vethway network create --ipv6 --subnet 172.30.2.0/24 --subnet 2001:db8:30:2::/64 two
  vethway network create -o com.vethway.nat.filtering=endpoint-independent -o com.vethway.nat.timeout.udp-stream=10m games
  vethway network create -o com.vethway.tcp.splice=5432,6379 fast
  vethway network create --internal -o com.docker.network.driver.mtu=1400 --label tier=db backend`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: a.Run(func(cmd *cobra.Command, c api.Backend, args []string) error {
			req, err := o.request(cmd, args[0])
			if err != nil {
				return err
			}
			made, err := c.CreateNetwork(cmd.Context(), req)
			if err != nil {
				return err
			}
			if made.Warning != "" {
				fmt.Fprintf(a.Streams.Err, "warning: %s\n", made.Warning)
			}
			fmt.Fprintln(a.Streams.Out, made.ID)
			return nil
		}),
	}
	f := cmd.Flags()
	f.StringVarP(&o.driver, "driver", "d", api.Driver, "driver: bridge is the only one")
	f.StringArrayVar(&o.subnets, "subnet", nil, "subnet, once a family, such as 172.30.1.0/24")
	f.StringArrayVar(&o.ranges, "ip-range", nil, "part of the subnet that dynamic addresses come from")
	f.StringArrayVar(&o.gateways, "gateway", nil, "address of the bridge (default: the subnet's first)")
	f.StringArrayVar(&o.aux, "aux-address", nil, "NAME=ADDRESS to keep out of the pool")
	f.StringArrayVarP(&o.options, "opt", "o", nil, "KEY=VALUE, an option as above")
	f.StringArrayVar(&o.labels, "label", nil, "KEY=VALUE")
	f.BoolVar(&o.internal, "internal", false, "no way out or in")
	f.BoolVar(&o.ipv6, "ipv6", false, "give containers IPv6 addresses too")
	f.BoolVar(&o.ipv4, "ipv4", true, "give containers IPv4 addresses")
	return cmd
}

func (o *createOptions) request(cmd *cobra.Command, name string) (api.NetworkCreate, error) {
	req := api.NetworkCreate{Name: name, Driver: o.driver, Internal: o.internal}
	if cmd.Flags().Changed("ipv4") {
		req.EnableIPv4 = &o.ipv4
	}
	if cmd.Flags().Changed("ipv6") {
		req.EnableIPv6 = &o.ipv6
	}
	var err error
	if req.Options, err = app.KeyValues("--opt", o.options); err != nil {
		return req, err
	}
	if req.Labels, err = app.KeyValues("--label", o.labels); err != nil {
		return req, err
	}
	req.IPAM.Config, err = o.ipam()
	return req, err
}

// ipam brings together what belongs to one subnet, which Docker's flags leave to be found out.
func (o *createOptions) ipam() ([]api.IPAMConfig, error) {
	configs := make([]api.IPAMConfig, 0, 2)
	for _, s := range o.subnets {
		p, err := parsePrefix("--subnet", s)
		if err != nil {
			return nil, err
		}
		configs = append(configs, api.IPAMConfig{Subnet: p})
	}
	for _, s := range o.ranges {
		p, err := parsePrefix("--ip-range", s)
		if err != nil {
			return nil, err
		}
		c, err := owner(configs, "--ip-range", s, p.Addr())
		if err != nil {
			return nil, err
		}
		if c.IPRange.IsValid() {
			return nil, exit.Errorf(exit.Usage, "--ip-range %s: subnet %s has the range %s already", s, c.Subnet, c.IPRange)
		}
		c.IPRange = p
	}
	for _, s := range o.gateways {
		addr, c, err := ownedAddr(configs, "--gateway", s)
		if err != nil {
			return nil, err
		}
		if c.Gateway.IsValid() {
			return nil, exit.Errorf(exit.Usage, "--gateway %s: subnet %s has the gateway %s already", s, c.Subnet, c.Gateway)
		}
		c.Gateway = addr
	}
	for _, s := range o.aux {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return nil, exit.Errorf(exit.Usage, "--aux-address %q: want NAME=ADDRESS", s)
		}
		addr, c, err := ownedAddr(configs, "--aux-address", value)
		if err != nil {
			return nil, err
		}
		if c.AuxiliaryAddresses == nil {
			c.AuxiliaryAddresses = map[string]netip.Addr{}
		}
		c.AuxiliaryAddresses[key] = addr
	}
	return configs, nil
}

func parsePrefix(flag, s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, exit.Errorf(exit.Usage, "%s %q: want ADDRESS/LENGTH, such as 172.30.1.0/24", flag, s)
	}
	if p != p.Masked() && flag == "--subnet" {
		return p, exit.Errorf(exit.HostBits, "%s %s: host bits are set", flag, s).WithHint("%s %s", flag, p.Masked())
	}
	return p, nil
}

func ownedAddr(configs []api.IPAMConfig, flag, s string) (netip.Addr, *api.IPAMConfig, error) {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return addr, nil, exit.Errorf(exit.Usage, "%s %q: not an address", flag, s)
	}
	c, err := owner(configs, flag, s, addr)
	return addr, c, err
}

// owner finds the subnet that holds addr.
func owner(configs []api.IPAMConfig, flag, s string, addr netip.Addr) (*api.IPAMConfig, error) {
	for i := range configs {
		if configs[i].Subnet.Contains(addr) {
			return &configs[i], nil
		}
	}
	if len(configs) == 0 {
		return nil, exit.Errorf(exit.Usage, "%s %s: it needs the --subnet that it belongs to", flag, s)
	}
	return nil, exit.Errorf(exit.Usage, "%s %s: in none of the subnets given", flag, s)
}
