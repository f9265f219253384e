package bench_test

func child() bool { return false }
