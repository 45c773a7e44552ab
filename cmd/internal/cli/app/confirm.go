// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
)

// Confirm asks the person at the terminal. Where there is none, nobody can answer: that is an error, not a no.
func (a *App) Confirm(what string) (bool, error) {
	if !a.Streams.Terminal {
		return false, exit.Errorf(exit.Usage, "%s Nobody is there to confirm it", what).WithHint("--force")
	}
	fmt.Fprintf(a.Streams.Err, "%s Continue? [y/N] ", what)
	answer, err := bufio.NewReader(a.Streams.In).ReadString('\n')
	if err != nil {
		return false, fmt.Errorf("read the answer: %w", err)
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes", nil
}
