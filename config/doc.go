// Package config reads the settings of edge, publisher and the fabric command
// and hands each service its own Config. It is the only package that knows
// viper.
//
// A setting comes from the first of these that has it:
//
//	flags        --set edge.listen=:8081
//	environment  FABRIC_EDGE_LISTEN=:8081
//	file         edge: { listen: ":8081" }
//	defaults     the services' own DefaultConfig
//
// The name of an environment variable is the key in capitals, with '_' for
// every '.', behind FABRIC_. Lists of words are written with commas
// (FABRIC_ROOMS_KINDS=booking,order), lists of objects as JSON
// (FABRIC_AUTH_KEYS='[{"algorithms":["HS256"],"secret_file":"/run/secret"}]').
// An empty variable counts as not set.
//
// The DSN of a source can stand in a variable of its own, so that its password
// need not be in a file: FABRIC_PUBLISHER_SOURCES_<NAME>_DSN, the source's name
// in capitals, with '_' for everything that is no letter or digit. It wins over
// all others.
//
// Sizes are written as 64MiB or 32KiB, durations as Go writes them (1m30s).
// A key that nobody reads is an error, and every complaint is told at once.
//
// The section mapping is read from the file alone, and not by viper: viper
// folds the case of keys and splits them at dots, which would destroy
// "bookingId" and "{services[service_id].provider_id}".
//
// fabric.example.yaml documents every key; petpro.yaml and petpro-columns.yaml
// map the two forms of PetPro's tables.
package config
