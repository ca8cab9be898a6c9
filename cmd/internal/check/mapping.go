package check

import (
	"maps"
	"slices"
	"strings"

	"github.com/petpro/fabric/publisher"
)

// Mapping says whether the mapping compiles.
func Mapping(cfg publisher.Config) Part {
	p := Part{Name: "mapping"}
	mapper, err := publisher.NewMapper(cfg.Mapping, cfg.Kinds, cfg.MaxPayload)
	if err != nil {
		p.add(err)
		return p
	}
	if len(cfg.Mapping.Tables) == 0 {
		p.fine("no tables: what services publish into ingest.> is carried, and nothing else")
		return p
	}
	text := "publishes " + strings.Join(slices.Sorted(maps.Keys(cfg.Mapping.Tables)), ", ")
	if followed := slices.Sorted(maps.Keys(cfg.Mapping.Follow)); len(followed) > 0 {
		text += "; follows " + strings.Join(followed, ", ")
	}
	p.fine("%s (hash %s)", text, mapper.Hash())
	return p
}
