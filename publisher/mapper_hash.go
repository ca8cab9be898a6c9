package publisher

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// mapperVersion is part of the hash: raise it when the same mapping begins to
// give other messages, because a position counts the events of a row.
const mapperVersion = 1

// Tables as they are hashed: From is left out, for what a table is called in
// the database changes no message.
type (
	hashedTable struct {
		Table
		From any `json:",omitempty"`
	}
	hashedFollow struct {
		Follow
		From any `json:",omitempty"`
	}
)

// hash of the mapping: eight hexadecimal digits of the SHA-256 of its JSON, in
// which the keys of maps are sorted.
func (m Mapping) hash() string {
	hashed := struct {
		Terminal []string
		Follow   map[string]hashedFollow
		Tables   map[string]hashedTable
	}{Terminal: m.Terminal}
	if m.Follow != nil {
		hashed.Follow = make(map[string]hashedFollow, len(m.Follow))
	}
	for name, f := range m.Follow {
		hashed.Follow[name] = hashedFollow{Follow: f}
	}
	if m.Tables != nil {
		hashed.Tables = make(map[string]hashedTable, len(m.Tables))
	}
	for name, t := range m.Tables {
		hashed.Tables[name] = hashedTable{Table: t}
	}
	data, err := json.Marshal(hashed)
	if err != nil {
		data = fmt.Append(nil, err) // a payload that the compiler refuses
	}
	sum := sha256.Sum256(fmt.Appendf(data, "/%d", mapperVersion))
	return hex.EncodeToString(sum[:4])
}
