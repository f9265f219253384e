-- +goose Up

-- What became of a sign-in: one row for all of its refresh tokens, changed in
-- place, from the first time that one of them is used or revoked. A sign-in whose
-- token was never used has none, so that tokens which another issuer with the same
-- secret has minted (Django, an older roomspa) are taken over as they come.
--
-- The ids are claims of signed tokens and let nobody in without the signature. No
-- foreign key points to the users, which may be a view.
CREATE TABLE roomspa.refresh_families (
	family     text PRIMARY KEY, -- the jti of the sign-in's first refresh token
	user_id    bigint NOT NULL,
	current    text NOT NULL,    -- the jti of the one that may be used next
	previous   text,             -- and of the one before it
	issued_at  timestamptz NOT NULL, -- the current one's iat
	expires_at timestamptz NOT NULL, -- and exp: the row is of no use after it
	revoked_at timestamptz
);
CREATE INDEX refresh_families_expires_at ON roomspa.refresh_families (expires_at);

-- +goose Down
DROP TABLE roomspa.refresh_families;
