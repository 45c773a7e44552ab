// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
)

// addFlags binds the flags that are also the configuration file's keys.
func (c *Config) addFlags(f *pflag.FlagSet) {
	f.StringVar(&c.Instance, "instance", DefaultInstance, "name of this instance; several can run, each in its own network namespace")
	f.StringVar(&c.StateDir, "state-dir", "", "directory of the database (default "+DefaultStateRoot+"/INSTANCE)")
	f.StringVar(&c.RunDir, "run-dir", "", "directory of sockets and namespaces (default "+DefaultRunRoot+"/INSTANCE)")
	f.StringVar(&c.Socket, "socket", "", "API socket; the read-only one has -ro in its name (default RUN-DIR/"+SocketName+")")
	f.StringVar(&c.BPFFS, "bpffs", "", "directory to pin maps, programs and links in (default "+DefaultPinRoot+"/INSTANCE)")
	f.StringVar(&c.Cgroup, "cgroup", "", "root of the cgroup v2 hierarchy (default: where it is mounted)")
	f.StringSliceVar(&c.Uplinks, "uplink", nil, "publish and masquerade on these interfaces only, patterns allowed (default: all that lead out)")
	f.StringVar(&c.Attach, "attach", AttachAuto, "how to attach programs: auto, tcx or clsact")
	f.StringVar(&c.NATPorts, "nat-ports", "", "FIRST-LAST: source ports for masquerading alone (default: what is free beside the host's own range)")
	c.Flows.addFlags(f)
	c.Guard.addFlags(f)
	f.StringSliceVar(&c.Bases, "subnet-base", nil, "prefixes to take new networks' subnets from")
	f.IntVar(&c.MTU, "mtu", 0, "MTU of new networks that name none (default 1500)")
	f.StringVar(&c.LogLevel, "log-level", "info", "debug, info, warn or error; SIGHUP reads it again from the file")
	f.StringVar(&c.LogFormat, "log-format", "text", "text or json")
}

// applyFile sets every flag that the file names and the command line does not. The keys are the flags' names, so that
// there is one list of options. The error carries exit.BadConfig.
func applyFile(path string, flags *pflag.FlagSet) error {
	values, err := readFile(path)
	if err != nil {
		return err
	}
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		flag := flags.Lookup(key)
		if flag == nil || notInFile(key) {
			return exit.Errorf(exit.BadConfig, "config %s: unknown key %q", path, key).WithHint("vethwayd --help (the keys are the flags' names)")
		}
		if flag.Changed {
			continue
		}
		text, err := scalar(values[key])
		if err != nil {
			return exit.Errorf(exit.BadConfig, "config %s: %s: %w", path, key, err)
		}
		if err := flag.Value.Set(text); err != nil {
			return exit.Errorf(exit.BadConfig, "config %s: %s: %w", path, key, err)
		}
	}
	return nil
}

func notInFile(key string) bool {
	return key == "config" || key == "check" || key == "help" || key == "version"
}

// readFile parses the file into its keys and values.
func readFile(path string) (map[string]any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, exit.Errorf(exit.BadConfig, "config: %w", err)
	}
	values := map[string]any{}
	if err := yaml.UnmarshalStrict(text, &values); err != nil {
		return nil, exit.Errorf(exit.BadConfig, "config %s: %w", path, err)
	}
	return values, nil
}

// scalar is a YAML value as its flag would be written; a list is joined by commas, as pflag's slices are.
func scalar(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool, int, int64:
		return fmt.Sprint(v), nil
	case float64:
		return fmt.Sprintf("%.0f", v), nil
	case []any:
		parts := make([]string, 0, len(v))
		for _, item := range v {
			part, err := scalar(item)
			if err != nil {
				return "", err
			}
			parts = append(parts, part)
		}
		return strings.Join(parts, ","), nil
	case nil:
		return "", errors.New("no value")
	}
	return "", fmt.Errorf("want a word, a number or a list, not %T", v)
}
