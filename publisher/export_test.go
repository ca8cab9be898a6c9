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

// SetInitialQuiet shortens the time after which an incomplete initial
// publication counts as abandoned.
func (p *Publisher) SetInitialQuiet(d time.Duration) { p.tuning.initialQuiet = d }
