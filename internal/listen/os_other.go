//go:build !linux

package listen

func boundBuffers(uintptr) error { return nil }
