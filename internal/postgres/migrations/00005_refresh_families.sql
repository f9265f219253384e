-- +goose Up

-- A family is all refresh tokens of one sign-in. It has one row, which is inserted when
-- one of its tokens is first used or revoked, and updated in place. So tokens of other
-- issuers with the same secret (Django, an older roomspa) are accepted too.
--
-- The ids are claims of signed tokens and worth nothing without the signature. No
-- foreign key references the users, which may be a view.
CREATE TABLE roomspa.refresh_families (
	family     text PRIMARY KEY, -- the jti of the sign-in's first refresh token
	user_id    bigint NOT NULL,
	current    text NOT NULL,    -- the jti of the token that may be used next
	previous   text,             -- the jti of the token before it
	issued_at  timestamptz NOT NULL, -- iat of the current token
	expires_at timestamptz NOT NULL, -- exp of the current token; the row is deleted after it
	revoked_at timestamptz
);
CREATE INDEX refresh_families_expires_at ON roomspa.refresh_families (expires_at);

-- +goose Down
DROP TABLE roomspa.refresh_families;
