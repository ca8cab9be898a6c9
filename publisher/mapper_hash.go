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

// hash of the mapping: eight hexadecimal digits of the SHA-256 of its JSON, in
// which the keys of maps are sorted.
func (m Mapping) hash() string {
	data, err := json.Marshal(m)
	if err != nil {
		data = fmt.Append(nil, err) // a payload that the compiler refuses
	}
	sum := sha256.Sum256(fmt.Appendf(data, "/%d", mapperVersion))
	return hex.EncodeToString(sum[:4])
}
