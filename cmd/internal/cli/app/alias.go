// SPDX-License-Identifier: Apache-2.0

package app

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Alias makes another spelling of a flag understood.
func Alias(cmd *cobra.Command, spelling, flag string) {
	f := cmd.Flags()
	next := f.GetNormalizeFunc()
	f.SetNormalizeFunc(func(set *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == spelling {
			name = flag
		}
		return next(set, name)
	})
}
