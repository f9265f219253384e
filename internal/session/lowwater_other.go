//go:build !linux

package session

import "net"

func setLowWater(*net.TCPConn) { _ = lowWater }
