package publisher

import "time"

// FailAcks calls f at each acknowledgement; an error makes the publisher
// believe that it never came, although the unit is stored.
func (p *Publisher) FailAcks(f func() error) { p.fault = f }

// SetSingles sets up to how many waiting messages go one by one.
func (p *Publisher) SetSingles(n int) { p.tuning.singles = n }

// SetTimes shortens the time between two fabric.position messages and between
// two confirmations.
func (p *Publisher) SetTimes(position, confirm time.Duration) {
	p.tuning.positionInterval, p.tuning.confirmStep = position, confirm
}

// SetHealth shortens for how long a source may be silent and how often a
// standby looks at the stream.
func (p *Publisher) SetHealth(silence, look time.Duration) {
	p.tuning.silence, p.tuning.lookEvery = silence, look
}

// SetLossPause shortens the pauses of a source that is lost again and again.
func (p *Publisher) SetLossPause(pause, window time.Duration) {
	p.tuning.lossPause, p.tuning.lossWindow = pause, window
}

// SetInitialQuiet shortens the time after which an incomplete initial
// publication counts as abandoned.
func (p *Publisher) SetInitialQuiet(d time.Duration) { p.tuning.initialQuiet = d }
