package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/petpro/fabric/config"
	"github.com/petpro/fabric/edge/auth"
)

var errNoKey = errors.New("no secret to sign with: auth.keys has no HS256 key without an id, and no `fabric dev` keeps its data here; use -c FILE, --data DIR or --secret-file FILE")

// defaultTTL of a token made by hand.
const defaultTTL = time.Hour

func newToken(g *global) *cobra.Command {
	var user, secretFile string
	var roles, rooms []string
	ttl := defaultTTL
	cmd := &cobra.Command{
		Use:   "token --user ID",
		Short: "Make a token to connect with",
		Long: `Prints a token (JWT, HS256) and nothing else. It is signed with the first HS256
key without an id of auth.keys, or with the secret of the ` + "`fabric dev`" + ` whose data are in --data.

A user sees the bookings they take part in, and their own notifications; --room
and --role grant more.`,
		Example: `  fabric token --user u_vendor
  fabric token --user u_support --role admin --ttl 8h
  fabric token --user u_kiosk --room booking.42 --room booking.43
  fabric token -c fabric.yaml --user u_7 | pbcopy`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if user == "" {
				return usagef("missing --user: whose token is it?")
			}
			secret, err := g.signingSecret(secretFile)
			if err != nil {
				return err
			}
			token, err := auth.Mint([]byte(secret), user, roles, rooms, ttl)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
			return err
		},
	}
	g.flags(cmd)
	cmd.Flags().StringVarP(&user, "user", "u", "", "`id` of the user (claim sub)")
	cmd.Flags().StringSliceVar(&roles, "role", nil, "`role` of the user; may be repeated")
	cmd.Flags().StringSliceVar(&rooms, "room", nil, "`room` that the token covers by itself, booking.42 or booking.*; may be repeated")
	cmd.Flags().DurationVar(&ttl, "ttl", ttl, "how long it is good for")
	cmd.Flags().StringVar(&secretFile, "secret-file", "", "sign with the secret in this `file`")
	_ = cmd.RegisterFlagCompletionFunc("user", cobra.FixedCompletions([]string{vendorID, customerID, strangerID}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions([]string{"admin", "customer", "vendor"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("ttl", cobra.FixedCompletions([]string{"15m", "1h", "24h"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// signingSecret comes from the file that was named, the configuration, or the
// data of a dev, in this order.
func (g *global) signingSecret(file string) (string, error) {
	if file != "" {
		return secretIn(file)
	}
	c, _, err := config.Load(g.config)
	if err != nil {
		return "", err
	}
	for _, k := range c.Auth.Keys {
		// A token without a kid is checked by keys without an id.
		if k.ID != "" || !slices.Contains(k.Algorithms, "HS256") {
			continue
		}
		if k.Secret != "" {
			return k.Secret, nil
		}
		return secretIn(k.SecretFile)
	}
	secret, err := readSecret(g.data)
	if errors.Is(err, fs.ErrNotExist) {
		return "", errNoKey
	}
	return secret, err
}

func secretIn(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the secret: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}
