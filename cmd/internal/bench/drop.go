// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/bench/drop"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
)

type dropOptions struct {
	single
	cfg drop.Config
}

func newDropCommand(io *streams.Streams) *cobra.Command {
	var o dropOptions
	cmd := &cobra.Command{
		Use:   "drop",
		Short: "Measure how fast denied sources are dropped: by XDP, at tc, and by nftables",
		Long: `Measure how fast denied sources are dropped: by vethway's XDP program, by the same rules at tc, and by nftables'
ingress hook, with lists of the same length. Generated frames arrive by a veth; each target drops those of its own host,
in turn, and its own counters say how many.`,
		Example: `  vethway-bench drop
  vethway-bench drop --prefixes 0 --rounds 21 --out drop.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, io) },
	}
	flags := cmd.Flags()
	flags.IntVar(&o.cfg.Prefixes, "prefixes", 1000, "prefixes on each list beside the one that matches")
	flags.IntVar(&o.cfg.Rounds, "rounds", 11, "how often each target has its turn")
	flags.DurationVar(&o.cfg.Warmup, "warmup", 50*time.Millisecond, "how long frames are sent before they count")
	flags.DurationVar(&o.cfg.Sample, "sample", 300*time.Millisecond, "how long they count")
	o.flags(flags)
	return cmd
}

func (o *dropOptions) run(cmd *cobra.Command, io *streams.Streams) (err error) {
	if o.cfg.Log, err = o.begin("drop", io); err != nil {
		return err
	}
	rep, err := drop.Run(cmd.Context(), o.cfg)
	if err != nil {
		return err
	}
	return o.deliver(rep, io)
}
