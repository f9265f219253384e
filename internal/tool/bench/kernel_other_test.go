//go:build !linux

package bench_test

import "errors"

func kernelMemory([]string) (int, error) { return 0, errors.New("only Linux says what a socket holds") }
