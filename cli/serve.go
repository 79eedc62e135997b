package cli

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"
)

// serveCommand makes a command that a pod runs, until its end is asked for. It is
// configured by the environment alone, but for where it listens and keeps data.
// The help for people does not list it.
func (a *App) serveCommand(use, short, long, example string, run func(context.Context) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			slog.SetDefault(slog.New(slog.NewJSONHandler(a.Err, nil)))
			return run(cmd.Context())
		},
	}
}
