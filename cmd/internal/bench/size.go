// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/bench/size"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
)

type sizeOptions struct {
	single
	cfg size.Config
}

func newSizeCommand(io *streams.Streams) *cobra.Command {
	var o sizeOptions
	cmd := &cobra.Command{
		Use:   "size",
		Short: "Measure the daemon: memory, attaching many containers, publishing many ports",
		Long: `Measure the daemon: how much memory vethwayd and the kernel's tables take with many containers, published ports and flows, how long
it takes to attach them, how long one request takes that publishes or withdraws many ports, and how long the daemon takes to start on them.`,
		Example: `  vethway-bench size
  vethway-bench size --containers 500 --crowd 0 --more 10000 --out size.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, io) },
	}
	flags := cmd.Flags()
	flags.IntVar(&o.cfg.Containers, "containers", size.DefaultContainers, "containers to attach")
	flags.IntVar(&o.cfg.Ports, "ports", size.DefaultPorts, "ports to publish by one request, and to have while the memory is read")
	flags.IntSliceVar(&o.cfg.More, "more", []int{10000, 65000}, "further numbers of ports to publish by one request; the daemon is started with as many as the last")
	flags.IntVar(&o.cfg.Crowd, "crowd", size.DefaultCrowd, "containers to have, with 32 ports each, when attaching one of them is timed; 0: not at all")
	flags.IntVar(&o.cfg.Rounds, "rounds", 5, "how often each request is timed")
	flags.DurationVar(&o.cfg.Settle, "settle", 5*time.Second, "how long the daemon is left alone while its memory is read")
	o.flags(flags)
	return cmd
}

func (o *sizeOptions) run(cmd *cobra.Command, io *streams.Streams) (err error) {
	if o.cfg.Log, err = o.begin("size", io); err != nil {
		return err
	}
	rep, err := size.Run(cmd.Context(), o.cfg)
	if rep == nil {
		return err
	}
	return errors.Join(err, o.deliver(rep, io))
}
