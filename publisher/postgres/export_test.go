package postgres

import "time"

// SetWatchEvery has a source look at its slot and publication more often.
func SetWatchEvery(s *Source, d time.Duration) { s.watchEvery = d }
