// SPDX-License-Identifier: Apache-2.0

package output

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/cmd/internal/cli/streams"
)

// Inspection holds the flags of inspecting commands. Their output is Docker's: a JSON array without a document around
// it, so that what reads `docker inspect` reads this as well.
type Inspection struct {
	Format   string
	Template string
}

// AddFlags adds -o and -f.
func (o *Inspection) AddFlags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.Format, "output", "o", "json", "json or yaml")
	cmd.Flags().StringVarP(&o.Template, "format", "f", "", "Go template printed for each, such as '{{.Id}}'")
	// The flag was added two lines above: registering its completion cannot fail.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
}

// Inspect looks up every ref and prints those that were found; the errors of the others are returned together.
func Inspect[T any](s *streams.Streams, o Inspection, refs []string, get func(ref string) (T, error)) error {
	if o.Format != "json" && o.Format != "yaml" {
		return exit.Errorf(exit.Usage, "-o %s: want json or yaml", o.Format)
	}
	found := []T{}
	var errs []error
	for _, ref := range refs {
		item, err := get(ref)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found = append(found, item)
	}
	var err error
	switch {
	case o.Template == "json":
		err = eachJSON(s.Out, found)
	case o.Template != "":
		err = eachTemplate(s.Out, o.Template, found)
	default:
		err = Encode(s.Out, o.Format, found)
	}
	return errors.Join(append(errs, err)...)
}
