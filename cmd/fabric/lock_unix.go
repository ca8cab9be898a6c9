//go:build unix

package main

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes the file for this process alone. It is false if another one
// has it. The system gives the file free when the process ends, however it
// ends.
func tryLock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
