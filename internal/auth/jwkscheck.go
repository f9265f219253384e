package auth

import "context"

// Check looks at the source once, for whoever lets no [JWKS.Run] look, and returns
// how many keys there are.
func (j *JWKS) Check(ctx context.Context) (keys int, err error) {
	if j.o.Source != "" {
		err = j.look(ctx)
	}
	return len(*j.keys.Load()), err
}
