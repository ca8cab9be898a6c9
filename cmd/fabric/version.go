package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print what this binary was built from",
		Example: "  fabric version",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version())
			return err
		},
	}
}

// version reads what the Go tool wrote into the binary: the module's version,
// or the commit it was built from, and "dirty" if the tree held more.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "fabric (built without module support)"
	}
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	text := "fabric " + info.Main.Version
	if rev := set["vcs.revision"]; rev != "" {
		text += fmt.Sprintf(" commit %.12s of %s", rev, set["vcs.time"])
		if set["vcs.modified"] == "true" {
			text += " (dirty)"
		}
	}
	return fmt.Sprintf("%s, %s %s/%s", text, info.GoVersion, set["GOOS"], set["GOARCH"])
}
