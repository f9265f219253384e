package fleet

import "log/slog"

// problems are all problems, the most important one first.
var problems = []*problem{splitDatabase, clockSkew, splitLayer, hungReplicas, differentOptions, differentSecrets, redisShared, mixedVersions}

var (
	splitLayer = &problem{
		"split_channel_layer", slog.LevelError,
		"Channel layer split", "replicas share Postgres, but their heartbeats do not arrive over Redis",
		"Channel layer no longer split: the heartbeats of all replicas arrive over Redis",
	}
	splitDatabase = &problem{
		"split_database", slog.LevelError,
		"Database split", "replicas are heard over Redis as part of this deployment, but are not in this Postgres: they use another server, a copy",
		"Database no longer split: all replicas that are heard over Redis are in this Postgres",
	}
	hungReplicas = &problem{
		"replica_hung", slog.LevelWarn,
		"Replica hung or lost", "replicas have not been heard for 30s, and have not shut down",
		"No replica is hung or lost any more",
	}
	differentOptions = &problem{
		"replicas_differ", slog.LevelWarn,
		"Options differ", "replicas have different options",
		"Options no longer differ: those of all replicas are equal",
	}
	mixedVersions = &problem{
		"mixed_versions", slog.LevelWarn,
		"Versions differ", "replicas of different versions have been running for more than 30m",
		"Versions no longer differ",
	}
	differentSecrets = &problem{
		"different_secrets", slog.LevelWarn,
		"JWT secrets differ", "replicas refuse each other's tokens",
		"JWT secrets no longer differ: all replicas accept each other's tokens",
	}
	redisShared = &problem{
		"redis_shared", slog.LevelWarn,
		"Redis shared", "another deployment uses the same Redis with the same prefix",
		"Redis no longer shared with another deployment",
	}
	clockSkew = &problem{
		"replica_clock_skew", slog.LevelWarn,
		"Clock skew", "the clocks of replicas differ from that of Postgres by more than 5s",
		"No more clock skew: the clocks of all replicas are close to that of Postgres",
	}
)
