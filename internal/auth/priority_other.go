//go:build !unix

package auth

import "os/exec"

func lowerPriority() {}

func detach(*exec.Cmd) {}
